//! One HTTP/1.1 connection that is opened again when the service closes it.

use std::fmt;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::mix::Draw;

/// A connection to one service.
pub(crate) struct Client {
    to: SocketAddr,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// An answer that was read to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Of its body.
    pub(crate) bytes: u64,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// Nobody listens there, or the service accepts no more.
    Connect(std::io::Error),
    /// The connection ended before the answer did.
    Http(hyper::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Connect(error) => write!(f, "no connection: {error}"),
            ClientError::Http(error) => write!(f, "the connection broke: {error}"),
        }
    }
}

impl Client {
    /// Connects when the first request is sent.
    pub(crate) fn new(to: SocketAddr) -> Client {
        Client {
            to,
            connection: None,
        }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, draw: Draw) -> Result<Answer, ClientError> {
        let request = self.request(draw);
        let result = self.exchange(request).await;
        if result.is_err() {
            self.connection = None;
        }
        result
    }

    /// Sends `GET path`.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, ClientError> {
        let (path, method) = (path.to_owned(), hyper::Method::GET);
        self.send(Draw {
            kind: 0,
            method,
            path,
            body: None,
        })
        .await
    }

    fn request(&self, draw: Draw) -> Request<Full<Bytes>> {
        let request = Request::builder()
            .method(draw.method)
            .uri(draw.path)
            .header(HOST, self.to.to_string());
        let request = match draw.body {
            Some((content_type, body)) => request
                .header(CONTENT_TYPE, content_type)
                .body(Full::from(Bytes::from(body))),
            None => request.body(Full::default()),
        };
        // `Mix::new` has checked path and content type; an address is a valid host.
        request.unwrap_or_default()
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let answer = self
            .ready()
            .await?
            .send_request(request)
            .await
            .map_err(ClientError::Http)?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(ClientError::Http)?;
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        Ok(Answer { status, bytes })
    }

    /// The open connection, or a new one where the service has closed it.
    async fn ready(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, ClientError> {
        let reusable = match &mut self.connection {
            Some(connection) => connection.ready().await.is_ok(),
            None => false,
        };
        if !reusable {
            self.connection = None;
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(connect(self.to).await?)),
        }
    }
}

async fn connect(to: SocketAddr) -> Result<SendRequest<Full<Bytes>>, ClientError> {
    let stream = TcpStream::connect(to).await.map_err(ClientError::Connect)?;
    // Without it a request in two writes would wait for an acknowledgement. Latencies would show it.
    stream.set_nodelay(true).map_err(ClientError::Connect)?;
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(ClientError::Http)?;
    // It ends when the sender is dropped; its error reaches the request that was under way.
    tokio::spawn(connection);
    Ok(sender)
}
