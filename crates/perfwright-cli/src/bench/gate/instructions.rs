//! Instructions of a bench, counted by valgrind: exact, and the same on a busy machine.

use std::fs;
use std::process::Stdio;

use perfwright_criterion::protocol::{Batch, Order, VARIABLE};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::contest::Contestant;
use crate::child;

/// So long a bench is to run in all, by its time without valgrind, which makes it some 50 times slower.
const NANOS: f64 = 5e6;
const MOST_ITERATIONS: f64 = 1_000.0;

/// Whether valgrind can be started.
pub(crate) async fn is_installed() -> bool {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    valgrind.status().await.is_ok_and(|status| status.success())
}

/// Instructions of one iteration, of which each takes so many nanoseconds; `None` if valgrind does not get through.
pub(crate) async fn count(contestant: &Contestant, nanos: f64) -> Option<f64> {
    let executable = &contestant.executable;
    let out = executable.log.with_extension("callgrind");
    let iterations = (NANOS / nanos.max(1.0)).clamp(1.0, MOST_ITERATIONS) as u64;
    let log = fs::File::create(&executable.log).ok()?;
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--collect-atstart=no"])
        // The function around the measured iterations, see the suite's clocks.
        .arg("--toggle-collect=*perfwright_gate_collected*")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(&executable.path)
        .args(["--bench", "--list"])
        .env(VARIABLE, "1")
        .current_dir(&executable.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::from(log));
    child::own(&mut command);
    let mut valgrind = command.spawn().ok()?;
    let order = Order::Run(Batch {
        bench: contestant.bench,
        warmup: 1,
        iterations,
    });
    let mut orders = valgrind.stdin.take()?;
    orders.write_all(order.to_line().as_bytes()).await.ok()?;
    // It ends when there are no more orders.
    drop(orders);
    let ended = timeout(executable.patience, valgrind.wait()).await;
    if !ended.ok()?.ok()?.success() {
        return None;
    }
    let text = fs::read_to_string(&out).ok()?;
    let _ = fs::remove_file(&out);
    let total = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals: "))?;
    let total: f64 = total.trim().parse().ok()?;
    (total > 0.0).then_some(total / iterations as f64)
}
