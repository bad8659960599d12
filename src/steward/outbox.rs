//! Reports usage to the key service, each batch exactly once: a batch keeps its number until it is acknowledged, also
//! when another steward has to send it.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use tollkeeper_contract::ledger::{MAX_USAGE, Report};

use crate::{principal::Account, time::Monotonic, usage::Tally};

use super::{Answer, Call, Errand, Holder, Settings, question::Patience};

/// The least time between two reports, in milliseconds.
const INTERVAL: u64 = 500;

/// Usage on its way to the key service.
#[derive(Debug, Default)]
pub struct Unsettled {
    /// Counts that no report has taken yet.
    pub tally: Tally,
    /// Reports that are not acknowledged: they may have been counted, so they must keep their numbers.
    pub reports: Vec<Report>,
    /// For whom leases are to be asked.
    pub wanted: BTreeSet<Account>,
}

#[derive(Debug)]
pub(super) struct Outbox {
    node: String,
    epoch: u64,
    timeout: Duration,
    seq: u64,
    pending: Tally,
    /// Not acknowledged yet; the first is sent, again and again.
    reports: VecDeque<Report>,
    stage: Stage,
    patience: Patience,
}

#[derive(Debug)]
enum Stage {
    /// Nothing is under way; the next report may go from this moment on.
    From(Monotonic),
    /// A report is under way; if no answer comes at all, it is lost at this moment.
    Until(Monotonic),
}

impl Outbox {
    pub(super) fn new(settings: &Settings, holder: Holder) -> Self {
        Self {
            node: settings.node.clone(),
            // JSON numbers are exact up to 53 bits everywhere.
            epoch: holder.0 >> 11,
            timeout: settings.timeout,
            seq: 0,
            pending: Tally::default(),
            reports: VecDeque::new(),
            stage: Stage::From(Monotonic(0)),
            patience: Patience::default(),
        }
    }

    pub(super) fn add(&mut self, tally: Tally, reports: Vec<Report>) {
        self.pending.add_all(tally);
        self.reports.extend(reports);
    }

    /// Everything that is not acknowledged.
    pub(super) fn give_up(&mut self) -> (Tally, Vec<Report>) {
        (std::mem::take(&mut self.pending), self.reports.drain(..).collect())
    }

    pub(super) fn next_call(&mut self, now: Monotonic) -> Option<Call> {
        let (Stage::From(due) | Stage::Until(due)) = self.stage;
        if now < due {
            return None;
        }
        if self.reports.is_empty() && !self.pending.is_empty() {
            self.begin_report();
        }
        let report = self.reports.front()?;
        let body = serde_json::to_vec(report).ok()?;
        let lost = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX).saturating_add(2000);
        self.stage = Stage::Until(now.after(lost));
        Some(Call {
            errand: Errand::Report { epoch: report.epoch, seq: report.seq },
            method: "POST",
            path: "/node/v1/ledger".to_owned(),
            body: Some(body),
            timeout: self.timeout,
        })
    }

    fn begin_report(&mut self) {
        self.seq = self.seq.saturating_add(1);
        let usage = self.pending.take(MAX_USAGE);
        self.reports.push_back(Report { node: self.node.clone(), epoch: self.epoch, seq: self.seq, usage });
    }

    pub(super) fn on_answer(&mut self, number: (u64, u64), answer: &Answer<'_>, now: Monotonic) {
        if self.reports.front().is_none_or(|report| (report.epoch, report.seq) != number) {
            return;
        }
        match answer {
            Answer::Service { status: 204, .. } => {
                self.patience.restore();
                self.settled(now);
            }
            // A report that the key service calls wrong will not be right next time.
            Answer::Service { status: 400 | 413 | 422, .. } => {
                log::error!("the key service refused a usage report as malformed; its counts are lost");
                self.settled(now);
            }
            Answer::Service { .. } | Answer::Stranger { .. } | Answer::Nothing => {
                self.stage = Stage::From(now.after(self.patience.after_failure()));
            }
        }
    }

    fn settled(&mut self, now: Monotonic) {
        self.reports.pop_front();
        self.stage = Stage::From(now.after(INTERVAL));
    }
}

