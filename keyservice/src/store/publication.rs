//! What nodes read: the table as it is, and what changed since.
//!
//! A row of `published` carries only the latest revision of its record. So the changes behind revision n are the
//! records whose latest change is behind n, and a node that applies them has exactly the table as it is.

use tollkeeper_contract::{
    Digest,
    page::{Cursor, Entry, PageWriter, Rest, Span, Table},
};

use super::{
    Store, StoreError,
    change::{MAX_ROWS_PER_REVISION, table_code},
    packed,
    records::{self, KEPT, LACKING_AMONG},
    row,
    sql::{Connection, Row, sql},
};

/// Rows read for one page; more than the smallest records that fit into it.
const ROWS_PER_PAGE: i64 = 8192;

const _: () = assert!(MAX_ROWS_PER_REVISION < 8192, "a page must hold at least one whole revision");

/// A page that is ready to be sealed.
pub struct PageContent {
    /// The records.
    pub writer: PageWriter,
    /// What the page covers.
    pub span: Span,
    /// The last of the records, in a page of a snapshot.
    last: Option<Cursor>,
}

/// Why there are no changes behind a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// They go further back than is remembered; a snapshot is needed.
    Forgotten {
        /// The first revision behind which changes are known.
        history_from: u64,
    },
    /// This database has not come so far: it is not the one that the node knows.
    NotReached {
        /// The revision of this database.
        revision: u64,
    },
}

impl Store {
    /// The records behind `after`, as they are now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn snapshot_page(&self, after: Option<Cursor>) -> Result<PageContent, StoreError> {
        let page = match self.page_read_ahead(after).await? {
            Some(page) => page,
            None => read_page(&mut self.read().await?, after).await?,
        };
        if let (Some(next), true) = (page.last, page.is_followed()) {
            let store = self.clone();
            self.ahead.begin(next, async move { read_page(&mut store.read().await?, Some(next)).await });
        }
        Ok(page)
    }

    /// The page that was read when nobody had asked for it yet, if nothing has changed since.
    ///
    /// A page that is older than the one before it, which another instance or another node's question may have made
    /// newer, would be refused.
    async fn page_read_ahead(&self, after: Option<Cursor>) -> Result<Option<PageContent>, StoreError> {
        let Some(page) = self.ahead.take(after).await else { return Ok(None) };
        let now = current_revision(&mut self.read().await?).await?;
        Ok(matches!(page.span, Span::Snapshot { revision, .. } if revision == now).then_some(page))
    }

    /// What changed behind revision `after`; nothing when that is the current revision.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn changes_page(&self, after: u64) -> Result<Result<PageContent, Behind>, StoreError> {
        let mut tx = self.read().await?;
        let revision = current_revision(&mut tx).await?;
        let history_from = history_from(&mut tx).await?;
        if after > revision {
            return Ok(Err(Behind::NotReached { revision }));
        }
        if after < history_from {
            return Ok(Err(Behind::Forgotten { history_from }));
        }
        let records = changed_records(&mut tx, after).await?;
        drop(tx);
        let limit = if is_full(records.len()) { Reach::Cut } else { Reach::All };
        let (writer, end) = whole_revisions(&records, limit)?;
        let (to, rest) = end.map_or((revision, Rest::Done), |last| (last, Rest::More));
        Ok(Ok(PageContent { writer, span: Span::Changes { after, to, rest }, last: None }))
    }
}

impl PageContent {
    /// Whether there are further pages.
    fn is_followed(&self) -> bool {
        let (Span::Snapshot { rest, .. } | Span::Changes { rest, .. }) = self.span;
        rest == Rest::More
    }

    /// Whether the page would bring a node any further.
    #[must_use]
    pub fn is_news(&self) -> bool {
        match self.span {
            Span::Snapshot { .. } => true,
            Span::Changes { after, to, .. } => to > after,
        }
    }
}

/// The number of the last change that this transaction sees.
pub(super) async fn current_revision(on: &mut Connection) -> Result<u64, StoreError> {
    row::unsigned(&sql("SELECT revision FROM service").fetch_one(on).await?, "revision")
}

async fn history_from(on: &mut Connection) -> Result<u64, StoreError> {
    row::unsigned(&sql("SELECT history_from FROM service").fetch_one(on).await?, "history_from")
}

fn is_full(rows: usize) -> bool {
    i64::try_from(rows).is_ok_and(|count| count >= ROWS_PER_PAGE)
}

/// Reads the page of a snapshot that lies behind `after`.
async fn read_page(on: &mut Connection, after: Option<Cursor>) -> Result<PageContent, StoreError> {
    let revision = current_revision(on).await?;
    let span = Span::Snapshot { after, revision, rest: Rest::Done };
    let mut page = PageContent { writer: PageWriter::new(), span, last: None };
    // Tables before the cursor's are done, and of its own what is not behind it.
    for table in Table::ALL.into_iter().filter(|table| after.is_none_or(|after| after.table <= *table)) {
        let behind = after.filter(|after| after.table == table).map(|after| after.digest);
        if let Rest::More = push_table(&mut page, on, table, behind).await? {
            return Ok(PageContent { span: Span::Snapshot { after, revision, rest: Rest::More }, ..page });
        }
    }
    Ok(page)
}

