//! How much a team may do in how much time.

use std::{fmt, num::NonZeroU32};

use serde::{Deserialize, Serialize};

/// `limit` requests per `window` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct Quota {
    limit: NonZeroU32,
    window: NonZeroU32,
}

impl Quota {
    /// The longest window: 31 days, in seconds.
    pub const MAX_WINDOW: u32 = 31 * 24 * 60 * 60;

    /// A quota of `limit` requests per `window` seconds.
    ///
    /// # Errors
    /// When either is 0, or the window is longer than [`Quota::MAX_WINDOW`].
    pub fn new(limit: u32, window: u32) -> Result<Self, InvalidQuota> {
        let limit = NonZeroU32::new(limit).ok_or(InvalidQuota::Limit)?;
        let window = NonZeroU32::new(window).ok_or(InvalidQuota::Window)?;
        if window.get() > Self::MAX_WINDOW {
            return Err(InvalidQuota::Window);
        }
        Ok(Self { limit, window })
    }

    /// Requests per window, and the most that can be saved up.
    #[must_use]
    pub fn limit(self) -> NonZeroU32 {
        self.limit
    }

    /// As much time for another limit.
    pub(crate) fn with_limit(self, limit: NonZeroU32) -> Self {
        Self { limit, ..self }
    }

    /// The window in seconds, 1 to [`Quota::MAX_WINDOW`].
    #[must_use]
    pub fn window(self) -> NonZeroU32 {
        self.window
    }
}

impl TryFrom<(u32, u32)> for Quota {
    type Error = InvalidQuota;

    fn try_from((limit, window): (u32, u32)) -> Result<Self, InvalidQuota> {
        Self::new(limit, window)
    }
}

impl From<Quota> for (u32, u32) {
    fn from(quota: Quota) -> Self {
        (quota.limit.get(), quota.window.get())
    }
}

/// Why two numbers are no quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidQuota {
    /// The limit is 0.
    Limit,
    /// The window is 0 or longer than 31 days.
    Window,
}

impl fmt::Display for InvalidQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit => write!(f, "the limit must be 1 to {}", u32::MAX),
            Self::Window => write!(f, "the window must be 1 to {} seconds (31 days)", Quota::MAX_WINDOW),
        }
    }
}

impl std::error::Error for InvalidQuota {}
