//! What Envoy calls for one request, on the way there and back.

use std::rc::Rc;

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext},
    types::{Action, MapType},
};

use crate::{
    request::{is_delegation, is_identity_header},
    verdict::{self, Verdict},
};

use super::{
    door::Door,
    host,
    stream::{self, Stream},
};

/// One request.
pub(super) struct RequestContext(Rc<Stream>);

impl RequestContext {
    pub(super) fn new(id: u32, door: Rc<Door>) -> Self {
        Self(Rc::new(Stream::new(id, door)))
    }
}

impl Context for RequestContext {}

impl HttpContext for RequestContext {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        #[cfg(feature = "traps")]
        {
            super::traps::at_request();
            if super::search::answers() || super::shown::answers() {
                return Action::Pause;
            }
        }
        self.0.door.note_request();
        self.0.judge_first()
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let withheld = self.0.verdict().map_or(&[][..], Verdict::withheld);
        purge(MapType::HttpRequestTrailers, |name| {
            let is_withheld = withheld.iter().any(|withheld| withheld.as_bytes() == name);
            // For whom a request acts was judged by its headers.
            is_withheld || is_identity_header(name) || is_delegation(name)
        });
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        purge(MapType::HttpResponseTrailers, is_identity_header);
        Action::Continue
    }

    /// Runs for the upstream's answers and for local replies alike, our own included.
    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if self.0.is_answered() {
            return Action::Continue;
        }
        let door = &self.0.door;
        let judged = self.0.verdict();
        let ours = judged.map(|verdict| verdict::response_headers(verdict, &door.config, self.0.revision()));
        let ours = ours.unwrap_or_default();
        purge(MapType::HttpResponseHeaders, |name| verdict::is_overruled(name, &ours));
        let _ = stream::add(MapType::HttpResponseHeaders, ours);
        Action::Continue
    }
}

/// Removes every header that is `unwanted`.
fn purge(map: MapType, unwanted: impl Fn(&[u8]) -> bool) {
    let Ok(headers) = host::headers(map) else { return };
    let Ok(pairs) = headers.pairs() else { return };
    for (name, _) in pairs.iter().filter(|(name, _)| unwanted(name)) {
        if let Ok(name) = std::str::from_utf8(name) {
            let _ = hostcalls::remove_map_value(map, name);
        }
    }
}
