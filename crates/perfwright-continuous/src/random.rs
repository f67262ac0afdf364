//! Numbers for jitter: good enough to spread a fleet, not for secrets.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// splitmix64. Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Another sequence in each process: the standard library seeds its hash maps from the system.
    pub(crate) fn new() -> Self {
        Self(RandomState::new().hash_one(std::process::id()))
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..span`.
    pub(crate) fn below(&mut self, span: Duration) -> Duration {
        let fraction = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        span.mul_f64(fraction)
    }
}
