//! The next page of a snapshot, read while the node that will ask for it takes in the one before.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;
use tollkeeper_contract::page::Cursor;

use super::{PageContent, StoreError};

/// Who has not come for a page after this time will hardly come for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// At most one page that nobody has asked for yet: a fleet that starts at once does not double the work.
#[derive(Clone, Default)]
pub(super) struct Ahead(Arc<Mutex<Option<Reading>>>);

struct Reading {
    after: Cursor,
    began: Instant,
    page: JoinHandle<Result<PageContent, StoreError>>,
}

impl Ahead {
    /// Reads the page behind `after`, unless another waits to be asked for.
    pub(super) fn begin(
        &self,
        after: Cursor,
        read: impl Future<Output = Result<PageContent, StoreError>> + Send + 'static,
    ) {
        let Ok(mut slot) = self.0.lock() else { return };
        if slot.as_ref().is_none_or(|reading| reading.began.elapsed() > PATIENCE) {
            *slot = Some(Reading { after, began: Instant::now(), page: tokio::spawn(read) });
        }
    }

    /// The page behind `after`, if it was begun and could be read. It may be older than what is in the database.
    pub(super) async fn take(&self, after: Option<Cursor>) -> Option<PageContent> {
        let reading = self.0.lock().ok()?.take_if(|reading| Some(reading.after) == after)?;
        reading.page.await.ok()?.ok()
    }
}
