//! Sorting, once: each kind of element and comparison that the standard library sorts costs 8 kB of a wasm module.

use std::cmp::Ordering;

/// The positions `0..len`, sorted. What compares equal stays as it is.
pub(crate) fn sorted(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<u32> {
    let mut positions: Vec<u32> = (0..len as u32).collect();
    positions.sort_unstable_by(|&a, &b| compare(a as usize, b as usize).then(a.cmp(&b)));
    positions
}
