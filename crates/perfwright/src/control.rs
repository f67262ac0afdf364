//! How a controlling command and a profiled process talk.
//!
//! A command such as `cargo perfwright profile` listens on a Unix socket and starts the program with
//! the socket's path in the environment variable [`SOCKET_VARIABLE`]. Inside the program,
//! [`crate::start`] connects and the two exchange lines:
//!
//! ```text
//! process                                     command
//!   hello version=1 pid=4711 exe=/srv/shop  ->
//!                                           <-  go                     carry on, no capture yet
//!                                           <-  start engine=auto mode=cpu frequency=999 out=/run/raw.pb.gz
//!   ok engine=perf                          ->
//!                                           <-  stop
//!   ok                                      ->                         out is complete
//!   error message=...                       ->                         in place of any ok
//! ```
//!
//! - A line is a word and then `key=value` pairs, separated by single spaces and ended by a newline.
//!   Values are percent-encoded bytes. Unknown keys are ignored, so that either side may grow; an
//!   incompatible change raises [`VERSION`], and the command refuses a version that it does not speak.
//! - The first answer, `go` or `start`, is awaited inside [`crate::start`], for five seconds at most.
//!   A capture ordered by it covers `main` from its first line on, so even a program that ends within
//!   milliseconds gives a profile.
//! - `out` comes with `start`, not with `stop`: a program that ends first (main returns, or
//!   `std::process::exit`) writes what was captured there by itself, and the command finds it after
//!   the connection closes. The file is written beside its name and renamed, so it is whole or absent.
//! - The profile in `out` is raw: addresses and mappings, no function names. Symbolizing is the
//!   command's work, so that the process stays small.
//! - While a commanded capture runs the always-on sampler is paused, for a process can be sampled only
//!   once at a time. When the connection closes the process carries on as if there had been none.
//! - A path that does not fit a socket address (108 bytes on Linux) is reached through an open handle
//!   of its folder: see [`SocketPath`].

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

/// The environment variable that carries the socket's path.
pub const SOCKET_VARIABLE: &str = "PERFWRIGHT_CONTROL";
/// The protocol's version, sent in `hello`.
pub const VERSION: u32 = 1;
/// The longest line that either side accepts, in bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// What the process says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The first line: who is there.
    Hello(Hello),
    /// The order was carried out; the engine is named after `start`.
    Ok {
        /// The engine that runs, after `start`.
        engine: Option<String>,
    },
    /// The order failed; the message fits "failed to {order}".
    Error {
        /// What went wrong and what to do.
        message: String,
    },
}

/// A process's introduction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The protocol's version that the process speaks.
    pub version: u32,
    /// Its process id.
    pub pid: u32,
    /// Its executable; empty when unknown.
    pub exe: PathBuf,
}

/// What the command says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Carry on; a capture may be ordered later.
    Go,
    /// Begin to capture.
    Start(CaptureOrder),
    /// End the capture and write it.
    Stop,
}

/// A capture to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureOrder {
    /// `auto`, `perf`, `timer` or `pprof`.
    pub engine: String,
    /// `cpu` or `wall`.
    pub mode: String,
    /// Samples per second.
    pub frequency_hz: u32,
    /// Where the raw profile goes, when the capture ends in whatever way.
    pub out: PathBuf,
}

/// A line that is none of the protocol's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError {
    problem: String,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "understand a control line: {}", self.problem)
    }
}

impl std::error::Error for ProtocolError {}

impl Reply {
    /// The line, with its newline.
    pub fn to_line(&self) -> String {
        match self {
            Reply::Hello(hello) => line(
                "hello",
                &[
                    ("version", hello.version.to_string().as_bytes()),
                    ("pid", hello.pid.to_string().as_bytes()),
                    ("exe", hello.exe.as_os_str().as_encoded_bytes()),
                ],
            ),
            Reply::Ok { engine: None } => line("ok", &[]),
            Reply::Ok {
                engine: Some(engine),
            } => line("ok", &[("engine", engine.as_bytes())]),
            Reply::Error { message } => line("error", &[("message", message.as_bytes())]),
        }
    }

