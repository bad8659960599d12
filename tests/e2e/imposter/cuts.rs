//! Answers of the key service that end early, at any of their bytes.

use tollkeeper_contract::page::NodeToken;

use super::turns::{Bad, Next, Tried, Turns, no_bad_answer_is_believed};
use crate::faults::number;

/// A cut every so many bytes; `make hold` tries each of changes and of leases.
const STEP: u64 = 16;

/// The same of snapshots, which are longer (`make hold`: every eighth). What opens a page is tried with each in `contract`.
const STEP_IN_SNAPSHOTS: u64 = 128;

/// So many answers that are too short for the next cut, and there will be no other.
const TOO_SHORT: u32 = 5;

/// Answers that end at the first byte, and each time some bytes later, until the first one would be whole; then one of which only
/// the last byte is missing.
fn cut_every(step: usize) -> Bad {
    let (mut last, mut too_short) = (None, 0);
    Box::new(move |number, good| {
        let (cut, length) = (number * step, good.body.len());
        if too_short == TOO_SHORT {
            (last, too_short) = (Some(number), 0);
        }
        let last = *last.get_or_insert(length.div_ceil(step));
        if number >= last {
            return if number == last { Next::Bad(good.body[..length - 1].to_vec()) } else { Next::Over };
        }
        let is_too_short = cut >= length;
        too_short = if is_too_short { too_short + 1 } else { 0 };
        if is_too_short { Next::Good } else { Next::Bad(good.body[..cut].to_vec()) }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_at_any_of_its_bytes_is_not_taken_and_is_asked_for_again() {
    let step = usize::try_from(number("FAULT_CUT_STEP", STEP)).unwrap();
    let in_snapshots = usize::try_from(number("FAULT_SNAPSHOT_CUT_STEP", STEP_IN_SNAPSHOTS)).unwrap();
    let steps = [step, in_snapshots, step];
    let tried = no_bad_answer_is_believed("cuts_its_answers_short", |token| {
        let [changes, snapshots, leases] = steps.map(cut_every);
        Turns::of(NodeToken::parse(token).unwrap(), changes, snapshots, leases)
    });
    for (Tried { kind, count, shortest }, step) in tried.await.into_iter().zip(steps) {
        assert!(
            count > shortest.div_ceil(step),
            "{kind}: {count} cuts, {step} bytes apart, in {shortest} bytes and more"
        );
    }
}
