//! What the measured programs do: ordinary work whose amount is known.

use std::{collections::BTreeMap, hint::black_box};

/// Some tens of microseconds of maps, strings and allocation; the result depends on all of it.
#[inline(never)]
pub(crate) fn unit(seed: u64) -> u64 {
    let mut map = BTreeMap::new();
    let mut state = seed | 1;
    for _ in 0..100 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        map.insert(state >> 40, format!("{:x}", state));
    }
    black_box(&map)
        .iter()
        .fold(0, |sum, (key, value)| sum ^ key ^ value.len() as u64)
}

/// Calls `work` with `depth` more frames of this function below it.
#[inline(never)]
pub(crate) fn at_depth<T>(depth: usize, work: &mut dyn FnMut() -> T) -> T {
    let result = if depth == 0 {
        work()
    } else {
        at_depth(depth - 1, work)
    };
    // Something to do after the call, or it would be a tail call and no frame.
    black_box(result)
}
