//! The profiled program as a process: started in a group of its own, never left behind.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use perfwright::control::SOCKET_VARIABLE;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::child::{self, signal};

/// How long the program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long its output is awaited after it ended; a process of its own may hold the pipe open.
const OUTPUT_WAIT: Duration = Duration::from_millis(300);
/// How long a killed program may take to be gone.
const KILL_WAIT: Duration = Duration::from_secs(2);
const TAIL_LINES: usize = 20;
/// A longer line is cut there in the tail, and continued on a line of its own in the file.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// A running program. Dropping it kills its whole process group.
pub(crate) struct Process {
    child: Child,
    group: libc::pid_t,
    ended: Option<ExitStatus>,
    output: Arc<Mutex<Output>>,
    readers: JoinSet<()>,
}

/// How a program was brought to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It had ended by itself.
    ByItself,
    /// It ended on SIGTERM.
    Terminated,
    /// It did not, and was killed.
    Killed,
}

struct Output {
    log: File,
    tail: VecDeque<String>,
}

impl Process {
    /// The program's process id.
    pub(crate) fn id(&self) -> u32 {
        // A group's id is that of the process it was made for, and never negative.
        self.group.unsigned_abs()
    }

    /// Starts a program whose output goes to `log`, with `socket` as the command to say hello to.
    pub(crate) fn start(exe: &Path, args: &[String], socket: &Path, log: &Path) -> Result<Process> {
        let log = File::create(log).with_context(|| format!("write {}", log.display()))?;
        let mut command = Command::new(exe);
        command
            .args(args)
            .env(SOCKET_VARIABLE, socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        child::own(&mut command);
        let mut child = command
            .spawn()
            .with_context(|| format!("start {}", exe.display()))?;
        let pid = child
            .id()
            .context("start the program: it has no process id")?;
        let output = Arc::new(Mutex::new(Output {
            log,
            tail: VecDeque::new(),
        }));
        let mut readers = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            readers.spawn(keep_output(stdout, output.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(keep_output(stderr, output.clone()));
        }
        let group = libc::pid_t::try_from(pid).context("read the program's process id")?;
        Ok(Process {
            child,
            group,
            ended: None,
            output,
            readers,
        })
    }

    /// Waits until the program has ended and its output is read.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let status = self.child.wait().await?;
        self.ended = Some(status);
        let readers = &mut self.readers;
        let drained = async { while readers.join_next().await.is_some() {} };
        // What comes later is another process's, and not worth waiting for.
        let _ = timeout(OUTPUT_WAIT, drained).await;
        Ok(status)
    }

    /// Ends the program: SIGTERM, and SIGKILL when it takes too long. Then its children are killed.
    pub(crate) async fn end(&mut self) -> io::Result<(Ending, ExitStatus)> {
        if let Some(status) = self.ended {
            self.kill_group();
            return Ok((Ending::ByItself, status));
        }
        signal(self.group, libc::SIGTERM);
        let ending = match timeout(GRACE, self.ended()).await {
            Ok(status) => (Ending::Terminated, status?),
            Err(_) => {
                self.child.start_kill()?;
                (Ending::Killed, self.ended().await?)
            }
        };
        self.kill_group();
        Ok(ending)
    }

    /// The last lines of its output, for a message about its end; empty when it said nothing.
    pub(crate) fn last_words(&self) -> String {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        if !output.tail.is_empty() {
            text.push_str("\n\nThe last lines of its output:");
        }
        for line in &output.tail {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  {line}");
        }
        text
    }

    /// Whether its output says that the address it was to listen on is taken.
    pub(crate) fn says_port_taken(&self) -> bool {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.tail.iter().any(|line| {
            let line = line.to_lowercase();
            [
                "address already in use",
                "address in use",
                "addrinuse",
                "port is taken",
            ]
            .iter()
            .any(|words| line.contains(words))
        })
    }

    fn kill_group(&self) {
        signal(-self.group, libc::SIGKILL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
        // A killed process is gone a moment later; whoever sees us end may count on it.
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < KILL_WAIT {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

async fn keep_output(stream: impl AsyncRead + Unpin, output: Arc<Mutex<Output>>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stream)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(1..) => output
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .keep(&line),
            Ok(0) | Err(_) => return,
        }
    }
}

impl Output {
    fn keep(&mut self, line: &[u8]) {
        // A full disk must not stop the program; its last lines are in the tail.
        let _ = self.log.write_all(line);
        let text = String::from_utf8_lossy(line);
        // Control characters would act on the terminal that shows the tail.
        let text: String = text
            .trim_end()
            .chars()
            .filter(|c| !c.is_control())
            .take(500)
            .collect();
        self.tail.push_back(text);
        if self.tail.len() > TAIL_LINES {
            self.tail.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(test: impl AsyncFnOnce(&Path) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test(folder.path()))
    }

    fn shell(folder: &Path, script: &str) -> Process {
        let args = ["-c".to_owned(), script.to_owned()];
        let (socket, log) = (folder.join("control"), folder.join("program.log"));
        Process::start(Path::new("/bin/sh"), &args, &socket, &log).unwrap()
    }

    fn gone(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        // A zombie nobody has reaped yet is no running process.
        stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
    }

    #[test]
    fn its_output_is_kept_and_the_last_lines_are_shown() {
        run(async |folder| {
            let mut process = shell(folder, "seq 1 30; echo \"$PERFWRIGHT_CONTROL\" >&2; exit 3");
            assert_eq!(process.ended().await.unwrap().code(), Some(3));
            let words = process.last_words();
            assert!(
                words.starts_with("\n\nThe last lines of its output:\n  "),
                "{words}"
            );
            assert!(
                words.contains("\n  30") && !words.contains("\n  9\n"),
                "{words}"
            );
            let socket = folder.join("control").display().to_string();
            assert!(words.contains(&socket), "{words}");
            let log = std::fs::read_to_string(folder.join("program.log")).unwrap();
            assert_eq!(log.lines().count(), 31);
            assert_eq!(process.end().await.unwrap().0, Ending::ByItself);
        });
    }

    #[test]
    fn it_ends_on_sigterm_and_takes_its_children_along() {
        run(async |folder| {
            let mut process = shell(folder, "sleep 60 & echo $!; wait");
            while process.last_words().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(process.end().await.unwrap().0, Ending::Terminated);
            let child = std::fs::read_to_string(folder.join("program.log")).unwrap();
            while !gone(&child) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    #[test]
    fn dropping_it_leaves_nothing_running() {
        run(async |folder| {
            let process = shell(folder, "trap '' TERM; echo $$; while :; do sleep 1; done");
            while process.last_words().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            drop(process);
            let pid = std::fs::read_to_string(folder.join("program.log")).unwrap();
            while !gone(&pid) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    #[test]
    fn a_taken_port_is_recognised() {
        run(async |folder| {
            let said =
                "Error: Os { code: 98, kind: AddrInUse, message: \"Address already in use\" }";
            let mut process = shell(folder, &format!("echo '{said}' >&2; exit 1"));
            process.ended().await.unwrap();
            assert!(process.says_port_taken());
        });
    }

    #[test]
    fn what_cannot_be_started_is_named() {
        run(async |folder| {
            let exe = folder.join("absent");
            let log = folder.join("program.log");
            let error = Process::start(&exe, &[], &folder.join("control"), &log)
                .err()
                .unwrap();
            assert!(
                error
                    .to_string()
                    .contains(&format!("start {}", exe.display())),
                "{error}"
            );
        });
    }
}
