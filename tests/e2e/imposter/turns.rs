//! Good and bad answers in turn, to each kind of question; and whether a bad one was taken, which the node's next question tells.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lab::edge::Edge;
use serde_json::json;
use tollkeeper_contract::{
    SERVICE_HEADER, SERVICE_NAME,
    lease::{self, Account},
    page::{self, NodeToken},
};

use super::{Imposter, Manner, behind_an_imposter, head_and_body, with_body};
use crate::{
    faults::{Course, sorts},
    traps::log_counts,
};

/// So many bad answers about leases before a good one: all of them come in less time than a lease lasts.
const LEASES_IN_A_ROW: u32 = 2;

/// How often one after the other a bad answer must seem to have been taken: two stewards at once may make it seem so once.
/// Where there were none, once is too often.
const SURE: u32 = 3;

/// Longer than a request waits for a lease when answers are bad, on a machine that is busy with other tests.
const WAIT: Duration = Duration::from_secs(5);

/// What a node asks, and what that tells of how far it has come.
#[derive(Clone, Copy)]
enum Question {
    Changes {
        nonce: u64,
        after: u64,
    },
    Snapshot {
        nonce: u64,
    },
    Leases {
        nonce: u64,
        unanswered_ms: u64,
        /// What it knows to have been lent, if it asks for more.
        granted: Option<u64>,
    },
}

impl Question {
    fn read(message: &[u8]) -> Option<Self> {
        let (head, body) = head_and_body(message)?;
        let target = std::str::from_utf8(head).ok()?.split(' ').nth(1)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let number = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                .and_then(|text| text.parse().ok())
        };
        match path {
            "/node/v1/changes" => Some(Self::Changes { nonce: number("nonce")?, after: number("after")? }),
            "/node/v1/snapshot" => Some(Self::Snapshot { nonce: number("nonce")? }),
            "/node/v1/leases" => {
                let lease::Question { nonce, unanswered_ms, asks, .. } = serde_json::from_slice(body).ok()?;
                let acme = asks.iter().find(|ask| ask.account == Account::Team("acme".into()));
                Some(Self::Leases { nonce, unanswered_ms, granted: acme.map(|ask| ask.granted) })
            }
            _ => None,
        }
    }

    fn nonce(self) -> u64 {
        let (Self::Changes { nonce, .. } | Self::Snapshot { nonce } | Self::Leases { nonce, .. }) = self;
        nonce
    }

    /// Whether the bad answer to this was taken, as `next` tells; `None` if it comes from another steward, who never heard it.
    fn was_taken(self, next: Self) -> Option<bool> {
        if next.nonce() != self.nonce().wrapping_add(1) {
            return None;
        }
        match (self, next) {
            (Self::Changes { after, .. }, Self::Changes { after: then, .. }) => Some(then != after),
            // It begins anew, or goes on within a snapshot.
            (Self::Changes { .. }, Self::Snapshot { .. }) => Some(true),
            (Self::Leases { granted, .. }, Self::Leases { unanswered_ms, granted: then, .. }) => {
                Some(unanswered_ms == 0 || then.is_some_and(|then| Some(then) != granted))
            }
            _ => None,
        }
    }
}

/// A good answer, from which bad ones are made.
pub(super) struct Good<'a> {
    pub(super) nonce: u64,
    pub(super) body: &'a [u8],
}

/// What comes in place of a good answer.
pub(super) enum Next {
    Bad(Vec<u8>),
    /// The good one: of this one, the next bad one cannot be made.
    Good,
    /// There are no more bad ones.
    Over,
}

