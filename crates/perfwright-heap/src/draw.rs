//! When the next sample is due, and how much it stands for.
//!
//! Samples are points of a Poisson process over the bytes that a thread allocates, so each allocation of `s`
//! bytes is sampled with the probability `p = 1 - exp(-s / rate)` whatever the others are, and stands for `1 / p`
//! of its kind.

/// The distance in bytes to the next sample: exponential with mean `rate`, at least 1.
pub(crate) fn distance(random: &mut u64, rate: u64) -> u64 {
    // Uniform in (0, 1], in steps of 2^-53.
    let uniform = ((next(random) >> 11) + 1) as f64 * (1.0 / (1_u64 << 53) as f64);
    // Rounded up, so that a distance is at most s with exactly the probability p.
    ((-uniform.ln() * rate as f64).ceil() as u64).max(1)
}

/// How many allocations of this size a sampled one stands for: `1 / p`.
///
/// With `exp_m1`, since 1 - exp(-x) loses all digits for a small x.
pub(crate) fn weight(size: u64, rate: u64) -> f64 {
    // Not below 1, whatever the last digit: a weight of less would have a negative variance.
    (-1.0 / (-(size as f64) / rate as f64).exp_m1()).max(1.0)
}

/// splitmix64: <https://prng.di.unimi.it/splitmix64.c>.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_exponential() {
        let mut random = 1;
        let n = if cfg!(miri) { 1_000 } else { 100_000 };
        let rate = 1000;
        let draws: Vec<u64> = (0..n).map(|_| distance(&mut random, rate)).collect();
        let mean = draws.iter().sum::<u64>() as f64 / f64::from(n);
        // Standard deviation of one is the mean; rounding up adds 0.5.
        let five = 5.0 * rate as f64 / f64::from(n).sqrt();
        assert!((mean - 1000.5).abs() < five, "{mean}");
        for size in [1, 100, 1000, 5000] {
            let hit = draws.iter().filter(|&&draw| draw <= size).count() as f64 / f64::from(n);
            let p = 1.0 - (-(size as f64) / rate as f64).exp();
            let five = 5.0 * (p * (1.0 - p) / f64::from(n)).sqrt();
            assert!((hit - p).abs() < five, "{size}: {hit}, {p} expected");
        }
    }

    #[test]
    fn weights_are_exact_at_both_ends() {
        assert!((weight(16, 512 << 10) - 32_768.5).abs() < 1e-3);
        assert!((weight(1 << 30, 512 << 10) - 1.0).abs() < 1e-12);
        assert!((weight(1, 1 << 40) / (1_u64 << 40) as f64 - 1.0).abs() < 1e-9);
    }
}
