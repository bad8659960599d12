//! What holds for the limits of everybody.

use tollkeeper_contract::{Factor, InvalidFactor};

/// What holds for all limits, as the database has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What they are multiplied by.
    pub factor: Factor,
    /// The revision of the last change; 0 as long as there was none.
    pub revision: u64,
}

/// The factor that a number such as 0.5 is.
///
/// # Errors
/// When it is out of range, or finer than thousandths. A number as binary fractions have it (0.30000000000000004) is
/// what was meant by it.
pub fn factor_of(number: f64) -> Result<Factor, InvalidFactor> {
    const NOISE: f64 = 1e-9;
    let thousandths = number * 1000.0;
    let whole = thousandths.round();
    if !(1.0..=f64::from(Factor::MAX_THOUSANDTHS)).contains(&whole) || (thousandths - whole).abs() > NOISE {
        return Err(InvalidFactor);
    }
    Factor::from_thousandths(whole as u32)
}

/// The number that a factor is.
#[must_use]
pub fn number_of(factor: Factor) -> f64 {
    f64::from(factor.thousandths()) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::{factor_of, number_of};
    use tollkeeper_contract::{Factor, InvalidFactor};

    #[test]
    fn every_factor_comes_back_from_its_number() {
        for thousandths in 1..=Factor::MAX_THOUSANDTHS {
            let factor = Factor::from_thousandths(thousandths).unwrap();
            let number = number_of(factor);
            assert_eq!(factor_of(number), Ok(factor));
            assert_eq!(factor_of(number.to_string().parse().unwrap()), Ok(factor));
            assert_eq!(factor_of(f64::from(thousandths) * 0.001), Ok(factor), "as binary fractions have it");
        }
    }

    #[test]
    fn what_is_finer_or_out_of_range_is_no_factor() {
        let wrong = [0.0, -0.0, -0.5, 0.0001, 0.0009, 0.5001, 0.500_000_1, 9.9999, 10.001, 1e300, -1e300];
        for number in wrong.into_iter().chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE]) {
            assert_eq!(factor_of(number), Err(InvalidFactor), "{number}");
        }
    }
}
