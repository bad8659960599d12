//! Keeps the table in step with the key service: a snapshot in pages, then every change as it happens.
//!
//! An answer counts only if it is whole, genuine and goes forward; otherwise the table stays as it is. A snapshot is
//! read while changes go on, so its pages may differ in age. That does no harm: afterwards all changes since the first
//! page are taken in, and the table counts as whole only from the revision of the last page on.

use std::{fmt, time::Duration};

use tollkeeper_contract::{
    Broken,
    page::{self, Cursor, Page, Rest, ServiceId, Span},
};

use crate::{
    shared::{Expected, HostFailure, SharedData, Swap},
    table::{KeyTable, Limits, Meta, Names, SnapshotWriter, WriteError, read_factor},
    time::Monotonic,
};

use super::{Answer, Call, Errand, Holder, Progress, Settings, question::Patience};

#[derive(Debug)]
pub(super) struct Sync {
    settings: Settings,
    /// The snapshot that is being read, if one is.
    snapshot: Option<Snapshot>,
    asked: Option<Asked>,
    last_nonce: u64,
    /// Nothing is asked before.
    not_before: Monotonic,
    patience: Patience,
}

#[derive(Debug, Default)]
struct Snapshot {
    after: Option<Cursor>,
    first: Option<FirstPage>,
    /// The revision of the page before.
    revision: u64,
    writer: SnapshotWriter,
}

#[derive(Debug, Clone, Copy)]
struct FirstPage {
    service: ServiceId,
    revision: u64,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    nonce: u64,
    question: Question,
    /// If no answer comes at all, it is lost at this moment.
    until: Monotonic,
}

#[derive(Debug, Clone, Copy)]
enum Question {
    Snapshot { after: Option<Cursor> },
    Changes { after: u64 },
}

/// Why an answer was refused. The table stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncError {
    /// No answer of the key service: no connection, too late, or a stranger's.
    Unreachable {
        /// The status that came instead, 0 if none.
        status: u16,
    },
    /// The key service answered with a status that it does not use for this.
    Status(u16),
    /// The answer is not a whole and genuine page.
    Broken,
    /// The answer belongs to another question.
    OtherQuestion,
    /// The answer comes from another database than the table.
    OtherDatabase,
    /// The key service knows fewer changes than the table has.
    WentBack,
    /// The page could not be written.
    Write(WriteError),
}

impl SyncError {
    /// Whether the same question may well be answered a moment later: a snapshot then goes on where it is.
    fn is_passing(self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Status(429 | 500..=599))
    }
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { status: 0 } => f.write_str("the key service did not answer"),
            Self::Unreachable { status } => {
                write!(f, "the key service did not answer (status {status} came from somebody else)")
            }
            Self::Status(401 | 403) => {
                f.write_str("the key service refused the node token; give Envoy the token that the key service has")
            }
            Self::Status(status) => write!(f, "the key service answered with status {status}"),
            Self::Broken => f.write_str(
                "the answer is not a whole page sealed under the node token; is something altering it on the way?",
            ),
            Self::OtherQuestion => f.write_str("the answer belongs to another question"),
            Self::OtherDatabase => f.write_str(
                "the key service has another database than the one these keys came from; if that is meant, restart \
                 Envoy or give the filter another `instance`",
            ),
            Self::WentBack => f.write_str(
                "the key service knows fewer changes than this node has; was its database restored from a backup? If \
                 that is meant, restart Envoy or give the filter another `instance`",
            ),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SyncError {}

impl From<WriteError> for SyncError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl From<HostFailure> for SyncError {
    fn from(error: HostFailure) -> Self {
        Self::Write(error.into())
    }
}

impl From<Broken> for SyncError {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

impl Sync {
    pub(super) fn new(settings: Settings, holder: Holder) -> Self {
        Self {
            settings,
            snapshot: None,
            asked: None,
            // Random, so that no node ever asks what another one did.
            last_nonce: holder.0,
            not_before: Monotonic(0),
            patience: Patience::default(),
        }
    }

    /// Whether a snapshot has begun, and is not whole.
    pub(super) fn reads_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Somebody else is steward: whatever is under way does not count.
    pub(super) fn abandon(&mut self) {
        self.snapshot = None;
        self.asked = None;
    }

    /// The next question, if it is time for one.
    pub(super) fn next_call(&mut self, meta: Option<&Meta>, now: Monotonic) -> Option<Call> {
        if self.asked.is_some_and(|asked| now < asked.until) || now < self.not_before {
            return None;
        }
        let (question, wait) = self.next_question(meta);
        let timeout = wait.saturating_add(self.settings.timeout);
        let nonce = self.last_nonce.wrapping_add(1);
        let lost = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).saturating_add(2000);
        self.asked = Some(Asked { nonce, question, until: now.after(lost) });
        self.last_nonce = nonce;
        Some(Call {
            errand: Errand::Sync { nonce },
            method: "GET",
            path: question.path(nonce, wait),
            body: None,
            timeout,
        })
    }

    fn next_question(&mut self, meta: Option<&Meta>) -> (Question, Duration) {
        if let (None, Some(meta)) = (&self.snapshot, meta) {
            // Before the table is whole, what there is will do.
            let wait = if meta.is_whole() { self.settings.poll } else { Duration::ZERO };
            return (Question::Changes { after: meta.revision }, wait);
        }
        let snapshot = self.snapshot.get_or_insert_default();
        (Question::Snapshot { after: snapshot.after }, Duration::ZERO)
    }

