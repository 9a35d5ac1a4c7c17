//! How many tasks are taken before there is a slot for them.
//!
//! Between the end of one run and the begin of the next lie two messages and a durable write. For runs of minutes that is
//! nothing; runs of milliseconds would mostly wait for it. So an agent whose last runs were all short takes as many tasks
//! ahead as it has slots, and gives back the ones whose turn does not come, see `runner::turnstile`.

use crate::runner::{Outcome, Verdict};

/// Up to this long a run is short.
const SHORT_MS: u64 = 50;
/// How many runs in a row have to be short.
const ENOUGH: u32 = 8;

/// Knows how long the last runs were.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    short_in_a_row: u32,
}

impl Ahead {
    /// Learns from a run that is over.
    pub fn learn(&mut self, outcome: &Outcome) {
        let is_short = match outcome.verdict {
            Verdict::Succeeded | Verdict::Failed(_) | Verdict::Cancelled => outcome.run_ms <= SHORT_MS,
            Verdict::Stopped | Verdict::Crashed { .. } | Verdict::Limited { .. } => false,
        };
        self.short_in_a_row = if is_short { (self.short_in_a_row + 1).min(ENOUGH) } else { 0 };
    }

    /// How many tasks are taken beyond the slots.
    pub fn count(&self, slots: u32) -> u32 {
        if self.short_in_a_row == ENOUGH { slots } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::FileList;
    use crate::runner::Usage;

    fn outcome(verdict: Verdict, run_ms: u64) -> Outcome {
        Outcome {
            verdict,
            exit_code: None,
            summary: String::new(),
            usage: Usage::default(),
            session_id: None,
            lane: None,
            flags: Vec::new(),
            simulated: false,
            output_bytes: 0,
            output_dropped_bytes: 0,
            files: FileList::default(),
            verified: None,
            sandbox: None,
            git: None,
            diff_bytes: 0,
            run_ms,
            told: 0,
        }
    }

    #[test]
    fn tasks_are_taken_ahead_after_short_runs_only() {
        let mut ahead = Ahead::default();
        for _ in 1..ENOUGH {
            ahead.learn(&outcome(Verdict::Succeeded, 1));
        }
        assert_eq!(ahead.count(4), 0, "one is missing");
        ahead.learn(&outcome(Verdict::Succeeded, SHORT_MS));
        ahead.learn(&outcome(Verdict::Succeeded, SHORT_MS));
        assert_eq!(ahead.count(4), 4);
        ahead.learn(&outcome(Verdict::Succeeded, SHORT_MS + 1));
        assert_eq!(ahead.count(4), 0);
    }

    #[test]
    fn a_run_that_had_to_be_given_back_ends_it() {
        let mut ahead = Ahead::default();
        (0..ENOUGH).for_each(|_| ahead.learn(&outcome(Verdict::Succeeded, 1)));
        ahead.learn(&outcome(Verdict::Stopped, 0));
        assert_eq!(ahead.count(4), 0);
    }
}
