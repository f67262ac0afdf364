//! Many tests at once.

/// For each test of a family, the smallest false discovery rate at which it is still a discovery: report those
/// below 0.05, and of what is reported at most 5 % is chance on average. NaN counts as 1.
///
/// Source: Benjamini and Hochberg, "Controlling the False Discovery Rate" (JRSS B 57, 1995), as adjusted p-values.
pub fn false_discovery_rates(p_values: &[f64]) -> Vec<f64> {
    let p = |index: usize| match p_values[index] {
        p if p.is_nan() => 1.0,
        p => p.clamp(0.0, 1.0),
    };
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p(a).total_cmp(&p(b)));
    let mut rates = vec![1.0; p_values.len()];
    let mut smallest = 1.0f64;
    for (rank, &index) in order.iter().enumerate().rev() {
        smallest = smallest.min(p(index) * p_values.len() as f64 / (rank + 1) as f64);
        rates[index] = smallest;
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::false_discovery_rates;

    #[track_caller]
    fn check(p_values: &[f64], expected: &[f64]) {
        let rates = false_discovery_rates(p_values);
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(
            rates.len() == expected.len() && rates.iter().zip(expected).all(close),
            "{rates:?}"
        );
    }

    #[test]
    fn rates_are_those_of_p_adjust_in_r() {
        check(&[], &[]);
        check(&[0.2], &[0.2]);
        check(&[0.01, 0.04, 0.03, 0.005], &[0.02, 0.04, 0.04, 0.02]);
        check(&[0.9, 0.001, 0.5], &[0.9, 0.003, 0.75]);
        check(&[f64::NAN, 0.01], &[1.0, 0.02]);
    }
}
