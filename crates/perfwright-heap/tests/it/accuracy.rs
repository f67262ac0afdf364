//! Known bytes at known sites.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::hint::black_box;

use crate::program::{Block, at, start, theory_error, turn, value, value_and_error};

const RATE: u64 = 64 << 10;

/// Allocates `count` blocks of each size; keeps every `keep`th.
fn allocate(sizes: &[(u64, u64)], keep: u64) -> Vec<Block> {
    let mut kept = Vec::new();
    for &(size, count) in sizes {
        for i in 0..count {
            let block = Block::new(size as usize);
            if i % keep == 0 {
                kept.push(block);
            }
        }
    }
    kept
}

fn check_site(name: &str, sizes: &[(u64, u64)]) {
    let sampler = start(RATE);
    let kept = at(name, || allocate(sizes, 2));
    let capture = sampler.snapshot();
    let bytes: u64 = sizes.iter().map(|(size, count)| size * count).sum();
    let theory = theory_error(sizes.iter().copied(), RATE);
    // The vector of kept blocks is at the site too, and grows by doubling: below 3 times its last size.
    let vector = 3 * (kept.len() * size_of::<Block>()) as i64;
    let (found, error) = value_and_error(&capture, name, "alloc_space");
    let off = found - bytes as i64;
    let five = 5.0 * (theory + theory_error([(vector as u64, 1)], RATE)) as f64;
    assert!(
        off as f64 >= -five && off as f64 <= five + vector as f64,
        "{name}: {found} of {bytes}, theory {theory}"
    );
    let in_use = value(&capture, name, "inuse_space") - bytes as i64 / 2;
    assert!(
        in_use as f64 >= -five && in_use as f64 <= five + vector as f64,
        "{name}: in use {in_use} more than half of {bytes}"
    );
    // The error that is told is near the true one where there were samples enough to know it.
    if bytes / RATE > 100 && sizes.len() == 1 && sizes[0].0 <= RATE {
        assert!(
            (0.6..1.7).contains(&(error / theory)),
            "{name}: {error}, theory {theory}"
        );
    }
    drop(kept);
    let after = sampler.stop();
    assert_eq!(value(&after, name, "inuse_space"), 0);
    assert_eq!(value(&after, name, "inuse_objects"), 0);
    assert_eq!(value(&after, name, "alloc_space"), found);
}

#[test]
fn sites_of_all_sizes_are_estimated() {
    let _turn = turn();
    let mib = 1 << 20;
    for size in [16, 64, 1000, 4096, 64 << 10, mib, 4 * mib] {
        check_site(&format!("of {size}"), &[(size, 64 * mib / size)]);
    }
    check_site(
        "mixed",
        &[(64, 100_000), (4096, 2000), (4 * mib, 4), (3000, 1000)],
    );
}

#[test]
fn objects_are_estimated_too() {
    let _turn = turn();
    let sampler = start(RATE);
    let blocks = at("objects", || allocate(&[(64, 200_000)], 1_000_000));
    let capture = sampler.stop();
    drop(blocks);
    let (objects, error) = value_and_error(&capture, "objects", "alloc_objects");
    assert!(
        (objects - 200_000).abs() as f64 <= 5.0 * error,
        "{objects} +- {error}"
    );
}

#[test]
fn the_four_methods_are_sampled() {
    let _turn = turn();
    // Every block is: each is far larger than the rate.
    let sampler = start(1);
    let layout = |size| Layout::from_size_align(size, 4096).unwrap();
    let in_use = |name| {
        let capture = sampler.snapshot();
        [
            value(&capture, name, "alloc_objects"),
            value(&capture, name, "alloc_space"),
            value(&capture, name, "inuse_objects"),
            value(&capture, name, "inuse_space"),
        ]
    };
    // SAFETY: the layouts are the blocks' own, and each is freed once.
    unsafe {
        let block = at("alloc", || black_box(alloc(layout(1000))));
        assert_eq!(block.addr() % 4096, 0);
        assert_eq!(in_use("alloc"), [1, 1000, 1, 1000]);
        let longer = at("realloc", || realloc(block, layout(1000), 70_000));
        assert_eq!(in_use("alloc"), [1, 1000, 0, 0]);
        assert_eq!(in_use("realloc"), [1, 70_000, 1, 70_000]);
        let shorter = at("shrunk", || realloc(longer, layout(70_000), 500));
        assert_eq!(in_use("realloc"), [1, 70_000, 0, 0]);
        dealloc(shorter, layout(500));
        assert_eq!(in_use("shrunk"), [1, 500, 0, 0]);
        let zeroed = at("zeroed", || alloc_zeroed(layout(3000)));
        assert!(
            std::slice::from_raw_parts(zeroed, 3000)
                .iter()
                .all(|&byte| byte == 0)
        );
        assert_eq!(in_use("zeroed"), [1, 3000, 1, 3000]);
        dealloc(zeroed, layout(3000));
        assert_eq!(in_use("zeroed"), [1, 3000, 0, 0]);
    }
}

#[test]
fn a_realloc_that_fails_keeps_the_block() {
    let _turn = turn();
    let sampler = start(1);
    let layout = Layout::from_size_align(1000, 8).unwrap();
    // SAFETY: the layout is the block's; what could not be reallocated is still there to free.
    unsafe {
        let block = at("kept", || black_box(alloc(layout)));
        let moved = at("failed", || realloc(block, layout, black_box(1 << 60)));
        assert!(moved.is_null());
        let capture = sampler.snapshot();
        assert_eq!(value(&capture, "kept", "inuse_space"), 1000);
        assert_eq!(value(&capture, "failed", "alloc_space"), 0);
        dealloc(block, layout);
    }
    assert_eq!(value(&sampler.stop(), "kept", "inuse_space"), 0);
}
