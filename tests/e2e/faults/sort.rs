//! Sorts of requests, and what is due to each before, during and after a fault.

pub(crate) const PATH: &str = "/api/acme/x";

/// When a request was sent, seen from the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Before,
    /// It is being made to break.
    Turning,
    During,
    /// The fault is over, and what it has done may not be mended yet.
    Mending,
    After,
}

/// How many phases there are.
pub(crate) const PHASES: usize = 5;

/// A sort of request.
#[derive(Clone, Debug)]
pub(crate) struct Sort {
    pub(crate) name: &'static str,
    pub(crate) header: (&'static str, String),
    pub(crate) path: &'static str,
    /// In each phase.
    pub(crate) due: [Due; PHASES],
}

/// What is due to a request.
#[derive(Clone, Debug)]
pub(crate) enum Due {
    /// To be admitted; or, where an outage or a limit is stated, one of these.
    Admission(Vec<&'static str>),
    /// To be refused, in one of these ways.
    Refusal(Vec<&'static str>),
    /// To be admitted, or one of these: the right to it ends or begins in this phase.
    Either(Vec<&'static str>),
}

impl Due {
    pub(super) fn others(&mut self) -> &mut Vec<&'static str> {
        let (Self::Admission(others) | Self::Refusal(others) | Self::Either(others)) = self;
        others
    }

    /// The right to it, where there is one, ends or begins.
    fn may_be(&mut self, refusal: &'static str) {
        if matches!(self, Self::Admission(_)) {
            *self = Self::Either(Vec::new());
        }
        self.others().push(refusal);
    }
}

impl Sort {
    /// Valid, whatever breaks.
    pub(crate) fn valid(name: &'static str, header: (&'static str, String)) -> Self {
        Self { name, header, path: PATH, due: std::array::from_fn(|_| Due::Admission(Vec::new())) }
    }

    /// Without the right to, whatever breaks.
    pub(crate) fn wrong(name: &'static str, header: (&'static str, String), refusal: &'static str) -> Self {
        Self { name, header, path: PATH, due: std::array::from_fn(|_| Due::Refusal(vec![refusal])) }
    }

    /// Whether it has the right to, before anything breaks.
    pub(crate) fn is_valid(&self) -> bool {
        matches!(self.due[Phase::Before as usize], Due::Admission(_))
    }

    /// While it is broken, it is refused like that.
    pub(crate) fn refused_meanwhile(mut self, refusal: &'static str) -> Self {
        self.due[Phase::During as usize] = Due::Refusal(vec![refusal]);
        for phase in [Phase::Turning, Phase::Mending] {
            self.due[phase as usize].may_be(refusal);
        }
        self
    }

    /// From when it breaks, and for ever after, it is refused like that.
    pub(crate) fn refused_for_good(mut self, refusal: &'static str) -> Self {
        self.due[Phase::Turning as usize] = Due::Either(vec![refusal]);
        for phase in [Phase::During, Phase::Mending, Phase::After] {
            self.due[phase as usize] = Due::Refusal(vec![refusal]);
        }
        self
    }

    /// From the beginning until it is mended, it is refused like that.
    pub(crate) fn refused_until_mended(mut self, refusal: &'static str) -> Self {
        for phase in [Phase::Before, Phase::Turning, Phase::During] {
            self.due[phase as usize] = Due::Refusal(vec![refusal]);
        }
        self.due[Phase::Mending as usize].may_be(refusal);
        self
    }

    /// From when it breaks until it is mended, this may come of it as well, which is an outage that is stated.
    pub(crate) fn perhaps(mut self, outcome: &'static str) -> Self {
        for phase in [Phase::Turning, Phase::During, Phase::Mending] {
            self.due[phase as usize].others().push(outcome);
        }
        self
    }

    /// One for all requests of this sort in a phase of this traffic.
    pub(super) fn nonce(&self, traffic: u64, phase: Phase) -> String {
        format!("{traffic}-{phase:?}-{}", self.name)
    }
}
