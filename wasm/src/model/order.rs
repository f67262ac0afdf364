//! Sorting, once: each kind of element and comparison that the standard library sorts costs 8 kB of module.

use std::cmp::Ordering;

/// The positions `0..len`, sorted. What compares equal must not matter.
pub(crate) fn sorted(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<u32> {
    let mut positions: Vec<u32> = (0..len as u32).collect();
    sort(&mut positions, &|a, b| compare(a as usize, b as usize));
    positions
}

/// Sorts numbers by what they stand for.
pub(crate) fn sort(numbers: &mut [u32], compare: &dyn Fn(u32, u32) -> Ordering) {
    numbers.sort_unstable_by(|&a, &b| compare(a, b));
}
