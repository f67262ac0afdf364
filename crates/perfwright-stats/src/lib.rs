//! Statistics for performance comparisons.
//!
//! Some questions, each with the function that answers it:
//! * How sure is a share of a profile, and do two profiles differ? [`Share`], [`Share::compare`], and
//!   [`false_discovery_rates`] over all functions of a table.
//! * How many equal samples are these weighted ones worth? [`effective_count`].
//! * By how much does one program differ from another, measured in turns? [`paired::log_ratio`] for some tens of
//!   pairs; [`turns`] for many small batches that are looked at more than once.
//! * And measured one after the other, as far as that can be told? [`ratio_of_medians`].
//! * When did a series of measurements change? [`change_points`].
//! * How does a cost grow with the size of the input? [`complexity::fit`].
//!
//! Everything is pure and deterministic: what draws random numbers takes a seed.
//!
//! What it will not do: tell variation between runs from a difference between programs. A profile is one run,
//! and its samples only carry the error of sampling it; two runs of the same program under another load differ
//! for real. Repeat the runs, in turns, and ask [`paired::log_ratio`].

mod change;
pub mod complexity;
mod discovery;
mod medians;
mod normal;
pub mod paired;
mod rng;
mod share;
mod student;
pub mod turns;

pub use change::{ChangePoint, change_points};
pub use discovery::false_discovery_rates;
pub use medians::ratio_of_medians;
pub use normal::two_sided_p;
pub use rng::Rng;
pub use share::{Comparison, Share, effective_count, effective_count_of_groups};
pub use student::{student_above, student_quantile};
