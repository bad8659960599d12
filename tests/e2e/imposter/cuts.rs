//! Answers of the key service that end early, at any of their bytes.

use tollkeeper_contract::page::NodeToken;

use super::turns::{Bad, Next, Turns, no_bad_answer_is_believed};
use crate::faults::number;

/// A cut every so many bytes; `make hold` tries each of changes and of leases.
const STEP: u64 = 16;

/// The same of snapshots, which are longer (`make hold`: every eighth). What opens a page is tried with each in `contract`.
const STEP_IN_SNAPSHOTS: u64 = 128;

/// So many answers that are too short for the next cut, and there will be no other.
const TOO_SHORT: u32 = 5;

/// Answers that end at the first byte, and each time some bytes later, until the first one would be whole.
fn cut_every(step: u64) -> Bad {
    let step = usize::try_from(step).unwrap();
    let (mut first, mut too_short) = (None, 0);
    Box::new(move |number, good| {
        let cut = number * step;
        if cut >= *first.get_or_insert(good.body.len()) || too_short == TOO_SHORT {
            return Next::Over;
        }
        let is_too_short = cut >= good.body.len();
        too_short = if is_too_short { too_short + 1 } else { 0 };
        if is_too_short { Next::Good } else { Next::Bad(good.body[..cut].to_vec()) }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_at_any_of_its_bytes_is_not_taken_and_is_asked_for_again() {
    let step = number("FAULT_CUT_STEP", STEP);
    let in_snapshots = number("FAULT_SNAPSHOT_CUT_STEP", STEP_IN_SNAPSHOTS);
    no_bad_answer_is_believed("cuts_its_answers_short", |token| {
        let token = NodeToken::parse(token).unwrap();
        Turns::of(token, cut_every(step), cut_every(in_snapshots), cut_every(step))
    })
    .await;
}
