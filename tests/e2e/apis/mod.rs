//! The four published APIs, each served from its file in `envoy/apis/`, and all of them from `envoy/apis/all.yaml`.
//!
//! Every sentence of an API's page that says something about authentication, keys, sessions or limits is a test; the
//! head of each file says which.
//!
//! What the pages say in passing is tested in full in `origins`, `hosts` and `delegation`.

mod served;

mod bearer_login;
mod delegation;
mod hosts;
mod mezmo;
mod mindset;
mod mosaic;
mod origins;
