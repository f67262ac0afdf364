//! A closed loop of HTTP requests: each connection sends its next request when the last is answered.
//!
//! The connections are tasks on the command's own single-threaded runtime, not in the service: on a
//! small machine the load competes with what it measures, so it does no more than it must. In a
//! closed loop a slow service slows its load down; latencies are those of its clients, not those of
//! requests that arrive at a given rate.

mod client;
mod mix;
mod random;
mod template;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use client::{Answer, Client, ClientError};
pub(crate) use mix::{Mix, RequestSpec};
use random::Random;

/// How long a connection waits before it tries again after a failed request.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);

/// A load that is running.
pub(crate) struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    connections: JoinSet<Vec<Tally>>,
}

struct Shared {
    mix: Mix,
    to: SocketAddr,
    recording: AtomicBool,
    answered: AtomicU64,
    failed: AtomicU64,
}

/// What one kind of request met while the load was recording.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// Answers of status 2xx.
    pub(crate) ok: u64,
    /// Other answers, and requests without one.
    pub(crate) errors: u64,
    /// The first error, in words.
    pub(crate) first_error: Option<String>,
    /// Latencies of all answers, in microseconds.
    pub(crate) latency_us: Histogram<u64>,
    /// Of the bodies of all requests.
    pub(crate) request_bytes: u64,
    /// Of the bodies of all answers.
    pub(crate) response_bytes: u64,
}

impl Load {
    /// Opens the connections; nothing is recorded yet. Runs inside a tokio runtime.
    pub(crate) fn start(mix: Mix, to: SocketAddr, connections: u16) -> Load {
        let shared = Arc::new(Shared {
            mix,
            to,
            recording: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for seed in 0..connections {
            tasks.spawn(connection(shared.clone(), u64::from(seed), stopped.clone()));
        }
        Load {
            shared,
            stop,
            connections: tasks,
        }
    }

    /// From now on requests count.
    pub(crate) fn record(&self) {
        self.shared.answered.store(0, Ordering::Relaxed);
        self.shared.failed.store(0, Ordering::Relaxed);
        self.shared.recording.store(true, Ordering::Relaxed);
    }

    /// From now on they do not.
    pub(crate) fn pause_recording(&self) {
        self.shared.recording.store(false, Ordering::Relaxed);
    }

    /// Answers so far, and requests without one or with an error status.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (
            self.shared.answered.load(Ordering::Relaxed),
            self.shared.failed.load(Ordering::Relaxed),
        )
    }

    /// Ends the load; requests under way are dropped. Names and tallies in the mix's order.
    pub(crate) async fn stop(mut self) -> Vec<(String, Tally)> {
        // No receiver is left when every connection has already ended.
        let _ = self.stop.send(true);
        let mut totals: Vec<Tally> = self.shared.mix.names().map(|_| Tally::new()).collect();
        while let Some(joined) = self.connections.join_next().await {
            // A task that panicked has no tallies; the panic was printed where it happened.
            for (total, tally) in totals.iter_mut().zip(joined.unwrap_or_default()) {
                total.add(&tally);
            }
        }
        self.shared
            .mix
            .names()
            .map(str::to_owned)
            .zip(totals)
            .collect()
    }
}

impl Tally {
    fn new() -> Tally {
        Tally {
            ok: 0,
            errors: 0,
            first_error: None,
            latency_us: histogram(),
            request_bytes: 0,
            response_bytes: 0,
        }
    }

    /// Answers with these latencies, all of them good.
    #[cfg(test)]
    pub(crate) fn of_micros(latencies: &[u64]) -> Tally {
        let mut tally = Tally::new();
        for &micros in latencies {
            tally.latency_us.saturating_record(micros);
            tally.ok += 1;
        }
        tally
    }

    /// Takes in the counts of another.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.ok += other.ok;
        self.errors += other.errors;
        self.request_bytes += other.request_bytes;
        self.response_bytes += other.response_bytes;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
        // Both have the bounds of `histogram`, so nothing is out of range.
        let _ = self.latency_us.add(&other.latency_us);
    }
}