/// Puts the records of a table behind the digest `behind` into the page, until it is full.
async fn push_table(
    page: &mut PageContent,
    on: &mut Connection,
    table: Table,
    behind: Option<Digest>,
) -> Result<Rest, StoreError> {
    let records = records_behind(on, table, behind).await?;
    for (cursor, record) in &records {
        if page.writer.push(Entry { cursor: *cursor, record: Some(record) }).is_err() {
            return Ok(Rest::More);
        }
        page.last = Some(*cursor);
    }
    Ok(if is_full(records.len()) { Rest::More } else { Rest::Done })
}

/// The next records of a table: no more than fit into a page.
async fn records_behind(
    on: &mut Connection,
    table: Table,
    behind: Option<Digest>,
) -> Result<Vec<(Cursor, Vec<u8>)>, StoreError> {
    let behind = behind.map_or(Vec::new(), |digest| digest.as_bytes().to_vec());
    let query = sql(format!("SELECT p.digest, {KEPT} FROM published p WHERE p.removed_at IS NULL"));
    let query =
        query.then_with(" AND p.table_code = ", table_code(table)).then_with(" AND p.digest > ", behind.clone());
    let found = packed::records(query.then_with(" ORDER BY p.digest LIMIT ", ROWS_PER_PAGE), on).await?;
    let tables = found.iter().filter(|(_, record)| record.is_none()).map(|_| table).collect();
    let last = found.last().map(|(digest, _)| digest);
    let among = |table| {
        let clause = sql(LACKING_AMONG).then_with(" AND p.table_code = ", table_code(table));
        clause.then_with(" AND p.digest > ", behind.clone()).then_with(" AND p.digest <= ", last)
    };
    let mut made = records::made(on, tables, among).await?;
    let whole = |(digest, record): (Digest, Option<Vec<u8>>)| {
        let cursor = Cursor { table, digest };
        Ok((cursor, record.or_else(|| made.remove(&cursor)).ok_or_else(|| missing(cursor))?))
    };
    found.into_iter().map(whole).collect()
}

/// What was changed behind revision `after`, in the order of revisions, as it is now: no more than fit into a page.
async fn changed_records(on: &mut Connection, after: u64) -> Result<Vec<Published>, StoreError> {
    let query = sql(format!(
        "SELECT p.table_code, p.digest, p.revision, p.removed_at, {KEPT} FROM published p WHERE p.revision > $1
         ORDER BY p.revision, p.table_code, p.digest LIMIT $2"
    ));
    let rows = query.bind(row::integer(after)?).bind(ROWS_PER_PAGE).fetch_all(on).await?;
    let places = rows.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let tables = places.iter().filter(|place| place.is == Is::Lacking).map(|place| place.cursor.table).collect();
    let last = row::integer(places.last().map_or(after, |last| last.revision))?;
    let after = row::integer(after)?;
    let between = |table| {
        // Nor the primary key: there are a million records in a table, and a few behind a revision.
        let clause = sql(LACKING_AMONG).then_with(" AND p.table_code + 0 = ", table_code(table));
        clause.then_with(" AND p.revision > ", after).then_with(" AND p.revision <= ", last)
    };
    let mut made = records::made(on, tables, between).await?;
    let published = |Place { cursor, revision, is }| {
        let record = match is {
            Is::Gone => None,
            Is::Kept(record) => Some(record),
            Is::Lacking => Some(made.remove(&cursor).ok_or_else(|| missing(cursor))?),
        };
        Ok(Published { cursor, revision, record })
    };
    places.into_iter().map(published).collect()
}

/// Where a record is published, and its latest revision.
struct Place {
    cursor: Cursor,
    revision: u64,
    is: Is,
}

/// What is kept there.
#[derive(PartialEq, Eq)]
enum Is {
    Kept(Vec<u8>),
    Lacking,
    Gone,
}

fn place(from: &Row) -> Result<Place, StoreError> {
    let code = from.integer("table_code")?;
    let table = u8::try_from(code).ok().and_then(Table::of_code);
    let table = table.ok_or_else(|| row::corrupt("published.table_code", code))?;
    let is = match (from.maybe_integer("removed_at")?, from.maybe_bytes("record")?) {
        (Some(_), _) => Is::Gone,
        (None, Some(record)) => Is::Kept(record.to_vec()),
        (None, None) => Is::Lacking,
    };
    let cursor = Cursor { table, digest: row::digest(from, "digest")? };
    Ok(Place { cursor, revision: row::unsigned(from, "revision")?, is })
}