    /// Takes in an answer, if it belongs to the question that was asked last.
    pub(super) fn on_answer(
        &mut self,
        shared: &impl SharedData,
        names: &Names,
        nonce: u64,
        answer: Answer<'_>,
        now: Monotonic,
    ) -> Result<Progress, SyncError> {
        let Some(asked) = self.asked.take_if(|asked| asked.nonce == nonce) else { return Ok(Progress::Nothing) };
        match self.take_in(shared, names, asked, answer, now) {
            Ok(()) => {
                self.patience.restore();
                self.not_before = now;
                Ok(Progress::Synced)
            }
            Err(error) => {
                if !error.is_passing() {
                    self.snapshot = None;
                }
                self.not_before = now.after(self.patience.after_failure());
                Err(error)
            }
        }
    }

    fn take_in(
        &mut self,
        shared: &impl SharedData,
        names: &Names,
        asked: Asked,
        answer: Answer<'_>,
        now: Monotonic,
    ) -> Result<(), SyncError> {
        let body = match answer {
            Answer::Service { status: 200, body } => body,
            Answer::Service { status: 410, .. } => {
                self.snapshot = Some(Snapshot::default());
                return Ok(());
            }
            Answer::Service { status: 409, .. } => return Err(SyncError::WentBack),
            Answer::Service { status, .. } => return Err(SyncError::Status(status)),
            Answer::Stranger { status } => return Err(SyncError::Unreachable { status }),
            Answer::Nothing => return Err(SyncError::Unreachable { status: 0 }),
        };
        let page = page::open(body, &self.settings.token)?;
        if page.nonce != asked.nonce {
            return Err(SyncError::OtherQuestion);
        }
        let factor = read_factor(shared, names).map_err(|_| WriteError::Broken)?;
        let limits = Limits { default: self.settings.default_limit, factor };
        let table = KeyTable { shared, names, limits, now };
        match (asked.question, page.span) {
            (Question::Snapshot { after }, Span::Snapshot { after: answered, revision, rest }) if after == answered => {
                self.take_in_snapshot(&table, &page, revision, rest)
            }
            (Question::Changes { after }, Span::Changes { after: answered, to, rest }) if after == answered => {
                take_in_changes(&table, &page, after, to, rest)
            }
            (Question::Snapshot { .. } | Question::Changes { .. }, _) => Err(SyncError::OtherQuestion),
        }
    }

    fn take_in_snapshot(
        &mut self,
        table: &KeyTable<'_, impl SharedData>,
        page: &Page<'_>,
        revision: u64,
        rest: Rest,
    ) -> Result<(), SyncError> {
        let snapshot = self.snapshot.get_or_insert_default();
        let known = Meta::read(table.shared, table.names)?;
        let service = snapshot.first.map(|first| first.service).or(known.map(|meta| meta.service));
        if service.is_some_and(|service| service != page.service) {
            return Err(SyncError::OtherDatabase);
        }
        if revision < snapshot.revision || known.is_some_and(|meta| revision < meta.revision) {
            return Err(SyncError::WentBack);
        }
        let last = page.entries.last().map(|entry| entry.cursor);
        // More to come behind nothing would never end.
        if rest == Rest::More && last.is_none() {
            return Err(SyncError::Broken);
        }
        snapshot.writer.add(table, &page.entries, rest)?;
        let first = *snapshot.first.get_or_insert(FirstPage { service: page.service, revision });
        snapshot.revision = revision;
        snapshot.after = last;
        if rest == Rest::Done {
            self.snapshot = None;
            finish_snapshot(table, known, first, revision)?;
        }
        Ok(())
    }
}

impl Question {
    fn path(self, nonce: u64, wait: Duration) -> String {
        match self {
            Self::Snapshot { after: None } => format!("/node/v1/snapshot?nonce={nonce}"),
            Self::Snapshot { after: Some(after) } => {
                format!("/node/v1/snapshot?after={}&nonce={nonce}", after.to_hex())
            }
            Self::Changes { after } => {
                format!("/node/v1/changes?after={after}&wait={}&nonce={nonce}", wait.as_secs())
            }
        }
    }
}

fn take_in_changes(
    table: &KeyTable<'_, impl SharedData>,
    page: &Page<'_>,
    after: u64,
    to: u64,
    rest: Rest,
) -> Result<(), SyncError> {
    let read = table.shared.get(&table.names.meta())?;
    let expected = Expected::from_read(read.as_ref());
    // Another steward may have gone on from here while this answer was under way.
    let meta = read.and_then(|value| Meta::decode(&value.bytes)).filter(|meta| meta.revision == after);
    let meta = meta.ok_or(WriteError::Superseded)?;
    if meta.service != page.service {
        return Err(SyncError::OtherDatabase);
    }
    table.apply(&page.entries)?;
    let synced = match rest {
        Rest::Done => table.now,
        Rest::More => meta.synced,
    };
    write(table, Meta { revision: to, synced, ..meta }, expected)
}

fn finish_snapshot(
    table: &KeyTable<'_, impl SharedData>,
    known: Option<Meta>,
    first: FirstPage,
    last_revision: u64,
) -> Result<(), SyncError> {
    let expected = Expected::from_read(table.shared.get(&table.names.meta())?.as_ref());
    // A table that serves already goes on serving: it was as good as the key service's, and is only newer now.
    let is_whole = known.is_some_and(|meta| meta.is_whole());
    let whole_from = if is_whole { first.revision } else { last_revision };
    let meta = Meta { service: first.service, revision: first.revision, whole_from, synced: table.now };
    write(table, meta, expected)
}

fn write(table: &KeyTable<'_, impl SharedData>, meta: Meta, expected: Expected) -> Result<(), SyncError> {
    match table.shared.swap(&table.names.meta(), &meta.encode(), expected)? {
        Swap::Done => Ok(()),
        Swap::Conflict => Err(WriteError::Superseded.into()),
    }
}
