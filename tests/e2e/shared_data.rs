//! What lies in Envoy's shared data, as a build of the filter for tests tells it.

use std::{collections::BTreeMap, time::Duration};

use lab::{
    artifacts,
    edge::Edge,
    envoy::{Pushed, Talk},
};
use tollkeeper::shared::{Expected, HostFailure, SharedData, Swap, Value, Version};

/// All that lies there of the instance `edge`, and of the cells of these teams. The module that ran until now cannot tell,
/// so another takes its place that can; what lies there stays as it is. Each look at one of its many names would be told in
/// the log.
pub(crate) async fn of(edge: &mut Edge, teams: &str) -> Vec<u8> {
    edge.talks(Talk::Usual).await;
    let pushed = edge.push_config(|bootstrap| bootstrap.wasm(&artifacts::filter_that_traps()?)).await;
    assert_eq!(pushed, Pushed::Accepted);
    edge.wait_until("the module tells", Duration::from_secs(40), async || {
        let asked = edge.get_over_new_connection("/healthz").header("x-test-shared", format!("edge {teams}"));
        let told = asked.send().await.ok()?.bytes().await.ok()?;
        told.starts_with(b"tk6/").then(|| told.to_vec())
    })
    .await
}

/// What was told: values by their names. Whoever reads records in it reads them as the filter does.
pub(crate) struct Told(BTreeMap<String, Vec<u8>>);

impl Told {
    /// `None` where it is no such answer.
    pub(crate) fn read(mut told: &[u8]) -> Option<Self> {
        let mut values = BTreeMap::new();
        while !told.is_empty() {
            let (name, rest) = line(told)?;
            let (length, rest) = line(rest)?;
            let (value, rest) = rest.split_at_checked(length.parse().ok()?)?;
            values.insert(name.to_owned(), value.to_vec());
            told = rest;
        }
        Some(Self(values))
    }

    pub(crate) fn value(&self, name: &str) -> &[u8] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

fn line(told: &[u8]) -> Option<(&str, &[u8])> {
    let end = told.iter().position(|byte| *byte == b'\n')?;
    Some((str::from_utf8(&told[..end]).ok()?, &told[end + 1..]))
}

impl SharedData for Told {
    fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
        Ok(self.0.get(name).map(|bytes| Value { bytes: bytes.clone(), version: Version(1) }))
    }

    fn swap(&self, _: &str, _: &[u8], _: Expected) -> Result<Swap, HostFailure> {
        Err(HostFailure)
    }
}