fn missing(cursor: Cursor) -> StoreError {
    row::corrupt("published", format_args!("there is no record {}", cursor.to_hex()))
}

/// A record at its place, or a tombstone.
struct Published {
    cursor: Cursor,
    revision: u64,
    record: Option<Vec<u8>>,
}

/// Whether the records are all there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    Cut,
}

/// As many whole revisions as fit into a page, and the last one of them when that is not all.
fn whole_revisions(records: &[Published], reach: Reach) -> Result<(PageWriter, Option<u64>), StoreError> {
    let (writer, fitting) = write(records);
    if fitting == records.len() && reach == Reach::All {
        return Ok((writer, None));
    }
    // The first revision that does not fit; of records that were cut, the last one may not be whole either.
    let broken = records.get(fitting).or(records.last()).map_or(0, |record| record.revision);
    let whole: Vec<_> = records.iter().take_while(|record| record.revision < broken).collect();
    // Without this, the node would be told that it has a revision of which it was sent nothing.
    let last = whole.last().ok_or_else(|| row::corrupt("published.revision", "one change fills more than a page"))?;
    let revision = last.revision;
    Ok((write(whole).0, Some(revision)))
}

fn write<'a>(records: impl IntoIterator<Item = &'a Published>) -> (PageWriter, usize) {
    let mut writer = PageWriter::new();
    let fits =
        |entry: &&Published| writer.push(Entry { cursor: entry.cursor, record: entry.record.as_deref() }).is_ok();
    let count = records.into_iter().take_while(fits).count();
    (writer, count)
}

#[cfg(test)]
mod tests {
    use super::{MAX_ROWS_PER_REVISION, Published, Reach, whole_revisions};
    use tollkeeper_contract::{
        Digest, KeyRecord, KeyState, Kind, Owner, Scopes,
        page::{Cursor, MAX_LENGTH, Table},
    };

    const LONG: usize = 60_000;

    /// How many records of that length a page holds.
    const PER_PAGE: usize = MAX_LENGTH / (LONG + 64);

    /// A record of `length` bytes that was changed at `revision`.
    fn record(revision: u64, number: usize, length: usize) -> Published {
        let cursor = Cursor { table: Table::Keys, digest: Digest::of(&number.to_le_bytes()) };
        Published { cursor, revision, record: Some(vec![0; length]) }
    }

    /// Which revision a page of these ends with, if it is not all of them.
    fn end(records: &[Published], reach: Reach) -> Option<u64> {
        whole_revisions(records, reach).unwrap().1
    }

    #[test]
    fn what_fits_goes_into_one_page() {
        let records = [record(1, 1, 100), record(2, 2, 100)];
        assert_eq!(end(&records, Reach::All), None);
        assert_eq!(end(&[], Reach::All), None);
    }

    #[test]
    fn a_revision_that_does_not_fit_whole_goes_into_the_next_page() {
        let mut records: Vec<_> = (1..PER_PAGE).map(|number| record(number as u64, number, LONG)).collect();
        records.extend([record(100, 100, LONG), record(100, 101, LONG), record(101, 102, 1)]);
        assert_eq!(end(&records, Reach::All), Some(PER_PAGE as u64 - 1));
        let page_and_more: Vec<_> = (1..=PER_PAGE + 1).map(|number| record(number as u64, number, LONG)).collect();
        assert_eq!(end(&page_and_more, Reach::All), Some(PER_PAGE as u64));
    }

    #[test]
    fn the_last_revision_of_rows_that_were_cut_is_not_trusted_to_be_whole() {
        let records = [record(1, 1, 1), record(2, 2, 1), record(2, 3, 1)];
        assert_eq!(end(&records, Reach::Cut), Some(1));
    }

    #[test]
    fn a_revision_that_fits_into_no_page_is_an_error_and_not_skipped() {
        let records: Vec<_> = (0..=PER_PAGE).map(|number| record(1, number, LONG)).collect();
        assert!(whole_revisions(&records, Reach::All).is_err());
    }

    #[test]
    fn the_greatest_change_of_the_longest_records_fits_into_a_page() {
        let scopes = "s".repeat(Scopes::MAX * 65);
        let longest = KeyRecord {
            kind: Kind::Application,
            state: KeyState::Active,
            not_before: None,
            expires: None,
            id: &"i".repeat(32),
            owner: Owner::Team(&"t".repeat(64)),
            subject: &"s".repeat(128),
            scopes: &scopes,
            origin: Some(&"o".repeat(512)),
        };
        let mut bytes = Vec::new();
        longest.encode(&mut bytes);
        let change: Vec<_> = (0..MAX_ROWS_PER_REVISION).map(|number| record(1, number, bytes.len())).collect();
        assert_eq!(end(&change, Reach::All), None);
    }
}
