//! How sure a counted share is.

/// The one-sided 95 % upper confidence bound of a share, from `count` in `of` independent trials:
/// the share at which so few would be seen with a probability of 5 % (Clopper and Pearson 1934,
/// Biometrika 26, 404-413). One where nothing was tried. Costs up to `count` terms sixty times.
///
/// Requests of a stream are not quite independent, since popular questions recur, so on a stream the
/// bound is a little too narrow.
pub fn upper(count: usize, of: usize) -> f64 {
    if count >= of {
        return 1.0;
    }
    let (mut low, mut high) = (count as f64 / of as f64, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match at_most(count, of, middle) > 0.05 {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

/// The probability of at most `count` in `of` trials of probability `p`, strictly between 0 and 1.
/// Summed in logarithms: the first term alone may lie below the smallest double.
fn at_most(count: usize, of: usize, p: f64) -> f64 {
    let odds = p.ln() - (-p).ln_1p();
    let mut term = of as f64 * (-p).ln_1p();
    let mut sum = term.exp();
    for i in 0..count {
        term += ((of - i) as f64 / (i + 1) as f64).ln() + odds;
        sum += term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::upper;

    #[test]
    fn the_bound_is_the_one_of_the_tables() {
        // The rule of three, and values of R's binom.test(alternative = "less").
        for (count, of, expected) in
            [(0, 100, 0.029_513), (1, 100, 0.046_560), (5, 100, 0.102_253), (50, 10_000, 0.006_332)]
        {
            let bound = upper(count, of);
            assert!((bound - expected).abs() < 2e-5, "{count} of {of}: {bound}");
        }
    }

    #[test]
    fn nothing_tried_bounds_nothing_and_a_bound_is_never_below_the_share() {
        assert_eq!(upper(0, 0), 1.0);
        assert_eq!(upper(7, 7), 1.0);
        for count in 0..200 {
            assert!(upper(count, 5_000) > count as f64 / 5_000.0);
        }
    }
}
