//! A lease as bytes, little endian.
//!
//! Limit `u32`, window `u32`, promise `u8`; fifteen `u64` in the order of [`Lease`]'s counts and times; missed, need,
//! least and the highest limit since the last answer, four `u32`; since when the steward is asked and when it was reminded,
//! two `u64`, both the greatest if it is not, and `1` if it was said that tokens may come sooner, or `0`; what cannot be had
//! in the order of [`Dry`]'s fields, times `u64`, costs `u32`, and `1` if a crowd was told, or `0`, all 0 if nothing is known;
//! when a crowd began to hope, and from when on leases are given again, two `u64`, 0 if none did and if that was not said; `1`
//! and the share, or `0`.

use tollkeeper_contract::Quota;

use crate::{
    config::Promise,
    limiter::{Limit, Limiter},
    time::Monotonic,
};

use super::{Asking, Dry, Heard, Lease};

const NEVER: u64 = u64::MAX;

impl Lease {
    /// The lease as bytes, with a length of its own.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.limit.quota.limit().get().to_le_bytes());
        out.extend(self.limit.quota.window().get().to_le_bytes());
        out.push(match self.limit.promise {
            Promise::Bucket => 0,
            Promise::Strict => 1,
        });
        let numbers = [
            self.since.0,
            self.granted,
            self.void,
            self.spent,
            self.spent_at.0,
            self.returned,
            self.until.0,
            self.overdrawn,
            self.settled,
            self.asked,
            self.answered,
            self.answered_at.0,
            self.spent_before,
            self.size,
            self.left,
        ];
        out.extend(numbers.into_iter().flat_map(u64::to_le_bytes));
        out.extend(self.missed.to_le_bytes());
        out.extend(self.need.to_le_bytes());
        out.extend(self.least.to_le_bytes());
        out.extend(self.asked_under.to_le_bytes());
        let asking = self.asking.map_or([NEVER; 2], |asking| [asking.since.0, asking.reminded.0]);
        out.extend(asking.into_iter().flat_map(u64::to_le_bytes));
        out.push(self.asking.is_some_and(|asking| asking.heard == Heard::MayBeSooner).into());
        let never = Monotonic(0);
        let dry =
            self.dry.unwrap_or(Dry { holds: never, least: 0, until: never, most: 0, until_most: never, crowd: false });
        out.extend(dry.holds.0.to_le_bytes());
        out.extend(dry.least.to_le_bytes());
        out.extend(dry.until.0.to_le_bytes());
        out.extend(dry.most.to_le_bytes());
        out.extend(dry.until_most.0.to_le_bytes());
        out.push(dry.crowd.into());
        out.extend(self.hoped_at.0.to_le_bytes());
        out.extend(self.lends_from.0.to_le_bytes());
        out.push(self.share.is_some().into());
        self.share.iter().for_each(|share| share.encode(out));
    }

    /// Reads what [`Lease::encode`] writes, and gives what follows; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = Reader(bytes);
        let quota = Quota::new(reader.u32()?, reader.u32()?).ok()?;
        let promise = match reader.u8()? {
            0 => Promise::Bucket,
            1 => Promise::Strict,
            _ => return None,
        };
        let mut lease = Self::cold(Limit { quota, promise }, Monotonic(0));
        lease.since = Monotonic(reader.u64()?);
        lease.granted = reader.u64()?;
        lease.void = reader.u64()?;
        lease.spent = reader.u64()?;
        lease.spent_at = Monotonic(reader.u64()?);
        lease.returned = reader.u64()?;
        lease.until = Monotonic(reader.u64()?);
        lease.overdrawn = reader.u64()?;
        lease.settled = reader.u64()?;
        lease.asked = reader.u64()?;
        lease.answered = reader.u64()?;
        lease.answered_at = Monotonic(reader.u64()?);
        lease.spent_before = reader.u64()?;
        lease.size = reader.u64()?;
        lease.left = reader.u64()?;
        lease.missed = reader.u32()?;
        lease.need = reader.u32()?;
        lease.least = reader.u32()?;
        lease.asked_under = reader.u32()?;
        let (since, reminded) = (Monotonic(reader.u64()?), Monotonic(reader.u64()?));
        let heard = if reader.flag()? { Heard::MayBeSooner } else { Heard::Nothing };
        let asking = Asking { since, reminded, heard };
        lease.asking = Some(asking).filter(|asking| asking.since.0 != NEVER);
        let dry = Dry {
            holds: Monotonic(reader.u64()?),
            least: reader.u32()?,
            until: Monotonic(reader.u64()?),
            most: reader.u32()?,
            until_most: Monotonic(reader.u64()?),
            crowd: reader.flag()?,
        };
        lease.dry = Some(dry).filter(|dry| dry.until.0 != 0);
        lease.hoped_at = Monotonic(reader.u64()?);
        lease.lends_from = Monotonic(reader.u64()?);
        if !reader.flag()? {
            return Some((lease, reader.0));
        }
        let (share, rest) = Limiter::decode(reader.0)?;
        lease.share = Some(share);
        Some((lease, rest))
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