    /// Reads a line, with or without its newline.
    pub fn parse(text: &str) -> Result<Reply, ProtocolError> {
        let fields = Fields::parse(text)?;
        match fields.word {
            "hello" => Ok(Reply::Hello(Hello {
                version: fields.number("version")?,
                pid: fields.number("pid")?,
                exe: fields.path("exe").unwrap_or_default(),
            })),
            "ok" => Ok(Reply::Ok {
                engine: fields.text("engine").ok(),
            }),
            "error" => Ok(Reply::Error {
                message: fields.text("message")?,
            }),
            word => Err(problem(format!("`{word}` is no reply"))),
        }
    }
}

impl Order {
    /// The line, with its newline.
    pub fn to_line(&self) -> String {
        match self {
            Order::Go => line("go", &[]),
            Order::Stop => line("stop", &[]),
            Order::Start(order) => line(
                "start",
                &[
                    ("engine", order.engine.as_bytes()),
                    ("mode", order.mode.as_bytes()),
                    ("frequency", order.frequency_hz.to_string().as_bytes()),
                    ("out", order.out.as_os_str().as_encoded_bytes()),
                ],
            ),
        }
    }

    /// Reads a line, with or without its newline.
    pub fn parse(text: &str) -> Result<Order, ProtocolError> {
        let fields = Fields::parse(text)?;
        match fields.word {
            "go" => Ok(Order::Go),
            "stop" => Ok(Order::Stop),
            "start" => Ok(Order::Start(CaptureOrder {
                engine: fields.text("engine")?,
                mode: fields.text("mode")?,
                frequency_hz: fields.number("frequency")?,
                out: fields.path("out")?,
            })),
            word => Err(problem(format!("`{word}` is no order"))),
        }
    }
}

/// A line taken apart; the values are still encoded.
struct Fields<'a> {
    word: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Result<Fields<'a>, ProtocolError> {
        let mut parts = text.trim_end_matches(['\n', '\r']).split(' ');
        let word = parts.next().unwrap_or_default();
        let pairs = parts
            .map(|pair| {
                pair.split_once('=')
                    .ok_or_else(|| problem(format!("`{pair}` has no `=`")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Fields { word, pairs })
    }

    fn bytes(&self, key: &str) -> Result<Vec<u8>, ProtocolError> {
        let (_, value) = self
            .pairs
            .iter()
            .find(|(name, _)| *name == key)
            .ok_or_else(|| problem(format!("`{}` without `{key}`", self.word)))?;
        decode(value).ok_or_else(|| problem(format!("`{key}` is not percent-encoded")))
    }

    fn text(&self, key: &str) -> Result<String, ProtocolError> {
        String::from_utf8(self.bytes(key)?).map_err(|_| problem(format!("`{key}` is not UTF-8")))
    }

    fn number(&self, key: &str) -> Result<u32, ProtocolError> {
        self.text(key)?
            .parse()
            .map_err(|_| problem(format!("`{key}` is no whole number")))
    }

    fn path(&self, key: &str) -> Result<PathBuf, ProtocolError> {
        use std::os::unix::ffi::OsStringExt;
        self.bytes(key)
            .map(|bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes)))
    }
}

fn problem(problem: String) -> ProtocolError {
    ProtocolError { problem }
}

fn line(word: &str, pairs: &[(&str, &[u8])]) -> String {
    let mut line = word.to_owned();
    for (key, value) in pairs {
        line.push(' ');
        line.push_str(key);
        line.push('=');
        encode(value, &mut line);
    }
    line.push('\n');
    line
}

fn encode(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/:,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex_digit(bytes.next()?)? * 16 + hex_digit(bytes.next()?)?,
            other => other,
        });
    }
    Some(out)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// A socket's path in a form that fits a socket address.
