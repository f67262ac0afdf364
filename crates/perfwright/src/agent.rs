//! The process's end of the control connection: see [`crate::control`].

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use perfwright_cpu::Options;

use crate::control::{
    CaptureOrder, HeapOrder, Hello, LINE_BYTES_MAX, Order, Reply, SOCKET_VARIABLE, SocketPath,
    VERSION,
};
use crate::recorder::Recorder;

/// How long the program waits for the command's first order.
const FIRST_ORDER_WAIT: Duration = Duration::from_secs(5);

/// Connects to the command that started this process, if one did, and carries out its first order.
/// Returns whether a commanded capture runs now; if not, the always-on sampler is to be started.
pub(crate) fn attach(recorder: &Arc<Recorder>) -> bool {
    let Some(path) = std::env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty()) else {
        return false;
    };
    match Agent::connect(Path::new(&path), recorder) {
        Ok(agent) => agent.obey_in_a_thread(),
        Err(error) => {
            let path = Path::new(&path).display();
            eprintln!("perfwright: failed to reach the command that profiles, at {path}: {error}");
        }
    }
    recorder.running().1
}

struct Agent {
    recorder: Arc<Recorder>,
    stream: BufReader<UnixStream>,
}

impl Agent {
    fn connect(path: &Path, recorder: &Arc<Recorder>) -> io::Result<Agent> {
        let path = SocketPath::new(path)?;
        let stream = UnixStream::connect(path.as_path())?;
        stream.set_read_timeout(Some(FIRST_ORDER_WAIT))?;
        let mut agent = Agent {
            recorder: recorder.clone(),
            stream: BufReader::new(stream),
        };
        agent.send(&Reply::Hello(Hello {
            version: VERSION,
            pid: std::process::id(),
            exe: std::env::current_exe().unwrap_or_default(),
            heap: agent.can_sample_heap(),
        }))?;
        agent.obey_next()?;
        agent.stream.get_ref().set_read_timeout(None)?;
        crate::exit::close_at_exit(recorder);
        Ok(agent)
    }

    fn obey_in_a_thread(mut self) {
        let recorder = self.recorder.clone();
        let obey = move || {
            // It ends when the command closes the connection, by an error like any other.
            while self.obey_next().is_ok() {}
            self.recorder.abandon();
        };
        let spawned = std::thread::Builder::new()
            .name("perfwright-control".into())
            .spawn(obey);
        if spawned.is_err() {
            // Without the thread nobody could stop the capture; closing the connection tells the command.
            recorder.abandon();
        }
    }

    /// Reads an order, carries it out and replies. An order that is not understood gets an error reply;
    /// a connection that ends gives an error here.
    fn obey_next(&mut self) -> io::Result<()> {
        let mut line = Vec::new();
        let limit = LINE_BYTES_MAX as u64;
        self.stream
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let order = Order::parse(&String::from_utf8_lossy(&line));
        let reply = match order {
            Ok(Order::Go(heap)) => {
                if let Some(Err(error)) = heap.map(|order| self.sample_heap(&order)) {
                    // It is said again when the capture is ordered.
                    eprintln!("perfwright: failed to {error}");
                }
                return Ok(());
            }
            Ok(Order::Start(order)) => self.start(&order),
            Ok(Order::Stop) => self.recorder.end().map(|()| Reply::Ok { engine: None }),
            Err(error) => Err(error.to_string()),
        };
        self.send(&reply.unwrap_or_else(|message| Reply::Error { message }))
    }

    fn start(&self, order: &CaptureOrder) -> Result<Reply, String> {
        let options = Options::new()
            .engine(order.engine.parse().map_err(|error| format!("{error}"))?)
            .mode(order.mode.parse().map_err(|error| format!("{error}"))?)
            .frequency_hz(order.frequency_hz)
            .max_memory_bytes(CAPTURE_MEMORY_BYTES_MAX);
        let engine = self.recorder.begin(options, order)?;
        Ok(Reply::Ok {
            engine: Some(engine.to_string()),
        })
    }

    #[cfg(feature = "heap")]
    fn can_sample_heap(&self) -> bool {
        self.recorder.memory.is_possible()
    }

    /// From now on, to know what is allocated before the capture and lives in it.
    #[cfg(feature = "heap")]
    fn sample_heap(&self, order: &HeapOrder) -> Result<(), String> {
        self.recorder.memory.start(Some(order))
    }

    #[cfg(not(feature = "heap"))]
    fn can_sample_heap(&self) -> bool {
        false
    }

    #[cfg(not(feature = "heap"))]
    fn sample_heap(&self, _: &HeapOrder) -> Result<(), String> {
        Err("sample the heap: the program's perfwright has no feature `heap`".into())
    }

    fn send(&mut self, reply: &Reply) -> io::Result<()> {
        self.stream.get_mut().write_all(reply.to_line().as_bytes())
    }
}

/// A developer's short capture may hold more stacks than an always-on one.
const CAPTURE_MEMORY_BYTES_MAX: usize = 256 << 20;
