//! A bench executable that is kept running and driven in batches.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use perfwright_criterion::protocol::{
    Batch, Hello, LINE_BYTES_MAX, Measured, Order, ProtocolError, Reply, VARIABLE, VERSION,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::child;

/// How long an executable may take until it says hello. One that is no suite says something else sooner, or ends.
const HELLO_WAIT: Duration = Duration::from_secs(20);
/// A path up to this length makes no difference to where the stack begins.
const PATH_ALLOWANCE: usize = 512;
/// Bytes of an executable's last words that are shown.
const LAST_WORDS: usize = 600;

/// What is needed to start a bench executable.
#[derive(Debug, Clone)]
pub(crate) struct Executable {
    pub(crate) path: PathBuf,
    /// The folder that its benches expect to run in.
    pub(crate) folder: PathBuf,
    /// Where what it prints goes.
    pub(crate) log: PathBuf,
    /// How long one answer may take.
    pub(crate) patience: Duration,
}

impl Executable {
    /// So many characters more, and what this path is shorter than others: it stands on the stack twice, as the
    /// program's first argument and as what was executed.
    fn padded(&self, padding: usize) -> String {
        let shorter = PATH_ALLOWANCE.saturating_sub(self.path.as_os_str().len());
        format!("1{}", ".".repeat(padding + 2 * shorter))
    }
}

/// A running bench executable. Dropping it kills its process group.
pub(crate) struct Subject {
    child: Child,
    group: libc::pid_t,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
    line: Vec<u8>,
    log: PathBuf,
    patience: Duration,
}

/// Why a bench executable gave no number.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It cannot be started.
    Start(PathBuf, io::Error),
    /// It is no suite: it said something else than hello, or ended.
    NoSuite,
    /// It speaks another version of the protocol.
    Version(u32),
    /// It said that a bench failed.
    Failed(String),
    /// It gave no answer in time.
    Hung(Duration),
    /// It ended, with these last words.
    Ended(Option<ExitStatus>, String),
    /// It said something else than what was asked.
    Garbled(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Start(path, error) => {
                write!(f, "{} cannot be started: {error}", path.display())
            }
            Trouble::NoSuite => f.write_str("it is not written with perfwright_criterion::Suite"),
            Trouble::Version(version) => write!(
                f,
                "it speaks version {version} of the gate's protocol, this command version {VERSION}: use a \
                 perfwright-criterion and a command of the same release"
            ),
            Trouble::Failed(message) => f.write_str(message),
            Trouble::Hung(patience) => write!(
                f,
                "it gave no answer within {} s (--timeout)",
                patience.as_secs_f64()
            ),
            Trouble::Ended(status, words) => {
                f.write_str("it ended in the middle of a batch")?;
                if let Some(status) = status {
                    write!(f, " ({status})")?;
                }
                match words.as_str() {
                    "" => Ok(()),
                    words => write!(f, ": {words}"),
                }
            }
            Trouble::Garbled(problem) => write!(f, "it answered something else: {problem}"),
        }
    }
}

impl From<ProtocolError> for Trouble {
    fn from(error: ProtocolError) -> Trouble {
        Trouble::Garbled(format!("failed to {error}"))
    }
}

impl Subject {
    /// Starts it and waits for its hello.
    ///
    /// Where a program's stack lies beside its heap can matter more than what is measured (a bench of formatting
    /// differed by 12 % from one process of the same executable to the next). So addresses are fixed, but for
    /// `padding` bytes at the stack's start: processes with the same padding are alike, and a group of them after
    /// the other sees many layouts.
    pub(crate) async fn start(executable: &Executable, padding: usize) -> Result<Subject, Trouble> {
        let cannot = |error| Trouble::Start(executable.path.clone(), error);
        let log = File::create(&executable.log).map_err(cannot)?;
        let mut command = Command::new(&executable.path);
        command
            // One that is no suite lists its benches with this, rather than running them.
            .args(["--bench", "--list"])
            .env(VARIABLE, executable.padded(padding))
            .current_dir(&executable.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(log));
        child::own_session(&mut command);
        child::fixed_addresses(&mut command);
        let mut child = command.spawn().map_err(cannot)?;
        let parts = (child.id(), child.stdin.take(), child.stdout.take());
        let (Some(pid), Some(orders), Some(replies)) = parts else {
            return Err(cannot(io::Error::other("it has no pipes")));
        };
        let mut subject = Subject {
            child,
            // The kernel's process ids are positive numbers of that type.
            group: pid as libc::pid_t,
            orders,
            replies: BufReader::new(replies),
            line: Vec::new(),
            log: executable.log.clone(),
            patience: executable.patience,
        };
        subject.hello().await?;
        Ok(subject)
    }

    async fn hello(&mut self) -> Result<(), Trouble> {
        let patience = std::mem::replace(&mut self.patience, HELLO_WAIT);
        let reply = self.reply().await;
        self.patience = patience;
        match reply {
            Ok(Reply::Hello(Hello {
                version: VERSION, ..
            })) => Ok(()),
            Ok(Reply::Hello(hello)) => Err(Trouble::Version(hello.version)),
            Ok(_) | Err(Trouble::Garbled(_) | Trouble::Ended(..) | Trouble::Hung(_)) => {
                Err(Trouble::NoSuite)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// The names of its benches, in the order of their numbers.
    pub(crate) async fn list(&mut self) -> Result<Vec<String>, Trouble> {
        self.order(Order::List).await?;
        let mut names = Vec::new();
        loop {
            match self.reply().await? {
                Reply::Bench { name } => names.push(name),
                Reply::End => return Ok(names),
                other => return Err(unasked(&other)),
            }
        }
    }

    /// Runs a batch.
    pub(crate) async fn run(&mut self, batch: Batch) -> Result<Measured, Trouble> {
        self.order(Order::Run(batch)).await?;
        match self.reply().await? {
            Reply::Ran(measured) => Ok(measured),
            Reply::Failed { message } => Err(Trouble::Failed(message)),
            other => Err(unasked(&other)),
        }
    }

    async fn order(&mut self, order: Order) -> Result<(), Trouble> {
        // One that ended is told from what it says next: nothing.
        let _ = self.orders.write_all(order.to_line().as_bytes()).await;
        Ok(())
    }

    async fn reply(&mut self) -> Result<Reply, Trouble> {
        self.line.clear();
        let mut limited = (&mut self.replies).take(LINE_BYTES_MAX as u64);
        let read = limited.read_until(b'\n', &mut self.line);
        match timeout(self.patience, read).await {
            Err(_) => return Err(Trouble::Hung(self.patience)),
            Ok(Ok(0) | Err(_)) => return Err(self.ended().await),
            Ok(Ok(_)) => {}
        }
        let text = String::from_utf8_lossy(&self.line);
        Ok(Reply::parse(&text)?)
    }

    async fn ended(&mut self) -> Trouble {
        // It closed its output; its end is a moment away, if it comes at all.
        let status = timeout(Duration::from_secs(1), self.child.wait()).await;
        let status = status.ok().and_then(Result::ok);
        Trouble::Ended(status, last_words(&self.log))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        child::signal(-self.group, libc::SIGKILL);
    }
}

fn unasked(reply: &Reply) -> Trouble {
    Trouble::Garbled(format!("`{}`", reply.to_line().trim_end()))
}

/// The end of what an executable printed, as one line without control characters.
pub(crate) fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let tail = &text[text.len().saturating_sub(LAST_WORDS)..];
    let tail = String::from_utf8_lossy(tail);
    let lines = tail.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" | ");
    line.replace(char::is_control, " ")
}
