//! What holds for the limits of everybody, in the database.

use tollkeeper_contract::{
    Digest, Factor, LimitsRecord,
    page::{Cursor, Table},
};

use super::{
    ActError, Store, StoreError,
    change::{Entry, table_code},
    row,
    sql::{Connection, Row, sql},
};
use crate::domain::{By, Facts, Limits, Moment, number_of};

impl Store {
    /// What holds for all limits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn limits(&self) -> Result<Limits, StoreError> {
        limits(&mut self.read().await?).await
    }

    /// Multiplies all limits by `factor` from now on. What leaves it as it was takes no revision.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_limit_factor(&self, factor: Factor, by: By, now: Moment) -> Result<Limits, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before = limits(change.sql()).await?;
            if before.factor == factor {
                return Ok(before);
            }
            let update = sql("UPDATE service SET limit_factor = $1").bind(factor.thousandths());
            update.execute(change.sql()).await?;
            change.publish(cursor()).await?;
            let facts = |factor| Facts::default().with("factor", number_of(factor));
            let detail = Facts::difference(Some(&facts(before.factor)), Some(&facts(factor)));
            let entry = Entry::new("limits.change", "", "");
            change.audit(Entry { resource: "limits".to_owned(), detail, ..entry }, now);
            let changed = limits(change.sql()).await?;
            change.commit().await?;
            Ok(changed)
        })
        .await
    }
}

async fn limits(on: &mut Connection) -> Result<Limits, StoreError> {
    let query = sql("SELECT limit_factor, COALESCE((SELECT p.revision FROM published p
             WHERE p.table_code = $1 AND p.digest = $2), 0) AS revision FROM service");
    let query = query.bind(table_code(Table::Limits)).bind(&cursor().digest);
    let found = query.fetch_one(on).await?;
    Ok(Limits { factor: factor(&found)?, revision: row::unsigned(&found, "revision")? })
}

/// The factor in a row with `limit_factor`.
pub(super) fn factor(from: &Row) -> Result<Factor, StoreError> {
    const COLUMN: &str = "limit_factor";
    let thousandths = u32::try_from(row::unsigned(from, COLUMN)?).map_err(|error| row::corrupt(COLUMN, error))?;
    Factor::from_thousandths(thousandths).map_err(|error| row::corrupt(COLUMN, error))
}

fn cursor() -> Cursor {
    Cursor { table: Table::Limits, digest: Digest::of(LimitsRecord::NAME.as_bytes()) }
}
