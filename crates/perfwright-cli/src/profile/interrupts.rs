//! Ctrl-C, and the signals that mean the same: the first asks to finish early, the second to stop at once.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often the user has interrupted.
#[derive(Clone)]
pub(crate) struct Interrupts {
    count: watch::Receiver<u32>,
}

impl Interrupts {
    /// Listens from now on, in place of the signals' default of ending the process.
    pub(crate) fn listen() -> Result<Interrupts> {
        let (sender, count) = watch::channel(0);
        for kind in [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ] {
            let mut signals = signal(kind).context("listen for Ctrl-C")?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    sender.send_modify(|count| *count += 1);
                }
            });
        }
        Ok(Interrupts { count })
    }

    /// Waits until the user has interrupted `times` times.
    pub(crate) async fn reached(&self, times: u32) {
        let mut count = self.count.clone();
        if count.wait_for(|count| *count >= times).await.is_err() {
            // The listeners live as long as the runtime; without them nothing will ever come.
            std::future::pending::<()>().await;
        }
    }

    /// Whether the user has interrupted at all.
    pub(crate) fn any(&self) -> bool {
        *self.count.borrow() > 0
    }
}