#[cfg(test)]
mod tests {
    use super::Outbox;
    use crate::{
        limiter::Limit,
        steward::{Answer, Holder, Settings},
        time::{Monotonic, Now},
        usage::{Tally, Use},
    };
    use std::time::Duration;
    use tollkeeper_contract::{ledger::Report, page::NodeToken};

    const DONE: Answer<'_> = Answer::Service { status: 204, body: b"" };

    fn outbox(holder: u64) -> Outbox {
        let token = NodeToken::parse("a-token-for-nodes").unwrap();
        let second = Duration::from_secs(1);
        let (node, instance, default_limit) = ("n".to_owned(), "test".to_owned(), Limit::bucket(1, 1));
        let settings = Settings { poll: second, timeout: second, token, node, instance, default_limit, fleet: None };
        Outbox::new(&settings, Holder(holder << 11))
    }

    fn used(outbox: &mut Outbox, times: u32) {
        let mut tally = Tally::default();
        for _ in 0..times {
            tally.count("k", "acme", Use::Granted, Now { unix: 5, monotonic: Monotonic(0) });
        }
        outbox.add(tally, vec![]);
    }

    fn report(outbox: &mut Outbox, now: u64) -> Option<Report> {
        outbox.next_call(Monotonic(now)).map(|call| serde_json::from_slice(&call.body.unwrap()).unwrap())
    }

    #[test]
    fn a_batch_that_was_not_acknowledged_is_sent_again_as_it_was() {
        let mut outbox = outbox(1);
        assert_eq!(report(&mut outbox, 0), None);
        used(&mut outbox, 3);
        let first = report(&mut outbox, 0).unwrap();
        used(&mut outbox, 1);
        assert_eq!(report(&mut outbox, 50), None, "one at a time");
        outbox.on_answer((1, 1), &Answer::Nothing, Monotonic(60));
        assert_eq!(report(&mut outbox, 160), Some(first));
        outbox.on_answer((1, 1), &DONE, Monotonic(170));
        let second = report(&mut outbox, 670).unwrap();
        assert_eq!((second.seq, second.usage[0].granted), (2, 1));
    }

    #[test]
    fn a_batch_whose_answer_never_comes_is_sent_again() {
        let mut outbox = outbox(1);
        used(&mut outbox, 1);
        let first = report(&mut outbox, 0).unwrap();
        assert_eq!(report(&mut outbox, 2999), None);
        assert_eq!(report(&mut outbox, 3000), Some(first));
    }

    #[test]
    fn a_late_answer_to_an_older_batch_acknowledges_nothing() {
        let mut outbox = outbox(1);
        used(&mut outbox, 1);
        report(&mut outbox, 0).unwrap();
        outbox.on_answer((1, 1), &DONE, Monotonic(10));
        used(&mut outbox, 1);
        let second = report(&mut outbox, 600).unwrap();
        outbox.on_answer((1, 1), &DONE, Monotonic(610));
        assert_eq!(report(&mut outbox, 3600), Some(second));
    }

    #[test]
    fn a_successor_sends_what_was_not_acknowledged_under_its_old_number() {
        let (mut old, mut new) = (outbox(1), outbox(2));
        used(&mut old, 3);
        let first = report(&mut old, 0).unwrap();
        used(&mut old, 1);
        let (tally, reports) = old.give_up();
        new.add(tally, reports);
        assert_eq!(report(&mut new, 0), Some(first));
        new.on_answer((1, 1), &DONE, Monotonic(10));
        let rest = report(&mut new, 600).unwrap();
        assert_eq!((rest.epoch, rest.seq, rest.usage[0].granted), (2, 1, 1));
    }
}
