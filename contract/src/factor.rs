//! What all limits are multiplied by for the time being.

use std::{fmt, num::NonZeroU32};

use crate::Quota;

/// A factor for limits: 0.001 to 10, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Factor(NonZeroU32);

impl Factor {
    /// Leaves limits as they are.
    pub const ONE: Self = Self(NonZeroU32::new(1000).unwrap());

    /// The greatest, in thousandths.
    pub const MAX_THOUSANDTHS: u32 = 10_000;

    /// A factor of so many thousandths.
    ///
    /// # Errors
    /// When they are 0, or more than [`Factor::MAX_THOUSANDTHS`].
    pub fn from_thousandths(thousandths: u32) -> Result<Self, InvalidFactor> {
        let thousandths = NonZeroU32::new(thousandths).ok_or(InvalidFactor)?;
        if thousandths.get() > Self::MAX_THOUSANDTHS { Err(InvalidFactor) } else { Ok(Self(thousandths)) }
    }

    /// The factor in thousandths, 1 to [`Factor::MAX_THOUSANDTHS`].
    #[must_use]
    pub fn thousandths(self) -> u32 {
        self.0.get()
    }

    /// The quota with its limit multiplied, rounded down to whole tokens: at least 1, and at most what a limit can be.
    #[must_use]
    pub fn of(self, quota: Quota) -> Quota {
        if self == Self::ONE {
            return quota;
        }
        let limit = u64::from(quota.limit().get()).saturating_mul(self.0.get().into()) / 1000;
        quota.with_limit(NonZeroU32::new(u32::try_from(limit).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN))
    }
}

impl Default for Factor {
    fn default() -> Self {
        Self::ONE
    }
}

/// A number that is no factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidFactor;

impl fmt::Display for InvalidFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a number from 0.001 to 10 with at most three digits behind the point")
    }
}

impl std::error::Error for InvalidFactor {}

#[cfg(test)]
mod tests {
    use super::{Factor, InvalidFactor};
    use crate::Quota;
    use proptest::prelude::*;

    fn limit(thousandths: u32, limit: u32) -> u32 {
        Factor::from_thousandths(thousandths).unwrap().of(Quota::new(limit, 60).unwrap()).limit().get()
    }

    #[test]
    fn a_limit_is_rounded_down_and_never_falls_to_nothing() {
        assert_eq!((limit(500, 301), limit(999, 1000), limit(333, 3)), (150, 999, 1));
        assert_eq!((limit(1, 300), limit(1, 1), limit(10_000, u32::MAX)), (1, 1, u32::MAX));
        assert_eq!(Factor::default().thousandths(), 1000);
    }

    #[test]
    fn only_0_001_to_10_is_a_factor() {
        for thousandths in [0, 10_001, u32::MAX] {
            assert_eq!(Factor::from_thousandths(thousandths), Err(InvalidFactor));
        }
        assert!(Factor::from_thousandths(1).is_ok() && Factor::from_thousandths(10_000).is_ok());
    }

    proptest! {
        #[test]
        fn the_window_stays_and_the_limit_is_that_of_rationals(
            thousandths in 1..=10_000_u32, before in 1..=u32::MAX, window in 1..=Quota::MAX_WINDOW
        ) {
            let quota = Quota::new(before, window).unwrap();
            let after = Factor::from_thousandths(thousandths).unwrap().of(quota);
            let exact = u128::from(before) * u128::from(thousandths);
            let expected = (exact / 1000).clamp(1, u32::MAX.into());
            prop_assert_eq!((u128::from(after.limit().get()), after.window()), (expected, quota.window()));
        }
    }
}
