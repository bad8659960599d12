//! How many keys a second can be imported: measured and printed, with no bound that a busy machine could break.

use std::time::Instant;

use serde_json::json;
use tollkeeper_contract::Digest;

use crate::harness::Service;

const BATCHES: u32 = 10;
const KEYS: u32 = 1000;

#[tokio::test]
async fn keys_imported_per_second() {
    let service = Service::start().await;
    service.team("acme").await;
    let key = |number: u32| {
        json!({
            "digest": Digest::of(&number.to_le_bytes()).to_hex(), "id": format!("old{number}"), "team": "acme",
            "name": format!("key {number} of the old system"), "scopes": ["read", "write"],
            "expires": "2040-01-01T00:00:00Z",
        })
    };
    let batches: Vec<_> = (0..BATCHES)
        .map(|batch| json!({ "keys": (0..KEYS).map(|number| key(batch * KEYS + number)).collect::<Vec<_>>() }))
        .collect();
    let began = Instant::now();
    for batch in batches {
        assert_eq!(service.post("/v1/keys/import", batch).await.ok()["imported"], KEYS);
    }
    let rate = f64::from(BATCHES * KEYS) / began.elapsed().as_secs_f64();
    println!("keys imported per second: {rate:.0}, so 100,000 keys take {:.0} s", 100_000.0 / rate);
}
