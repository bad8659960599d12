//! What clients, upstreams and operators see, on a real Envoy with a real key service.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where it stands"
)]

mod apis;
mod canaries;
mod connections;
mod exactness;
mod faults;
mod fleet;
mod hostile;
mod identity_headers;
mod imposter;
mod key_service_tls;
mod limits;
mod live_changes;
mod load;
mod node_token;
mod observability;
mod outage;
mod propagation;
mod protocols;
mod reload;
mod routes;
mod scene;
mod shared_data;
mod stewardship;
mod styles;
mod tenants;
mod timing;
mod tokens;
mod trailers;
mod traps;
mod usage;
mod wycheproof;
