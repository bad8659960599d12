//! What is left behind: files, logs, answers, metrics, configuration, and shared data itself.

use lab::edge::Edge;

/// What can be searched, by its name.
pub(super) type Places = Vec<(String, Vec<u8>)>;

/// Envoy's loggers that write down the headers of requests, as they come and as they go on: that is Envoy's own business,
/// which has to know them, and happens at `debug` and `trace` alone.
const OF_REQUESTS: [&str; 4] = ["http", "http2", "rbac", "router"];

/// Envoy's log in two parts: what loggers of requests wrote, and what all others did.
pub(super) fn parted(log: &str) -> [String; 2] {
    let mut parts = [String::new(), String::new()];
    let mut part = 1;
    for line in log.split_inclusive('\n') {
        // A message may have several lines.
        if let Some(logger) = logger(line) {
            part = usize::from(!OF_REQUESTS.contains(&logger));
        }
        parts[part].push_str(line);
    }
    parts
}

/// Who wrote a line: `[2030-01-31 12:00:00.000][17][trace][http] …`
fn logger(line: &str) -> Option<&str> {
    let (head, _) = line.strip_prefix('[')?.split_once("] ")?;
    let mut parts = head.split("][").skip(2);
    let level = parts.next()?;
    ["trace", "debug", "info", "warning", "error", "critical"].contains(&level).then(|| parts.next())?
}

/// Every file of the edge, its metrics and configuration, and what operators are shown.
pub(super) async fn of(edge: &Edge) -> Places {
    let mut places = edge.files();
    for path in ["/stats", "/stats/prometheus", "/config_dump"] {
        places.push((path.to_owned(), edge.admin(path).await.into_bytes()));
    }
    for path in ["/v1/audit?limit=1000", "/v1/keys?limit=1000", "/v1/sessions?limit=1000", "/v1/fleet"] {
        places.push((path.to_owned(), edge.key_service().get(path).await.unwrap().to_string().into_bytes()));
    }
    let metrics = edge.key_service().request(reqwest::Method::GET, "/metrics").send().await.unwrap();
    places.push(("/metrics".to_owned(), metrics.bytes().await.unwrap().to_vec()));
    places
}
