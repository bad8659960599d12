//! Records that a VM has read lately, and uses again for as long as no record was written since.
//!
//! A writer of records marks the table's *stamp* before, and clears it afterwards. Each writing of the stamp has a version of its
//! own, and a cleared stamp is empty, so that looking at it costs a fifth of reading a shard. What was read after a cleared stamp
//! was seen is used while the stamp has the same version: nobody has marked it in between.
//!
//! No two marks are the same, and a stamp is cleared only by the one whose mark it holds. So whatever several writers do at once:
//!
//! * When a writing has ended well, no request that begins afterwards is judged by what was there before it. Its mark stood from
//!   before its first record to after its last, so all memory is older than its mark or younger than its clearing.
//! * Whoever breaks off leaves the mark, and then every record is read from its shard, until another has written. What he wrote
//!   is seen at once.
//! * Only a writer whose mark another has replaced may write what memory does not see until the next writing. He never ends well,
//!   and is a steward that was replaced: of his writes at most the one that he was about to do is still done
//!   (`steward/fence.rs`), and his successor writes the same records again.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};

use tollkeeper_contract::{Digest, HostName, page::Table};

use crate::{
    refusal::{Denial, Refusal},
    shared::{Expected, HostFailure, SharedData, Swap, Value, Version},
    token::TokenKeys,
};

use super::{KeyTable, Names, WriteError};

/// How many records are kept.
const SLOTS: usize = 2048;

/// The longest `:authority` that is kept: the longest name, and a port.
const MAX_AUTHORITY: usize = 260;

/// What one VM has read lately, all of it under the same stamp.
#[derive(Debug, Default)]
pub struct Recent {
    stamp: Option<Version>,
    /// Each place has one slot, which the last that was read has.
    slots: Vec<Option<Found>>,
}

#[derive(Debug, Clone)]
struct Found {
    source: Source,
    name: Box<[u8]>,
    record: Option<Rc<[u8]>>,
}

/// Where a name leads to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Table(Table),
    /// Among the hosts, by an `:authority` as it was sent.
    Authority,
}

type Place<'a> = (Source, &'a [u8]);

impl Recent {
    /// Looks at the stamp, and forgets what was read under another one. Done with every tick as well, so that no number of
    /// writings in between can make a version come round again.
    ///
    /// # Errors
    /// When the host fails.
    pub fn look(
        recent: &RefCell<Self>,
        shared: &impl SharedData,
        names: &Names,
    ) -> Result<Option<Version>, HostFailure> {
        let stamp = shared.get(&names.stamp())?;
        let stamp = stamp.filter(|value| value.bytes.is_empty()).map(|value| value.version);
        if let Ok(mut recent) = recent.try_borrow_mut()
            && recent.stamp != stamp
        {
            *recent = Self { stamp, slots: Vec::new() };
        }
        Ok(stamp)
    }

    fn find(&self, place: Place<'_>, stamp: Option<Version>) -> Option<Option<Rc<[u8]>>> {
        if stamp.is_none() || stamp != self.stamp {
            return None;
        }
        let found = self.slots.get(slot(place))?.as_ref()?;
        ((found.source, &*found.name) == place).then(|| found.record.clone())
    }

    fn keep(&mut self, found: Found, stamp: Option<Version>) {
        if stamp.is_none() || stamp != self.stamp {
            return;
        }
        self.slots.resize(SLOTS, None);
        if let Some(slot) = self.slots.get_mut(slot((found.source, &found.name))) {
            *slot = Some(found);
        }
    }
}

/// The slot of a place (FNV-1a, of four bytes at a time). Who finds places that share one only slows down himself and whom he displaces.
fn slot((source, name): Place<'_>) -> usize {
    let code = match source {
        Source::Table(table) => table.code(),
        Source::Authority => 0,
    };
    let mix = |hash: u32, word: u32| (hash ^ word).wrapping_mul(0x0100_0193);
    let (words, rest) = name.as_chunks::<4>();
    let words = words.iter().map(|word| u32::from_le_bytes(*word));
    let hash = words.chain(rest.iter().map(|byte| u32::from(*byte))).fold(mix(0x811c_9dc5, code.into()), mix);
    // The uppermost bits of a product depend on all of its factors'.
    (hash >> 21) as usize % SLOTS
}

/// The records of a table at one moment.
#[derive(Debug)]
pub struct Records<'a, Shared> {
    table: &'a KeyTable<'a, Shared>,
    recent: &'a RefCell<Recent>,
    /// None while records are being written, and before any was; looked at when it is first wanted.
    stamp: OnceCell<Option<Version>>,
}

impl<'a, Shared: SharedData> Records<'a, Shared> {
    /// The records as they are now: what was read before counts as far as it is that still.
    ///
    /// # Errors
    /// When the host fails.
    pub fn now(table: &'a KeyTable<'a, Shared>, recent: &'a RefCell<Recent>) -> Result<Self, Refusal> {
        let records = Self::unread(table, recent);
        records.stamp()?;
        Ok(records)
    }

    /// The same, once anything is read of them.
    #[must_use]
    pub fn unread(table: &'a KeyTable<'a, Shared>, recent: &'a RefCell<Recent>) -> Self {
        Self { table, recent, stamp: OnceCell::new() }
    }