///
/// Linux allows 108 bytes, and a run folder deep in someone's home is often longer. Such a path is
/// spelled `/proc/self/fd/N/name`, with the folder open as `N` for as long as this value lives.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    _folder: Option<std::fs::File>,
}

impl SocketPath {
    /// Opens the folder where the path is too long.
    pub fn new(path: &Path) -> std::io::Result<SocketPath> {
        use std::os::fd::AsRawFd;
        const FITS_EVERYWHERE: usize = 100;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "no socket path",
            ));
        };
        if path.as_os_str().len() <= FITS_EVERYWHERE || !cfg!(target_os = "linux") {
            return Ok(SocketPath {
                path: path.to_owned(),
                _folder: None,
            });
        }
        let folder = std::fs::File::open(folder)?;
        let path = Path::new("/proc/self/fd")
            .join(folder.as_raw_fd().to_string())
            .join(name);
        Ok(SocketPath {
            path,
            _folder: Some(folder),
        })
    }

    /// The path to bind or connect to.
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_they_were_written() {
        let start = Order::Start(CaptureOrder {
            engine: "perf".into(),
            mode: "cpu".into(),
            frequency_hz: 999,
            out: "/runs/a b=c%d\n/raw.pb.gz".into(),
        });
        assert_eq!(
            start.to_line(),
            "start engine=perf mode=cpu frequency=999 out=/runs/a%20b%3Dc%25d%0A/raw.pb.gz\n"
        );
        for order in [Order::Go, Order::Stop, start] {
            assert_eq!(Order::parse(&order.to_line()), Ok(order));
        }
        let replies = [
            Reply::Hello(Hello {
                version: 1,
                pid: 4711,
                exe: "/srv/schön".into(),
            }),
            Reply::Ok { engine: None },
            Reply::Ok {
                engine: Some("timer".into()),
            },
            Reply::Error {
                message: "no permission for perf: see perf_event_paranoid".into(),
            },
        ];
        for reply in replies {
            assert_eq!(Reply::parse(&reply.to_line()), Ok(reply));
        }
    }

    #[test]
    fn paths_that_are_not_utf8_survive() {
        use std::os::unix::ffi::OsStringExt;
        let exe = PathBuf::from(std::ffi::OsString::from_vec(b"/a/\xff\xfe".to_vec()));
        let hello = Reply::Hello(Hello {
            version: 1,
            pid: 1,
            exe,
        });
        assert_eq!(hello.to_line(), "hello version=1 pid=1 exe=/a/%FF%FE\n");
        assert_eq!(Reply::parse(&hello.to_line()), Ok(hello));
    }

    #[test]
    fn unknown_keys_are_ignored_and_the_rest_is_refused_with_a_reason() {
        assert_eq!(Order::parse("stop colour=blue\n"), Ok(Order::Stop));
        let refusals = [
            ("begin", "`begin` is no order"),
            ("", "`` is no order"),
            ("start engine=perf", "`start` without `mode`"),
            (
                "start engine=perf mode=cpu frequency=many out=x",
                "`frequency` is no whole number",
            ),
            (
                "start engine=perf mode=cpu frequency=1 out=%4",
                "`out` is not percent-encoded",
            ),
            (
                "start engine=%FF mode=cpu frequency=1 out=x",
                "`engine` is not UTF-8",
            ),
            ("stop now", "`now` has no `=`"),
        ];
        for (text, reason) in refusals {
            let error = Order::parse(text).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("understand a control line: {reason}"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_path_too_long_for_a_socket_address_is_reached_all_the_same() {
        let root = std::env::temp_dir().join(format!("perfwright-control-{}", std::process::id()));
        let folder = root.join("deep".repeat(40));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("control");
        let here = SocketPath::new(&path).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(here.as_path()).unwrap();
        let there = SocketPath::new(&path).unwrap();
        std::os::unix::net::UnixStream::connect(there.as_path()).unwrap();
        listener.accept().unwrap();
        std::fs::remove_dir_all(&root).unwrap();
    }
}
