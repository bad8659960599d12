//! All cases of a class, one after the other, and a valid request on every worker behind each.

use std::time::Duration;

use lab::{raw, raw_http2, witness::Arrival};

use super::bytes::{self, Names};
use super::corpus::{Case, Class, Outcome};
use super::judge::{Told, Trial, contains};
use super::right::{Place, right};
use super::stage::Stage;

/// So long nothing comes only if nothing will: Envoy is told to wait a tenth of that for the rest of a request.
const SILENCE: Duration = Duration::from_secs(5);

/// What came of a class, as it stands in the report.
#[derive(Debug, Default)]
struct Tally {
    tried: usize,
    without_right: usize,
    valid: usize,
    valid_refused: usize,
    vm_traps: usize,
    wrong: Vec<String>,
}

/// What was sent for a case, until it is known what has arrived.
struct Sent<'a> {
    case: &'a Case,
    names: Names,
    told: Told,
}

/// Tries everything in a class, and says what came of it.
#[expect(clippy::print_stdout, reason = "what was tried belongs into the report")]
pub(super) async fn class(text: &str) {
    let class = Class::parse(text);
    let mut tally = Tally::default();
    for kind in &class.edges {
        let mut stage = Stage::new(*kind, text).await;
        let mut sent = Vec::new();
        for case in &class.cases {
            for &is_http2 in case.times() {
                sent.push(send(&stage, case, is_http2, nonce(sent.len())).await);
                tally.valid += stage.workers();
                let refused = stage.workers_that_refuse().await;
                if refused > 0 {
                    tally
                        .wrong
                        .push(format!("{kind:?}, {}: a valid request is refused on {refused} workers", case.name));
                }
                tally.valid_refused += refused;
            }
        }
        tally.tried += sent.len();
        let arrivals = all_arrivals(&stage);
        judge(&mut tally, &sent, arrivals, |case| case.outcomes(*kind));
        tally.vm_traps += stage.vm_traps();
        tally.wrong.extend(stage.harm().await);
    }
    println!(
        "hold: hostile/{} {} without_right={} valid_refused={}/{} vm_traps={}",
        class.class, tally.tried, tally.without_right, tally.valid_refused, tally.valid, tally.vm_traps
    );
    assert!(tally.wrong.is_empty(), "{}:\n{}", class.class, tally.wrong.join("\n"));
    assert_eq!((tally.without_right, tally.valid_refused), (0, 0));
}

async fn send<'a>(stage: &Stage, case: &'a Case, is_http2: bool, nonce: String) -> Sent<'a> {
    let mut names = stage.names.clone();
    names.insert("inner".to_owned(), format!("{nonce}inner"));
    names.insert("nonce".to_owned(), nonce.clone());
    if let Some(answer) = &case.answer {
        stage.upstream.answer(&nonce, bytes::bytes(answer, &names));
    }
    let address = stage.edge.address();
    let told = if is_http2 {
        Told::http2(raw_http2::answer(address, &bytes::http2(case, &names), SILENCE).await.unwrap())
    } else {
        let request = bytes::http1(case, &names);
        // What hides in another request has its time to come out.
        let bytes = match case.raw {
            Some(_) => raw::everything(address, &request, SILENCE).await.unwrap(),
            None => raw::first_answer(address, &request, SILENCE).await.unwrap(),
        };
        Told::http1(bytes)
    };
    Sent { case, names, told }
}

fn all_arrivals(stage: &Stage) -> Vec<(Place, Arrival)> {
    let upstream = stage.upstream.take().into_iter().map(|arrival| (Place::Upstream, arrival));
    upstream.chain(stage.login.take().into_iter().map(|arrival| (Place::Login, arrival))).collect()
}

/// The nonce of what was sent as number `number`.
fn nonce(number: usize) -> String {
    format!("n{number:04}z")
}

/// Whose nonce stands in a head, by its number, and whether one of a request within another does.
fn whose(head: &[u8]) -> (Option<usize>, bool) {
    let digits = |window: &[u8]| std::str::from_utf8(window.get(1..5)?).ok()?.parse::<usize>().ok();
    let nonces = head.windows(6).enumerate().filter(|(_, window)| window[0] == b'n' && window[5] == b'z');
    let mut found = (None, false);
    for (at, window) in nonces {
        if let Some(number) = digits(window) {
            found = (found.0.or(Some(number)), found.1 || head[at + 6..].starts_with(b"inner"));
        }
    }
    found
}

/// Every arrival belongs to what was sent under its nonce, and must be what may come of it.
fn judge<'a>(
    tally: &mut Tally,
    sent: &'a [Sent<'a>],
    arrivals: Vec<(Place, Arrival)>,
    outcomes: impl Fn(&'a Case) -> &'a [Outcome],
) {
    let mut of_case: Vec<Vec<(Place, Arrival)>> = sent.iter().map(|_| Vec::new()).collect();
    for (place, arrival) in arrivals {
        let rightful = right(&arrival, place);
        let (owner, is_inner) = whose(&arrival.head);
        let may = match owner {
            _ if contains(&arrival.head, b"x-nonce: valid\r\n") => continue,
            None => Err("nobody has sent it".to_owned()),
            Some(owner) if is_inner && !sent[owner].case.inner_may_arrive => Err("it was hidden in another".to_owned()),
            Some(owner) if !is_inner && !outcomes(sent[owner].case).iter().any(lets_arrive) => {
                Err("it was to be refused".to_owned())
            }
            Some(_) => Ok(()),
        };
        if let Err(why) = rightful.and(may) {
            tally.without_right += 1;
            let name = owner.map_or("?", |owner| &sent[owner].case.name);
            let start = String::from_utf8_lossy(&arrival.head).chars().take(600).collect::<String>();
            tally.wrong.push(format!("{name}: it arrived without a right to, {why}: {start:?}"));
        }
        if let Some(owner) = owner.filter(|_| !is_inner) {
            of_case[owner].push((place, arrival));
        }
    }
    for (sent, arrivals) in sent.iter().zip(of_case) {
        let Sent { case, names, told } = sent;
        let trial = Trial { case, names, outcomes: outcomes(case), told: told.clone(), arrivals };
        if let Err(wrong) = trial.judge() {
            let told = String::from_utf8_lossy(&trial.told.bytes);
            let told: String = told.chars().take(600).collect();
            tally.wrong.push(format!("{} (there because: {}): {wrong}\n  told: {told:?}", case.name, case.why));
        }
    }
}

fn lets_arrive(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Refused(..) | Outcome::RefusedGrpc(..) | Outcome::ByEnvoy => false,
        Outcome::Granted(_)
        | Outcome::Public
        | Outcome::Login
        | Outcome::Answered(_)
        | Outcome::Cut
        | Outcome::AnswerRefused => true,
    }
}
