//! How often to sample, within which bounds.

use std::time::Duration;

/// How to sample. `Options::default()` is right for an always-on profile.
///
/// ```
/// use perfwright_heap::Options;
/// let options = Options::new().rate_bytes(64 << 10);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The mean distance between samples, in bytes allocated; 1 to 2^48. A site that allocated `b` bytes in small
    /// blocks is known to within `sqrt(rate_bytes / b)`, one standard deviation: of 1 GiB at 512 KiB, 2.2 %.
    pub rate_bytes: u64,
    /// How large the profiler's own tables may grow: they lie beside the heap, are reserved at the start and
    /// touched as they fill. A sampled block that is live takes 80 to 200 bytes, a site 0.5 to 1.5 KiB. What finds
    /// no room is counted. 256 KiB at least.
    pub max_memory_bytes: usize,
    /// How long an epoch is: the unit in which the age of live blocks is known. Zero makes none by itself:
    /// then only [`Sampler::mark`](crate::Sampler::mark) does.
    pub epoch: Duration,
    /// Where the random distances start, for a test that is to be repeated; `None` for each start another.
    pub seed: Option<u64>,
}

/// Least memory that a session takes.
pub(crate) const MIN_MEMORY_BYTES: usize = 256 << 10;

impl Default for Options {
    fn default() -> Self {
        Self {
            rate_bytes: 512 << 10,
            max_memory_bytes: 64 << 20,
            epoch: Duration::from_secs(1),
            seed: None,
        }
    }
}

macro_rules! setters {
    ($($field:ident: $type:ty),* $(,)?) => {
        impl Options {
            $(
                #[doc = concat!("Sets [`Options::", stringify!($field), "`](#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, value: $type) -> Self {
                    self.$field = value;
                    self
                }
            )*
        }
    };
}

setters! {
    rate_bytes: u64,
    max_memory_bytes: usize,
    epoch: Duration,
    seed: Option<u64>,
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
