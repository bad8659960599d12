//! The endpoints of what holds for everybody's limits.

use utoipa::openapi::HttpMethod;

use super::endpoint::Endpoint;
use crate::api::wire::{LimitsBody, LimitsView};

pub(super) fn limits() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/limits", "showLimits", "Show what holds for all limits")
            .admin()
            .answers::<LimitsView>(200, "What holds."),
        Endpoint::new(
            HttpMethod::Put,
            "/v1/limits",
            "setLimits",
            "Multiply all limits by a factor, for the time being",
        )
        .described(
            "For times when the system cannot give what it gives otherwise, or has more to give. Every limit, of a \
                 team's own and by default, is multiplied and rounded down to whole tokens, at least 1. Nobody gets a \
                 fresh bucket, neither now nor when the factor is set back to 1.",
        )
        .admin()
        .changes()
        .takes::<LimitsBody>()
        .answers::<LimitsView>(200, "What holds from now on."),
    ]
}
