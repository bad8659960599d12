//! What a node knows about enterprises, teams, their users and their hosts.

use crate::{
    Quota,
    bytes::{Broken, Reader, put_block},
};

/// Whether an enterprise, a team or a user is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantState {
    /// It is served.
    Active,
    /// None of its keys works for now.
    Disabled,
}

/// Where a team is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// On every host that belongs to nobody.
    Shared,
    /// Only on hosts of its own.
    Own,
}

/// All that the filter knows about one team, borrowed from a shard or a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TeamRecord<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whether it is served.
    pub state: TenantState,
    /// Its own quota; `None` takes the filter's default.
    pub quota: Option<Quota>,
    /// The id of the enterprise that it belongs to, if it does.
    pub enterprise: Option<&'a str>,
    /// Where it is served.
    pub hosts: Hosts,
}

impl<'a> TeamRecord<'a> {
    /// Writes the record behind what `out` holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_state(out, self.state);
        put_quota(out, self.quota);
        out.push(match self.hosts {
            Hosts::Shared => 0,
            Hosts::Own => 1,
        });
        put_block(out, self.id.as_bytes());
        put_block(out, self.enterprise.unwrap_or_default().as_bytes());
    }

    /// Reads a whole record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(bytes);
        let (state, quota) = (read_state(&mut reader)?, read_quota(&mut reader)?);
        let hosts = match reader.u8()? {
            0 => Hosts::Shared,
            1 => Hosts::Own,
            _ => return Err(Broken),
        };
        let id = reader.text()?;
        let enterprise = Some(reader.text()?).filter(|enterprise| !enterprise.is_empty());
        reader.end()?;
        Ok(Self { id, state, quota, enterprise, hosts })
    }
}

/// All that the filter knows about one enterprise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnterpriseRecord<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whether its own keys work; its teams' do either way.
    pub state: TenantState,
    /// The quota of requests that its keys make for no team; `None` takes the filter's default.
    pub quota: Option<Quota>,
}

impl<'a> EnterpriseRecord<'a> {
    /// Writes the record behind what `out` holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_state(out, self.state);
        put_quota(out, self.quota);
        put_block(out, self.id.as_bytes());
    }

    /// Reads a whole record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(bytes);
        let (state, quota) = (read_state(&mut reader)?, read_quota(&mut reader)?);
        let record = Self { id: reader.text()?, state, quota };
        reader.end()?;
        Ok(record)
    }
}

/// All that the filter knows about one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRecord<'a> {
    /// The user's id: the subject of personal keys.
    pub id: &'a str,
    /// Whether the user's keys and sessions work.
    pub state: TenantState,
    /// What the user may do at present, sorted and parted by one space: the most that a personal key can do.
    pub permissions: &'a str,
}

impl<'a> UserRecord<'a> {
    /// Writes the record behind what `out` holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_state(out, self.state);
        put_block(out, self.id.as_bytes());
        put_block(out, self.permissions.as_bytes());
    }

    /// Reads a whole record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(bytes);
        let record = Self { state: read_state(&mut reader)?, id: reader.text()?, permissions: reader.text()? };
        reader.end()?;
        Ok(record)
    }
}

/// Whose host it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostRecord<'a> {
    /// The host's name, as [`HostName`](crate::HostName) writes it.
    pub host: &'a str,
    /// The id of the one team that is served there.
    pub team: &'a str,
}

impl<'a> HostRecord<'a> {
    /// Writes the record behind what `out` holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_block(out, self.host.as_bytes());
        put_block(out, self.team.as_bytes());
    }

    /// Reads a whole record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(bytes);
        let record = Self { host: reader.text()?, team: reader.text()? };
        reader.end()?;
        Ok(record)
    }
}

fn put_state(out: &mut Vec<u8>, state: TenantState) {
    out.push(match state {
        TenantState::Active => 1,
        TenantState::Disabled => 2,
    });
}

fn read_state(reader: &mut Reader<'_>) -> Result<TenantState, Broken> {
    match reader.u8()? {
        1 => Ok(TenantState::Active),
        2 => Ok(TenantState::Disabled),
        _ => Err(Broken),
    }
}

fn put_quota(out: &mut Vec<u8>, quota: Option<Quota>) {
    let (limit, window) = quota.map_or((0, 0), |quota| (quota.limit().get(), quota.window().get()));
    out.extend_from_slice(&limit.to_le_bytes());
    out.extend_from_slice(&window.to_le_bytes());
}

fn read_quota(reader: &mut Reader<'_>) -> Result<Option<Quota>, Broken> {
    match (reader.u32()?, reader.u32()?) {
        (0, 0) => Ok(None),
        (limit, window) => Quota::new(limit, window).map(Some).map_err(|_| Broken),
    }
}
