//! Whether the books of the fleet's quotas were ever kept: where they were, and are not found again, much may be spent. And
//! books that a service leaves to the next.

use tollkeeper_contract::lease::Account;

use super::{
    Store, StoreError, row,
    sql::{Connection, Statement, sql},
};

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

    /// Keeps books for the next start.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn save_books(&self, books: String) -> Result<(), StoreError> {
        let mut change = self.quiet_change().await?;
        sql("DELETE FROM saved_books").execute(change.sql()).await?;
        sql("INSERT INTO saved_books (id, books) VALUES (1, $1)").bind(books).execute(change.sql()).await?;
        change.commit().await?;
        Ok(())
    }

    /// Takes out the books that were saved last: nobody finds them again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_books(&self) -> Result<Option<String>, StoreError> {
        let mut change = self.quiet_change().await?;
        let saved = sql("SELECT books FROM saved_books").fetch_optional(change.sql()).await?;
        sql("DELETE FROM saved_books").execute(change.sql()).await?;
        change.commit().await?;
        saved.map(|row| Ok(row.text("books")?.to_owned())).transpose()
    }

    /// Those of the accounts that exist.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn existing_accounts(&self, accounts: &[Account]) -> Result<Vec<Account>, StoreError> {
        let teams = accounts.iter().filter_map(|account| match account {
            Account::Team(id) => Some(id),
            Account::Enterprise(_) => None,
        });
        let enterprises = accounts.iter().filter_map(|account| match account {
            Account::Enterprise(id) => Some(id),
            Account::Team(_) => None,
        });
        let mut on = self.read().await?;
        let teams = found(sql("SELECT id FROM teams WHERE id IN ("), teams, &mut on).await?;
        let enterprises = found(sql("SELECT id FROM enterprises WHERE id IN ("), enterprises, &mut on).await?;
        Ok(teams.into_iter().map(Account::Team).chain(enterprises.into_iter().map(Account::Enterprise)).collect())
    }
}

/// The ids that a statement finds among these; it ends where they are listed.
async fn found(
    statement: Statement,
    mut ids: impl Iterator<Item = &String>,
    on: &mut Connection,
) -> Result<Vec<String>, StoreError> {
    let Some(first) = ids.next() else { return Ok(Vec::new()) };
    let listed = ids.fold(statement.then_with("", first.as_str()), |listed, id| listed.then_with(", ", id.as_str()));
    let rows = listed.then(")").fetch_all(on).await?;
    rows.iter().map(|row| Ok(row.text("id")?.to_owned())).collect()
}