/// The bad answer of a number, made of a good one.
pub(super) type Bad = Box<dyn FnMut(usize, &Good<'_>) -> Next + Send>;

/// What became of bad answers to one kind of question.
struct Series {
    bad: Bad,
    /// The number of the next one.
    next: usize,
    /// What was asked that has been answered badly, until the next question.
    asked: Option<Question>,
    /// How often the next one seemed to have been taken.
    doubts: u32,
    /// How often any seemed so.
    all_doubts: usize,
    tried: usize,
    believed: Vec<usize>,
    /// How long good answers were at least.
    shortest: usize,
    is_over: bool,
}

impl Series {
    fn of(bad: Bad) -> Self {
        let (believed, shortest) = (Vec::new(), usize::MAX);
        Self { bad, next: 0, asked: None, doubts: 0, all_doubts: 0, tried: 0, believed, shortest, is_over: false }
    }

    /// The next bad answer, if one is left.
    fn answer(&mut self, asked: Question, good: &Good<'_>) -> Option<Vec<u8>> {
        if self.is_over {
            return None;
        }
        self.shortest = self.shortest.min(good.body.len());
        match (self.bad)(self.next, good) {
            Next::Bad(bad) => {
                self.asked = Some(asked);
                return Some(bad);
            }
            Next::Good => {}
            Next::Over => self.is_over = true,
        }
        None
    }

    /// Whether the question before was answered badly; if so, this tells what came of it.
    fn hears(&mut self, question: Question) -> bool {
        let Some(asked) = self.asked.take() else { return false };
        let Some(taken) = asked.was_taken(question) else { return true };
        self.doubts = if taken { self.doubts + 1 } else { 0 };
        self.all_doubts += usize::from(taken);
        if taken && self.doubts < SURE {
            return true;
        }
        if taken {
            self.believed.push(self.next);
        }
        (self.next, self.tried, self.doubts) = (self.next + 1, self.tried + 1, 0);
        true
    }
}

/// Bad answers to each kind of question.
pub(super) struct Turns {
    token: NodeToken,
    changes: Series,
    snapshots: Series,
    leases: Series,
    /// After which revision the node asked that is told to read a snapshot.
    begins_anew_after: u64,
    leases_in_a_row: u32,
}

impl Turns {
    pub(super) fn of(token: NodeToken, changes: Bad, snapshots: Bad, leases: Bad) -> Self {
        let [changes, snapshots, leases] = [changes, snapshots, leases].map(Series::of);
        Self { token, changes, snapshots, leases, begins_anew_after: 0, leases_in_a_row: 0 }
    }

    /// What is answered, where the key service would answer `good`.
    pub(super) fn answer(&mut self, question: &[u8], good: Vec<u8>) -> Vec<u8> {
        self.bad_answer(question, &good).unwrap_or(good)
    }

    fn bad_answer(&mut self, question: &[u8], good: &[u8]) -> Option<Vec<u8>> {
        let asked = Question::read(question)?;
        let (head, body) = head_and_body(good).filter(|(head, _)| head.starts_with(b"HTTP/1.1 200"))?;
        let good = Good { nonce: asked.nonce(), body };
        let bad = match asked {
            Question::Changes { after, .. } => {
                // After a failure it is told what is true, so that it asks again as soon as ever.
                let was_bad = self.changes.hears(asked);
                self.snapshots.hears(asked);
                if was_bad || !self.is_news(body) {
                    return None;
                }
                // First, while they are short: an operator makes keys meanwhile.
                if !self.snapshots.is_over {
                    self.begins_anew_after = after;
                    return Some(gone());
                }
                self.changes.answer(asked, &good)
            }
            Question::Snapshot { nonce } => {
                self.snapshots.hears(asked);
                self.snapshots.answer(Question::Changes { nonce, after: self.begins_anew_after }, &good)
            }
            Question::Leases { granted, .. } => {
                self.leases.hears(asked);
                granted?;
                self.leases_in_a_row = (self.leases_in_a_row + 1) % (LEASES_IN_A_ROW + 1);
                if self.leases_in_a_row == 0 { None } else { self.leases.answer(asked, &good) }
            }
        };
        bad.map(|bad| with_body(head, &bad))
    }

    fn is_news(&self, body: &[u8]) -> bool {
        page::open(body, &self.token).is_ok_and(|page| !page.entries.is_empty())
    }

    fn each(&self) -> [(&'static str, &Series); 3] {
        [("changes", &self.changes), ("snapshots", &self.snapshots), ("leases", &self.leases)]
    }

    fn are_over(&self) -> bool {
        self.each().iter().all(|(_, series)| series.is_over)
    }
}

/// The key service does not know the changes any more: the node is to read a snapshot.
fn gone() -> Vec<u8> {
    with_body(
        format!("HTTP/1.1 410 Gone\r\n{SERVICE_HEADER}: {SERVICE_NAME}\r\nconnection: close\r\n\r\n").as_bytes(),
        b"",
    )
}

/// What was tried of one kind of answer.
pub(super) struct Tried {
    pub(super) kind: &'static str,
    /// How many bad ones.
    pub(super) count: usize,
    /// How many bytes each good one had, at least.
    pub(super) shortest: usize,
}

/// Every bad answer is given under traffic and changes, and none is taken.
pub(super) async fn no_bad_answer_is_believed(what: &str, turns: impl FnOnce(&str) -> Turns) -> [Tried; 3] {
    let quota = json!({ "scope": "fleet", "limit": 100_000, "window_seconds": 1, "wait_ms": WAIT.as_millis() });
    let (mut edge, imposter) = behind_an_imposter(|setup| setup.filter(|filter| filter["quota"] = quota)).await;
    let sorts = sorts(&edge).await;
    ask_often_for_leases(&edge).await;
    let turns = Arc::new(Mutex::new(turns(edge.tokens().node.expose())));
    let mut course = Course::start(&edge, &format!("key_service_{what}"), sorts).bound(WAIT);
    course.begins_to_break().await;
    let stewards_before = log_counts(&edge).1;
    imposter.manner.send_replace(Manner::InTurn(Arc::clone(&turns)));
    let wait = Duration::from_secs(1800);
    edge.wait_until("all was tried", wait, async || turns.lock().unwrap().are_over().then_some(())).await;
    course.is_broken().await;
    course.is_mended(&mut edge, async |_| mend(&imposter)).await;
    course.ends(&edge).await;
    let turns = turns.lock().unwrap();
    let stewards = log_counts(&edge).1 - stewards_before;
    report(what, &turns, stewards);
    for (kind, Series { believed, tried, all_doubts, .. }) in turns.each() {
        assert!(believed.is_empty() && *tried > 0, "{what}: of {tried} answers about {kind}, these: {believed:?}");
        assert!(*all_doubts <= stewards, "{what}: {all_doubts} answers about {kind} were taken, it seems");
    }
    turns.each().map(|(kind, series)| Tried { kind, count: series.tried, shortest: series.shortest })
}

#[expect(clippy::print_stdout, reason = "what was tried belongs into the report of the run")]
fn report(what: &str, turns: &Turns, stewards: usize) {
    for (kind, Series { tried, believed, all_doubts, shortest, .. }) in turns.each() {
        println!(
            "hold: key_service_{what}/{kind} {tried} believed={} tried_again_because_it_seemed_so={all_doubts} \
             other_stewards_meanwhile={stewards} bytes_of_a_good_one={shortest}",
            believed.len()
        );
    }
}

fn mend(imposter: &Imposter) {
    imposter.manner.send_replace(Manner::Genuine);
}

/// With a limit that is far above what is sent, and so low that a lease is used up in about a second.
async fn ask_often_for_leases(edge: &Edge) {
    let quota = json!({ "quota": { "limit": 3000, "window_seconds": 1 } });
    let patched = edge.key_service().patch_team("acme", &quota).await.unwrap();
    edge.serves(patched["revision"].as_u64().unwrap()).await;
}
