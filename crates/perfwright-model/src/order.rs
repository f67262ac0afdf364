//! Sorting, once: every kind of element and of comparison that the standard library sorts is 5 to 8 kB of machine
//! code, and the viewer's module is made of such.

use std::cmp::Ordering;

/// Sorts numbers by what they stand for. What compares equal ends in any order. It calls the comparison by a
/// pointer: for what sorts all day, the standard library's own is the better choice.
pub fn sort_ids(ids: &mut [u32], compare: &dyn Fn(u32, u32) -> Ordering) {
    ids.sort_unstable_by(|&a, &b| compare(a, b));
}

/// The positions of `len` elements in the order of `compare`; equal ones stay in their order.
pub fn ordered(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut ids: Vec<u32> = (0..len as u32).collect();
    sort_ids(&mut ids, &|a, b| {
        compare(a as usize, b as usize).then(a.cmp(&b))
    });
    ids.into_iter().map(|id| id as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_elements_stay_in_their_order() {
        let words = ["pear", "fig", "plum", "kiwi", "nut", "apple"];
        let by_length = ordered(words.len(), &|a, b| words[a].len().cmp(&words[b].len()));
        assert_eq!(by_length, [1, 4, 0, 2, 3, 5]);
    }
}
