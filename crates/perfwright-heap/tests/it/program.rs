//! What tests have in common: one sampler at a time, allocations with a name, values by that name.

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};

use perfwright_heap::{Capture, Options, Sampler};
use perfwright_model::Profile;

/// The label of an allocation site.
pub(crate) const SITE: &str = "site";

/// There is one sampler in a process: tests take turns.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A sampler of a fixed seed; epochs by mark only.
pub(crate) fn start(rate_bytes: u64) -> Sampler {
    let options = Options::new()
        .rate_bytes(rate_bytes)
        .seed(Some(12_345))
        .epoch(std::time::Duration::ZERO);
    Sampler::start(options).expect("nothing is in the way")
}

/// Runs `work`; what it allocates is at the site `name`.
pub(crate) fn at<T>(name: &str, work: impl FnOnce() -> T) -> T {
    perfwright_context::with_label(SITE, name, work)
}

/// A block of its own layout, freed when dropped. It allocates exactly once.
pub(crate) struct Block(*mut u8, Layout);

// SAFETY: it owns the block.
unsafe impl Send for Block {}

impl Block {
    #[inline(never)]
    pub(crate) fn new(size: usize) -> Block {
        let layout = Layout::from_size_align(size, 8).expect("a small size");
        // SAFETY: the size is not 0 in any test.
        Block(black_box(unsafe { alloc(layout) }), layout)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.0, self.1) };
    }
}

/// The sum of a sample type over the samples of a site, and its standard deviation.
pub(crate) fn value_and_error(capture: &Capture, name: &str, kind: &str) -> (i64, f64) {
    let profile = &capture.profile;
    let column = profile.find_sample_type(kind).expect("the type is there");
    let (mut sum, mut variance) = (0, 0.0);
    for (sample, errors) in profile.samples().zip(&capture.errors) {
        if profile.label_str(sample.labels, SITE) == Some(name) {
            sum += sample.values[column];
            variance += errors[column] * errors[column];
        }
    }
    (sum, variance.sqrt())
}

/// The sum of a sample type over the samples of a site.
pub(crate) fn value(capture: &Capture, name: &str, kind: &str) -> i64 {
    value_and_error(capture, name, kind).0
}

/// The same in a profile without errors.
pub(crate) fn value_in(profile: &Profile, name: &str, kind: &str) -> i64 {
    let column = profile.find_sample_type(kind).expect("the type is there");
    profile
        .samples()
        .filter(|sample| profile.label_str(sample.labels, SITE) == Some(name))
        .map(|sample| sample.values[column])
        .sum()
}

/// What the variance is by theory: the sum of s^2 (1 - p) / p over all allocations.
pub(crate) fn theory_error(sizes: impl IntoIterator<Item = (u64, u64)>, rate: u64) -> f64 {
    let variance: f64 = sizes
        .into_iter()
        .map(|(size, count)| {
            let p = -(-(size as f64) / rate as f64).exp_m1();
            count as f64 * (size as f64).powi(2) * (1.0 - p) / p
        })
        .sum();
    variance.sqrt()
}
