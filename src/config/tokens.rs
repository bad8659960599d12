//! Which tokens are taken: by whom they must be issued, for whom, and how far clocks may differ.

use super::{
    json::Json,
    mistakes::{Mistakes, Noted, Place},
    setting::{Setting, settings},
    values::{Party, Whole},
};

/// Which tokens are taken.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The one `iss`, compared byte for byte.
    pub issuer: Party,
    /// The one `aud`, compared byte for byte.
    pub audience: Party,
    /// How many seconds this node's clock may differ from the key service's, at most 60.
    pub leeway: u64,
}

settings! {
    /// Which bearer tokens of the key service's login are taken.
    TokenSettings {
        /// Who must have issued a token: the key service's TOLLKEEPER_ISSUER.
        issuer: Party = "tollkeeper",
        /// For whom a token must be: the key service's TOLLKEEPER_AUDIENCE.
        audience: Party = "tollkeeper",
        /// How far the clocks of key service and Envoy may differ, in seconds.
        leeway_seconds: Whole<0, 60> = 30,
    }
}

impl Setting for Tokens {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        let TokenSettings { issuer, audience, leeway_seconds } = TokenSettings::read(json, place, mistakes)?;
        Ok(Self { issuer, audience, leeway: leeway_seconds.get().into() })
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        TokenSettings::schema()
    }
}
