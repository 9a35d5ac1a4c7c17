//! What events add to the tally.

use conductor_core::{Name, Outcome, Usage};

use crate::history::record::TaskRecord;
use crate::history::tally::{RunnerTally, Tally};

/// The runner that a task counts for: the one that ran it, else the one that it asked for.
pub(super) fn runner_of(record: &TaskRecord) -> &Name {
    record.ran_on.as_ref().unwrap_or(&record.task.runner)
}

impl Tally {
    fn runner(&mut self, name: &Name) -> &mut RunnerTally {
        if !self.runners.contains_key(name) {
            self.runners.insert(name.clone(), RunnerTally::default());
        }
        self.runners.get_mut(name).expect("it was inserted")
    }

    pub(super) fn submitted(&mut self, runner: &Name) {
        self.runner(runner).submitted += 1;
    }

    pub(super) fn waited(&mut self, ms: u64) {
        self.wait.count(ms);
    }

    pub(super) fn ran(&mut self, runner: &Name, ms: Option<u64>, usage: &Usage) {
        let found = self.runner(runner);
        if let Some(ms) = ms {
            found.run.count(ms);
        }
        found.input_tokens = found.input_tokens.saturating_add(usage.input_tokens);
        found.output_tokens = found.output_tokens.saturating_add(usage.output_tokens);
        found.cached_input_tokens = found.cached_input_tokens.saturating_add(usage.cached_input_tokens);
        found.cost_usd_micros =
            found.cost_usd_micros.saturating_add(usage.cost_usd_micros.unwrap_or_default());
    }

    pub(super) fn finished(&mut self, runner: &Name, outcome: &Outcome) {
        let found = self.runner(runner);
        match outcome {
            Outcome::Succeeded => found.succeeded += 1,
            Outcome::Failed(_) => found.failed += 1,
            Outcome::Cancelled(_) => found.cancelled += 1,
        }
    }
}
