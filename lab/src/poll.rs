//! Waiting for a fact instead of for a time: ask again until the answer is there or the deadline has passed.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

const PAUSE: Duration = Duration::from_millis(10);

/// Asks `probe` until it returns something, and returns that.
///
/// # Errors
/// When it has returned nothing for `limit`; `what` is named in the message ("Envoy is ready").
pub async fn wait_until<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = probe().await {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {limit:?} in vain until: {what}");
        }
        sleep(PAUSE).await;
    }
}
