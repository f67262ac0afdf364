//! What makes a thread stop for a sample: one file for each source of signals.

pub(crate) mod perf;
pub(crate) mod timer;
pub(crate) mod wall;

use perf::PerfEvent;
use timer::CpuTimer;

/// The source of one thread's signals. Dropping it turns it off.
#[expect(dead_code, reason = "the fields are held for their Drop")]
pub(crate) enum Armed {
    Perf(PerfEvent),
    Timer(CpuTimer),
    /// The collector sends the signals itself.
    Wall,
}
