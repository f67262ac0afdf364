//! Runtimes that async benches run on.

use std::io;

use criterion::async_executor::AsyncExecutor;
use tokio::runtime::{Builder, Runtime};

/// A tokio runtime to run async benches on (feature `tokio`).
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// use criterion::Criterion;
/// use perfwright_criterion::{CriterionExt as _, ProcessCpu, Tokio};
///
/// let runtime = Tokio::multi_thread(2)?;
/// // The runtime's threads work for the bench: its own thread's CPU time would miss them.
/// let mut criterion = Criterion::default().with_measurement(ProcessCpu);
/// criterion.counted("spawn", |bencher| {
///     bencher.to_async(&runtime).iter(async || tokio::spawn(async { 1 + 1 }).await.ok());
/// });
/// # Ok(()) }
/// ```
///
/// All iterations of a batch run one after the other within one `block_on`, on the bench's own thread; what they
/// spawn runs on the runtime's. Measure by [`ProcessCpu`](crate::ProcessCpu), or by the wall clock where waiting is
/// part of the question.
#[derive(Debug)]
pub struct Tokio(Runtime);

impl Tokio {
    /// A runtime that runs everything on the bench's own thread.
    ///
    /// # Errors
    /// If the system does not give what it needs.
    pub fn current_thread() -> io::Result<Tokio> {
        Builder::new_current_thread()
            .enable_all()
            .build()
            .map(Tokio)
    }

    /// A runtime with so many threads of its own, at least one.
    ///
    /// # Errors
    /// If the system does not give what it needs.
    pub fn multi_thread(workers: usize) -> io::Result<Tokio> {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(workers.max(1))
            .enable_all()
            .build()
            .map(Tokio)
    }
}

/// Another runtime that was built elsewhere.
impl From<Runtime> for Tokio {
    fn from(runtime: Runtime) -> Tokio {
        Tokio(runtime)
    }
}

impl AsyncExecutor for &Tokio {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }
}

impl AsyncExecutor for Tokio {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }
}
