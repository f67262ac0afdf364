//! A program whose global allocator is another: nothing can be sampled, and a sampler says so.

use std::alloc::{GlobalAlloc, Layout};

use perfwright_heap::{Options, SampledAlloc, Sampler, Totals};

/// Used, but not the global allocator.
static PRIVATE: SampledAlloc = SampledAlloc::system();

#[test]
fn a_sampler_does_not_start() {
    let layout = Layout::from_size_align(100, 8).expect("a small layout");
    // SAFETY: not of size 0, and freed with its layout.
    unsafe { PRIVATE.dealloc(PRIVATE.alloc(layout), layout) };
    assert_eq!(Totals::read(), None);
    for _ in 0..2 {
        let error = Sampler::start(Options::new()).expect_err("nothing to sample");
        let message = format!("failed to {error}");
        assert!(
            message.starts_with("failed to start the heap profiler: "),
            "{message}"
        );
        if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            assert!(message.contains("#[global_allocator]"), "{message}");
        }
    }
}
