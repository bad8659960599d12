//! All that lies in shared data, as it lies there: only with the feature `traps`, for a test to look for what must not be.

use proxy_wasm::{hostcalls, types::MapType};
use tollkeeper_contract::{page::Table, shard};

use crate::{principal::Account, table::Names};

/// The instance whose data it is, and the teams whose cells are to be shown, too.
const HEADER: &str = "x-test-shared";

/// Answers a request that asks for it: each name that has a value in a line, how many bytes it has in another, and these.
pub(super) fn answers() -> bool {
    let asked = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, HEADER).ok().flatten();
    let Some(told) = asked.and_then(|asked| tell(std::str::from_utf8(&asked).ok()?)) else { return false };
    hostcalls::send_http_response(200, Vec::new(), Some(&told)).is_ok()
}

fn tell(asked: &str) -> Option<Vec<u8>> {
    let mut words = asked.split(' ');
    let names = Names::new(words.next()?);
    let shards = Table::ALL.into_iter().flat_map(|table| (0..shard::COUNT).map(move |index| (table, index)));
    let shards = shards.map(|(table, index)| names.shard(table, index));
    let cells = words.map(|team| names.cell(&Account::Team(team.to_owned())));
    let single = [names.meta(), names.stamp(), names.fleet(), names.steward(), names.process()];
    let mut told = Vec::new();
    for name in shards.chain(cells).chain(single) {
        if let Some(value) = hostcalls::get_shared_data(&name).ok()?.0 {
            told.extend_from_slice(name.as_bytes());
            told.extend_from_slice(format!("\n{}\n", value.len()).as_bytes());
            told.extend_from_slice(&value);
        }
    }
    Some(told)
}
