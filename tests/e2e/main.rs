//! What clients, upstreams and operators see, on a real Envoy with a real key service.

mod connections;
mod exactness;
mod live_changes;
mod load;
mod observability;
mod outage;
mod reload;
mod usage;
