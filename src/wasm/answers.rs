//! Answers to refused requests, ready for the host. One that says nothing of who asks is put together once.

use std::{cell::RefCell, rc::Rc};

use crate::{
    config::{Config, Styles},
    refusal::Refusal,
    request::Wire,
    shared::HostFailure,
    verdict::{self, Refused, Verdict},
};

use super::host::Answer;

/// How many are kept: there are few reasons, and few kinds of routes.
const KEPT: usize = 16;

/// What was answered lately under one configuration.
#[derive(Default)]
pub(super) struct Answers(RefCell<Vec<(About, Rc<Answer>)>>);

/// All that an answer follows from, besides the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
struct About {
    refusal: Refusal,
    styles: Option<Styles>,
    wire: Wire,
}

impl Answers {
    /// The answer that this refusal gets.
    pub(super) fn to(&self, refused: &Refused, config: &Config, wire: Wire) -> Result<Rc<Answer>, HostFailure> {
        let about = About::everybody(refused, wire);
        if let Some(known) = about.and_then(|about| self.find(about)) {
            return Ok(known);
        }
        let answer = Rc::new(answer(refused, config, wire)?);
        if let (Some(about), Ok(mut kept)) = (about, self.0.try_borrow_mut()) {
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.push((about, Rc::clone(&answer)));
        }
        Ok(answer)
    }

    fn find(&self, about: About) -> Option<Rc<Answer>> {
        let kept = self.0.try_borrow().ok()?;
        kept.iter().find(|(known, _)| *known == about).map(|(_, answer)| Rc::clone(answer))
    }
}

impl About {
    /// None if the answer may say something of who asks, or of what is left.
    fn everybody(refused: &Refused, wire: Wire) -> Option<Self> {
        let Refused { refusal, principal, allowance, styles } = refused;
        (principal.is_none() && allowance.is_none()).then_some(Self { refusal: *refusal, styles: *styles, wire })
    }
}

fn answer(refused: &Refused, config: &Config, wire: Wire) -> Result<Answer, HostFailure> {
    let reply = verdict::reply(refused, &config.realm, wire);
    // Of a refusal, no header tells a revision.
    let verdict = Verdict::Refused(refused.clone());
    let told = verdict::response_headers(&verdict, config, None);
    Answer::new(reply, &told, wire)
}
