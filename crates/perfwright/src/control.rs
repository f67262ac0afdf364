//! How a controlling command and a profiled process talk.
//!
//! A command such as `cargo perfwright profile` listens on a Unix socket and starts the program with
//! the socket's path in the environment variable [`SOCKET_VARIABLE`]. Inside the program,
//! [`crate::start`] connects and the two exchange lines:
//!
//! ```text
//! process                                     command
//!   hello version=1 pid=4711 exe=/srv/shop heap=1
//!                                           ->
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
//! - `heap=1` says that the program's allocator can be sampled. Then `go` and `start` may carry `heap_rate` (bytes
//!   between samples, on average), `heap_epoch` (milliseconds) and `heap_out`, a folder. The heap is sampled
//!   from the first of these orders on, to know what was allocated before the capture and lives in it; the
//!   files that the folder gets when the capture ends are named in [`heap_files`].
//! - `spans_out` of `start` is a folder too. If the program has a span layer by the time the capture ends, the folder
//!   gets the files named in [`span_files`].
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
    /// Whether its allocator can be sampled.
    pub heap: bool,
}

/// What the command says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Carry on; a capture may be ordered later. The heap is to be sampled from now on.
    Go(Option<HeapOrder>),
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
    /// What of the heap.
    pub heap: Option<HeapOrder>,
    /// The folder that [`span_files`] go to.
    pub spans: Option<PathBuf>,
}

/// The heap's part of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeapOrder {
    /// The mean distance between samples in bytes.
    pub rate_bytes: u64,
    /// The unit of age in which leaks are looked for, in milliseconds.
    pub epoch_millis: u32,
    /// The folder that [`heap_files`] go to.
    pub out: PathBuf,
}

/// The names of the raw files that a capture of the heap gives.
pub mod heap_files {
    /// Allocated during the capture, and in use at its end. The memory timeline is in its comments.
    pub const HEAP: &str = "heap.pb.gz";
    /// In use when most was; absent if nothing was sampled.
    pub const PEAK: &str = "peak.pb.gz";
    /// The sample types of [`SUSPECTS`], with their units: what is known of each suspect.
    pub const SUSPECT_TYPES: [(&str, &str); 6] = [
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
        ("growth", "bytes/second"),
        ("growth_error", "bytes/second"),
        ("oldest_age", "nanoseconds"),
        ("survived", "ppm"),
    ];
    /// Sites that look like leaks, with how they grow.
    pub const SUSPECTS: &str = "suspects.pb.gz";
}

/// The names of the raw files that a capture of a program with a span layer gives.
pub mod span_files {
    /// What each path of spans took, as a profile.
    pub const PROFILE: &str = "spans.pb.gz";
    /// What a profile has no place for: the `Account` of `perfwright::spans`, as JSON.
    pub const ACCOUNT: &str = "spans.json";
    /// The slowest requests, as Chrome's trace events.
    pub const TRACE: &str = "trace.json";
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
                    ("heap", if hello.heap { b"1" } else { b"0" }),
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
                heap: fields.text("heap").is_ok_and(|heap| heap == "1"),
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
            Order::Go(heap) => heap_order("go", &[], heap.as_ref()),
            Order::Stop => line("stop", &[]),
            Order::Start(order) => {
                let frequency = order.frequency_hz.to_string();
                let mut pairs = vec![
                    ("engine", order.engine.as_bytes()),
                    ("mode", order.mode.as_bytes()),
                    ("frequency", frequency.as_bytes()),
                    ("out", order.out.as_os_str().as_encoded_bytes()),
                ];
                if let Some(spans) = &order.spans {
                    pairs.push(("spans_out", spans.as_os_str().as_encoded_bytes()));
                }
                heap_order("start", &pairs, order.heap.as_ref())
            }
        }
    }

    /// Reads a line, with or without its newline.
    pub fn parse(text: &str) -> Result<Order, ProtocolError> {
        let fields = Fields::parse(text)?;
        match fields.word {
            "go" => Ok(Order::Go(fields.heap_order()?)),
            "stop" => Ok(Order::Stop),
            "start" => Ok(Order::Start(CaptureOrder {
                engine: fields.text("engine")?,
                mode: fields.text("mode")?,
                frequency_hz: fields.number("frequency")?,
                out: fields.path("out")?,
                heap: fields.heap_order()?,
                spans: fields.path("spans_out").ok(),
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

    fn heap_order(&self) -> Result<Option<HeapOrder>, ProtocolError> {
        if !self.pairs.iter().any(|(key, _)| *key == "heap_rate") {
            return Ok(None);
        }
        Ok(Some(HeapOrder {
            rate_bytes: self.number("heap_rate")?,
            epoch_millis: self.number("heap_epoch")?,
            out: self.path("heap_out")?,
        }))
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Result<T, ProtocolError> {
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

/// A line of an order that may carry one for the heap.
fn heap_order(word: &str, pairs: &[(&str, &[u8])], heap: Option<&HeapOrder>) -> String {
    let Some(heap) = heap else {
        return line(word, pairs);
    };
    let (rate, epoch) = (heap.rate_bytes.to_string(), heap.epoch_millis.to_string());
    let pairs = [
        pairs,
        &[
            ("heap_rate", rate.as_bytes()),
            ("heap_epoch", epoch.as_bytes()),
            ("heap_out", heap.out.as_os_str().as_encoded_bytes()),
        ],
    ];
    line(word, &pairs.concat())
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
            heap: None,
            spans: Some("/runs/spans".into()),
        });
        let heap = HeapOrder {
            rate_bytes: 1 << 40,
            epoch_millis: 500,
            out: "/runs/x".into(),
        };
        assert_eq!(
            start.to_line(),
            "start engine=perf mode=cpu frequency=999 out=/runs/a%20b%3Dc%25d%0A/raw.pb.gz \
             spans_out=/runs/spans\n"
        );
        let go = Order::Go(Some(heap));
        assert_eq!(
            go.to_line(),
            "go heap_rate=1099511627776 heap_epoch=500 heap_out=/runs/x\n"
        );
        for order in [Order::Go(None), go, Order::Stop, start] {
            assert_eq!(Order::parse(&order.to_line()), Ok(order));
        }
        let replies = [
            Reply::Hello(Hello {
                version: 1,
                pid: 4711,
                exe: "/srv/schön".into(),
                heap: true,
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
            heap: false,
        });
        assert_eq!(
            hello.to_line(),
            "hello version=1 pid=1 exe=/a/%FF%FE heap=0\n"
        );
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
            ("go heap_rate=1", "`go` without `heap_epoch`"),
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
