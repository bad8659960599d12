//! Whether the books of the fleet's quotas were ever kept: where they were, and are not found again, much may be spent.

use super::{Store, StoreError, row, sql::sql};

impl Store {
    /// Whether anybody ever kept books of this database's quotas.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_kept_books(&self) -> Result<bool, StoreError> {
        let kept = sql("SELECT books_kept FROM service").fetch_one(&mut self.read().await?).await?;
        row::flag(&kept, "books_kept")
    }

    /// Remembers that books are kept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_books(&self) -> Result<(), StoreError> {
        let mut change = self.quiet_change().await?;
        sql("UPDATE service SET books_kept = 1").execute(change.sql()).await?;
        change.commit().await?;
        Ok(())
    }
}
