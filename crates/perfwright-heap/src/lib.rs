//! A sampled heap profiler around any global allocator.
