//! What a question that is not answered yet, and one that nobody answers any more, do to everybody's leases.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Lending, Open, Past, Place, Quotas};

/// What a node hears whose question comes ten seconds from now.
fn lending_later(quotas: &Quotas) -> Lending {
    let later = quotas.now() + 10_000;
    assert!(!quotas.trust().was_away("default", Past::Answered, later));
    quotas.trust().lending(later)
}

#[test]
fn while_a_question_has_been_open_for_long_nobody_is_lent_anything() {
    let quotas = Quotas::new(Place::Memory);
    let _open = Open::begin(&quotas);
    assert_eq!(lending_later(&quotas), Lending::OnlySettles);
}

#[test]
fn a_question_that_was_given_up_stops_nobodys_leases() {
    let quotas = Quotas::new(Place::Memory);
    drop(Open::begin(&quotas));
    assert_eq!(lending_later(&quotas), Lending::Lends);
}

#[test]
fn a_question_that_panics_stops_nobodys_leases() {
    let quotas = Quotas::new(Place::Memory);
    let panics = || {
        let _open = Open::begin(&quotas);
        panic!("as a fault in the database's driver would");
    };
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(lending_later(&quotas), Lending::Lends);
}
