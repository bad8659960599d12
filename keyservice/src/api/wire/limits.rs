//! What holds for all limits, as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Limits, number_of};

/// What holds for the limits of all teams and enterprises.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitsView {
    /// What every limit is multiplied by: 1 as long as nobody has set anything.
    #[schema(minimum = 0.001, maximum = 10)]
    pub factor: f64,
    /// The revision of the last change; 0 as long as there was none.
    pub revision: u64,
}

impl From<Limits> for LimitsView {
    fn from(limits: Limits) -> Self {
        Self { factor: number_of(limits.factor), revision: limits.revision }
    }
}

/// What is to hold for all limits.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsBody {
    /// What every limit is to be multiplied by: 0.001 to 10, with at most three digits behind the point. Required.
    #[schema(value_type = f64, minimum = 0.001, maximum = 10, multiple_of = 0.001)]
    pub factor: Option<f64>,
}
