//! The command's end of the control connection: see `perfwright::control` for the protocol.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use perfwright::control::{HeapOrder, Hello, LINE_BYTES_MAX, Order, Reply, SocketPath, VERSION};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Where programs say hello.
pub(crate) struct Door {
    listener: UnixListener,
    path: PathBuf,
    // Keeps the folder open that the listener's path may go through.
    _reach: SocketPath,
}

impl Drop for Door {
    fn drop(&mut self) {
        // A run holds files for people; the socket was none.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The connection to the program that is profiled.
pub(crate) struct Session {
    stream: BufReader<UnixStream>,
    can_sample_heap: bool,
}

impl Door {
    /// Opens a socket in a folder that only this user's processes can reach.
    pub(crate) fn open(folder: &Path) -> Result<Door> {
        let path = folder.join("control");
        let open = || {
            let reach = SocketPath::new(&path)?;
            Ok::<_, std::io::Error>((UnixListener::bind(reach.as_path())?, reach))
        };
        let (listener, reach) = open().with_context(|| format!("open {}", path.display()))?;
        Ok(Door {
            listener,
            path,
            _reach: reach,
        })
    }

    /// What the program gets to know.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The first program that says hello in a version that this command speaks.
    pub(crate) async fn hello(&self) -> Result<Session> {
        let (stream, _) = self
            .listener
            .accept()
            .await
            .context("hear from the program")?;
        let mut session = Session {
            stream: BufReader::new(stream),
            can_sample_heap: false,
        };
        match session.reply().await? {
            Reply::Hello(Hello {
                version: VERSION,
                heap,
                ..
            }) => {
                session.can_sample_heap = heap;
                Ok(session)
            }
            Reply::Hello(Hello { version, .. }) => bail!(
                "talk to the program: its perfwright speaks version {version}, this command {VERSION}; \
                 use the same version of both"
            ),
            other => bail!("talk to the program: it began with {other:?}"),
        }
    }
}

impl Session {
    /// Whether the program's allocator can be sampled.
    pub(crate) fn can_sample_heap(&self) -> bool {
        self.can_sample_heap
    }

    /// Tells the program to carry on for now.
    pub(crate) async fn go(&mut self, heap: Option<HeapOrder>) -> Result<()> {
        self.send(&Order::Go(heap)).await
    }

    /// Gives an order and returns what the program replied; its error is returned as one.
    pub(crate) async fn order(&mut self, order: &Order) -> Result<Option<String>> {
        self.send(order).await?;
        match self.reply().await? {
            Reply::Ok { engine } => Ok(engine),
            Reply::Error { message } => bail!("{message}"),
            Reply::Hello(_) => bail!("talk to the program: it said hello twice"),
        }
    }

    async fn send(&mut self, order: &Order) -> Result<()> {
        let line = order.to_line();
        self.stream
            .write_all(line.as_bytes())
            .await
            .context("talk to the program")
    }

    async fn reply(&mut self) -> Result<Reply> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(LINE_BYTES_MAX as u64);
        limited
            .read_until(b'\n', &mut line)
            .await
            .context("talk to the program")?;
        if line.last() != Some(&b'\n') {
            bail!("talk to the program: it closed the connection");
        }
        Reply::parse(&String::from_utf8_lossy(&line)).context("talk to the program")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A door, a program that says `said` and then echoes nothing, and what came of it.
    fn greeted(said: &str) -> Result<Session> {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let door = Door::open(folder.path()).unwrap();
            let mut stream = UnixStream::connect(door.path()).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            drop(stream);
            door.hello().await
        })
    }

    #[test]
    fn only_a_hello_of_this_version_is_accepted() {
        assert!(greeted("hello version=1 pid=1 exe=/x\n").is_ok());
        let cases = [
            (
                "hello version=2 pid=1 exe=/x\n",
                "its perfwright speaks version 2, this command 1",
            ),
            ("ok\n", "it began with Ok"),
            ("GET / HTTP/1.1\r\n", "has no `=`"),
            ("hello version=1", "it closed the connection"),
            ("", "it closed the connection"),
        ];
        for (said, expected) in cases {
            let error = format!("{:#}", greeted(said).err().unwrap());
            assert!(error.contains(expected), "{said:?}: {error}");
        }
    }
}
