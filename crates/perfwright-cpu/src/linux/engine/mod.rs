//! What makes a thread stop for a sample: one file for each source of signals.

pub(crate) mod perf;
pub(crate) mod timer;
pub(crate) mod wall;

use perf::PerfEvent;
use timer::CpuTimer;

/// The source of one thread's signals. Dropping it turns it off.
pub(crate) enum Armed {
    Perf(PerfEvent),
    Timer(#[expect(dead_code, reason = "held for its Drop")] CpuTimer),
    /// The collector sends the signals itself.
    Wall,
}
