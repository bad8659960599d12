//! The hosts of teams in the database: each belongs to one team.

use std::collections::BTreeMap;

use tollkeeper_contract::{
    Digest, HostName, TeamId,
    page::{Cursor, Table},
};

use super::{
    ActError, Refusal, StoreError,
    change::Change,
    row,
    sql::{Connection, sql},
};
use crate::domain::{HostList, Moment, Team};

/// Fills in the hosts of teams that are in the order of their ids.
pub(super) async fn add_to(on: &mut Connection, teams: &mut [Team]) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (teams.first(), teams.last()) else { return Ok(()) };
    let query = sql("SELECT team, host FROM hosts WHERE team >= $1 AND team <= $2");
    let rows = query.bind(first.id.as_str()).bind(last.id.as_str()).fetch_all(on).await?;
    let mut hosts: BTreeMap<&str, Vec<HostName>> = BTreeMap::new();
    for found in &rows {
        hosts.entry(found.text("team")?).or_default().push(row::parsed(found, "host", HostName::parse)?);
    }
    for team in teams {
        let of_team = hosts.remove(team.id.as_str()).unwrap_or_default();
        team.hosts = HostList::new(of_team).map_err(|error| row::corrupt("host", error))?;
    }
    Ok(())
}

/// Takes the hosts that are in `before` alone from a team, and gives it those that are in `after` alone.
pub(super) async fn replace(
    change: &mut Change<'_>,
    team: &TeamId,
    before: &HostList,
    after: &HostList,
    now: Moment,
) -> Result<(), ActError> {
    for host in before.iter().filter(|host| !after.contains(host)) {
        sql("DELETE FROM hosts WHERE host = $1").bind(host.as_str()).execute(change.sql()).await?;
        change.withdraw(cursor(host), now).await?;
    }
    for host in after.iter().filter(|host| !before.contains(host)) {
        let insert = sql("INSERT INTO hosts (host, digest, team) VALUES ($1, $2, $3) ON CONFLICT (host) DO NOTHING");
        let insert = insert.bind(host.as_str()).bind(&cursor(host).digest).bind(team.as_str());
        if insert.execute(change.sql()).await? == 0 {
            return Err(Refusal::HostTaken(host.clone()).into());
        }
        change.publish(cursor(host)).await?;
    }
    Ok(())
}

fn cursor(host: &HostName) -> Cursor {
    Cursor { table: Table::Hosts, digest: Digest::of(host.as_str().as_bytes()) }
}
