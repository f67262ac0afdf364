//! Student's t distribution.

/// The probability that a variable of Student's distribution with so many degrees of freedom is above `t`.
///
/// Source: Abramowitz and Stegun 26.7.1, through the incomplete beta function (26.5.8, its continued fraction).
pub fn student_above(t: f64, freedom: f64) -> f64 {
    if t.is_nan() || freedom.is_nan() || freedom <= 0.0 {
        return 1.0;
    }
    if t.is_infinite() {
        return if t > 0.0 { 0.0 } else { 1.0 };
    }
    let tail = incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5) / 2.0;
    if t > 0.0 { tail } else { 1.0 - tail }
}

/// The `t` that a variable of Student's distribution exceeds with probability `p`, for `0 < p < 0.5`.
pub fn student_quantile(p: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student_above(high, freedom) > p && high < 1e12 {
        high *= 2.0;
    }
    // Halving 60 times leaves less than the last bit of what is printed anywhere.
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match student_above(middle, freedom) > p {
            true => low = middle,
            false => high = middle,
        }
    }
    (low + high) / 2.0
}

/// The regularised incomplete beta function.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let log_front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln();
    let front = log_front.exp();
    // The fraction converges fast on one side of the mean; the other side is its mirror image.
    match x < (a + 1.0) / (a + b + 2.0) {
        true => front * beta_fraction(x, a, b) / a,
        false => 1.0 - front * beta_fraction(1.0 - x, b, a) / b,
    }
}

/// The continued fraction by Lentz's method, as Numerical Recipes has it.
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let nonzero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / nonzero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..=1000 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / nonzero(1.0 + term * d);
            c = nonzero(1.0 + term / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// The logarithm of the gamma function for positive arguments: Lanczos's approximation with g = 7, good to 1e-14.
fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let terms = COEFFICIENTS.iter().zip(1..);
    let sum: f64 = terms.map(|(c, k)| c / (x + f64::from(k))).sum();
    let t = x + 7.5;
    (std::f64::consts::TAU.sqrt() * (0.999_999_999_999_809_9 + sum)).ln() + (x + 0.5) * t.ln() - t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // One-sided tails, from the usual tables of Student's distribution.
        let known = [
            (0.05, 1.0, 6.313_752),
            (0.025, 2.0, 4.302_653),
            (0.005, 5.0, 4.032_143),
            (0.0005, 10.0, 4.586_894),
            (0.005, 30.0, 2.749_996),
            (0.025, 1e6, 1.959_966),
        ];
        for (p, freedom, t) in known {
            let found = student_quantile(p, freedom);
            assert!(
                (found - t).abs() < 2e-6,
                "{p} {freedom}: {found} is not {t}"
            );
            assert!((student_above(t, freedom) / p - 1.0).abs() < 1e-5);
            assert!((student_above(-t, freedom) - (1.0 - p)).abs() < 1e-6);
        }
    }

    #[test]
    fn what_is_no_number_proves_nothing() {
        assert_eq!(student_above(f64::NAN, 3.0), 1.0);
        assert_eq!(student_above(3.0, 0.0), 1.0);
        assert_eq!(student_above(f64::INFINITY, 3.0), 0.0);
        assert_eq!(student_above(f64::NEG_INFINITY, 3.0), 1.0);
        assert_eq!(student_above(0.0, 3.0), 0.5);
    }
}