    fn stamp(&self) -> Result<Option<Version>, Refusal> {
        if let Some(stamp) = self.stamp.get() {
            return Ok(*stamp);
        }
        let stamp = Recent::look(self.recent, self.table.shared, self.table.names)?;
        Ok(*self.stamp.get_or_init(|| stamp))
    }

    /// The encoded record of a key that was not presented here lately: as [`find_key`](Self::find_key), without a look at what
    /// was read before, which nearly never has it.
    ///
    /// # Errors
    /// When the host fails or the shard cannot be read: never taken for "no such key".
    pub fn find_strange_key(&self, digest: &Digest) -> Result<Option<Rc<[u8]>>, Refusal> {
        Ok(self.table.find_key(digest)?.map(Rc::from))
    }

    /// The encoded record of the key with this digest, if there is one.
    ///
    /// # Errors
    /// When the host fails or the shard cannot be read: never taken for "no such key".
    pub fn find_key(&self, digest: &Digest) -> Result<Option<Rc<[u8]>>, Refusal> {
        // Strangers can present as many keys as they like: they push out nobody.
        self.find_once((Source::Table(Table::Keys), digest.as_bytes()), Absence::Forgotten, &|| {
            self.table.find_key(digest)
        })
    }

    /// The encoded record of whatever `table` has under this name, if there is one.
    ///
    /// # Errors
    /// When the host fails or the shard cannot be read: never taken for "no such".
    pub fn find_named(&self, table: Table, name: &str) -> Result<Option<Rc<[u8]>>, Refusal> {
        self.find_once((Source::Table(table), name.as_bytes()), Absence::Kept, &|| self.table.find_named(table, name))
    }

    /// The encoded record of the host that a request is for, by its `:authority`, if there is one.
    ///
    /// # Errors
    /// When the authority can be read in more than one way, the host fails or the shard cannot be read.
    pub fn find_host(&self, authority: &[u8]) -> Result<Option<Rc<[u8]>>, Refusal> {
        let find = || {
            // What cannot be read here may be read as somebody's host by Envoy's routes or by the upstream.
            let host = HostName::of_authority(authority).ok_or(Denial::HostMismatch)?;
            self.table.find_named(Table::Hosts, host.as_str())
        };
        // This is memory that a client fills: a port can have as many zeros as one likes.
        if authority.len() > MAX_AUTHORITY {
            return Ok(find()?.map(Rc::from));
        }
        self.find_once((Source::Authority, authority), Absence::Kept, &find)
    }

    fn find_once(
        &self,
        place: Place<'_>,
        absence: Absence,
        find: &dyn Fn() -> Result<Option<Vec<u8>>, Refusal>,
    ) -> Result<Option<Rc<[u8]>>, Refusal> {
        let stamp = self.stamp()?;
        if let Some(known) = self.recent.try_borrow().ok().and_then(|recent| recent.find(place, stamp)) {
            return Ok(known);
        }
        let record = find()?.map(Rc::from);
        if (record.is_some() || absence == Absence::Kept)
            && let Ok(mut recent) = self.recent.try_borrow_mut()
        {
            let (source, name) = place;
            recent.keep(Found { source, name: name.into(), record: record.clone() }, stamp);
        }
        Ok(record)
    }
}

impl<Shared: SharedData> TokenKeys for Records<'_, Shared> {
    fn find_token_key(&self, kid: &Digest) -> Result<Option<Rc<[u8]>>, Refusal> {
        self.find_once((Source::Table(Table::TokenKeys), kid.as_bytes()), Absence::Forgotten, &|| {
            self.table.find_token_key(kid)
        })
    }
}

/// Whether it is kept, too, that there is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absence {
    Kept,
    Forgotten,
}

impl<Shared: SharedData> KeyTable<'_, Shared> {
    /// Writes records between marking the stamp and clearing it.
    pub(super) fn stamped(&self, write: impl FnOnce() -> Result<(), WriteError>) -> Result<(), WriteError> {
        let name = self.names.stamp();
        let before = self.shared.get(&name)?;
        let mark = mark_over(before.as_ref());
        self.put_stamp(&mark, before.as_ref())?;
        write()?;
        let marked = self.shared.get(&name)?;
        if marked.as_ref().is_none_or(|value| value.bytes != mark) {
            return Err(WriteError::Superseded);
        }
        self.put_stamp(&[], marked.as_ref())
    }

    fn put_stamp(&self, stamp: &[u8], read: Option<&Value>) -> Result<(), WriteError> {
        match self.shared.swap(&self.names.stamp(), stamp, Expected::from_read(read))? {
            Swap::Done => Ok(()),
            Swap::Conflict => Err(WriteError::Superseded),
        }
    }
}

/// A mark that nobody else can have set: it names the writing that it replaces, and only one can replace that.
fn mark_over(stamp: Option<&Value>) -> [u8; 4] {
    // No writing has the version 0.
    stamp.map_or(0, |value| value.version.0).to_le_bytes()
}

#[cfg(test)]
mod orders;

#[cfg(test)]
mod tests;
