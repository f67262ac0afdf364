//! A server of a few lines that answers as it is told.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Received {
    /// `POST /ingest?… HTTP/1.1`.
    pub(crate) line: String,
    /// With names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What the server does with a request.
pub(crate) enum Answer {
    /// This status, these further headers.
    Status(u16, &'static str),
    /// Closes the connection.
    Close,
    /// Says nothing until this ends.
    Hang(Receiver<()>),
}

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) received: Receiver<Received>,
}

/// Answers the first requests in this way, and takes the rest.
pub(crate) fn serve(answers: Vec<Answer>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        let mut answers = answers.into_iter();
        for stream in listener.incoming() {
            let _ = converse(stream.unwrap(), &mut answers, &sender);
        }
    });
    Server { url, received }
}

fn converse(
    mut stream: TcpStream,
    answers: &mut impl Iterator<Item = Answer>,
    sender: &Sender<Received>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(received) = receive(&mut reader)? {
        let _ = sender.send(received);
        match answers.next().unwrap_or(Answer::Status(200, "")) {
            Answer::Status(status, headers) => {
                write!(
                    stream,
                    "HTTP/1.1 {status} So\r\nContent-Length: 4\r\n{headers}\r\nwhy\n"
                )?;
            }
            Answer::Close => return Ok(()),
            Answer::Hang(end) => {
                let _ = end.recv();
                return Ok(());
            }
        }
    }
    Ok(())
}

fn receive(reader: &mut impl BufRead) -> io::Result<Option<Received>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let line = lines.next().unwrap_or_default();
    let split = |line: String| {
        line.split_once(": ")
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
    };
    let headers: Vec<_> = lines.filter_map(split).collect();
    let mut received = Received {
        line,
        headers,
        body: Vec::new(),
    };
    let len = received
        .header("content-length")
        .map_or(0, |len| len.parse().unwrap());
    received.body.resize(len, 0);
    reader.read_exact(&mut received.body)?;
    Ok(Some(received))
}