/// 1 us to one hour at three digits.
fn histogram() -> Histogram<u64> {
    let made = Histogram::new_with_bounds(1, 3_600_000_000, 3);
    made.expect("constant bounds that the histogram's documentation allows")
}

async fn connection(
    shared: Arc<Shared>,
    seed: u64,
    mut stopped: watch::Receiver<bool>,
) -> Vec<Tally> {
    let mut tallies: Vec<Tally> = shared.mix.names().map(|_| Tally::new()).collect();
    let requests = send_requests(&shared, seed, &mut tallies);
    tokio::select! {
        () = requests => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    tallies
}

async fn send_requests(shared: &Shared, seed: u64, tallies: &mut [Tally]) {
    let mut random = Random::new(seed);
    let mut client = Client::new(shared.to);
    loop {
        let draw = shared.mix.draw(&mut random);
        let kind = draw.kind;
        let sent = draw.body.as_ref().map_or(0, |(_, body)| body.len() as u64);
        let begin = Instant::now();
        let outcome = client.send(draw).await;
        let latency = begin.elapsed();
        if shared.recording.load(Ordering::Relaxed) {
            tallies[kind].request_bytes += sent;
            note(shared, &mut tallies[kind], &outcome, latency);
        }
        if outcome.is_err() {
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}

fn note(
    shared: &Shared,
    tally: &mut Tally,
    outcome: &Result<Answer, ClientError>,
    latency: Duration,
) {
    let error = match outcome {
        Ok(answer) if answer.status.is_success() => None,
        Ok(answer) => Some(format!("status {}", answer.status)),
        Err(error) => Some(error.to_string()),
    };
    if let Ok(answer) = outcome {
        tally.response_bytes += answer.bytes;
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        tally.latency_us.saturating_record(micros);
        shared.answered.fetch_add(1, Ordering::Relaxed);
    }
    match error {
        None => tally.ok += 1,
        Some(error) => {
            tally.errors += 1;
            shared.failed.fetch_add(1, Ordering::Relaxed);
            tally.first_error.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers `/ok` with 200, `/missing` with 404, and closes the connection on `/drop`.
    async fn serve(listener: TcpListener) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    request.extend_from_slice(&buffer[..count]);
                    if !request.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    let answer: &[u8] = match &request[4..8] {
                        b"/ok " => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
                        b"/mis" => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
                        _ => return,
                    };
                    request.clear();
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
    }

    fn spec(path: &str) -> RequestSpec {
        serde_json::from_value(serde_json::json!({"name": path, "path": path})).unwrap()
    }

    #[test]
    fn answers_errors_and_dropped_connections_are_told_apart() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let to = listener.local_addr().unwrap();
            tokio::spawn(serve(listener));
            let mix = Mix::new(&[spec("/ok"), spec("/missing"), spec("/drop")]).unwrap();
            let load = Load::start(mix, to, 3);
            load.record();
            while load.progress().0 < 200 || load.progress().1 < 20 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            load.pause_recording();
            let (answered, failed) = load.progress();
            let tallies = load.stop().await;
            let [(_, ok), (_, missing), (_, dropped)] = &tallies[..] else {
                panic!("{tallies:?}")
            };
            assert_eq!((ok.errors, &ok.first_error), (0, &None));
            assert_eq!(ok.latency_us.len(), ok.ok);
            assert_eq!((ok.response_bytes, ok.request_bytes), (2 * ok.ok, 0));
            assert_eq!(missing.ok, 0);
            assert_eq!(missing.first_error.as_deref(), Some("status 404 Not Found"));
            assert_eq!(missing.latency_us.len(), missing.errors);
            assert_eq!((dropped.ok, dropped.latency_us.len()), (0, 0));
            assert!(
                dropped.first_error.as_ref().unwrap().contains("connection"),
                "{dropped:?}"
            );
            assert_eq!(ok.ok + missing.errors, answered);
            assert_eq!(missing.errors + dropped.errors, failed);
        });
    }
}
