//! The log: what is durable, and nothing else.

use conductor_core::{Event, Part, Seq, State};

use super::facts::Facts;

/// What is durable.
#[derive(Debug, Default)]
pub(super) struct Log {
    snapshot: Option<Vec<Part>>,
    tail: Vec<(Seq, Event)>,
    /// All batches ever written, also those that a snapshot replaced.
    batches: Vec<Vec<Event>>,
    /// The state that all of them give.
    pub(super) state: State,
    pub(super) facts: Facts,
}

impl Log {
    /// Makes a batch durable.
    pub(super) fn append(&mut self, events: Vec<Event>) {
        for event in &events {
            let seq = self.state.seq().next();
            self.facts.learn(event, &self.state);
            self.state.apply(seq, event).expect("a decided event follows from the log");
            self.tail.push((seq, event.clone()));
        }
        self.batches.push(events);
        self.facts.check(&self.state);
    }

    /// Puts a snapshot in place of the events.
    pub(super) fn snapshot(&mut self) {
        self.snapshot = Some(self.state.parts().collect());
        self.tail.clear();
    }

    /// The state as a starting leader finds it: snapshot and tail.
    pub(super) fn load(&self) -> State {
        let mut state = match &self.snapshot {
            Some(parts) => State::restore(parts.iter().cloned()).expect("the snapshot fits together"),
            None => State::default(),
        };
        for (seq, event) in &self.tail {
            state.apply(*seq, event).expect("the tail follows from the snapshot");
        }
        assert!(state == self.state, "a snapshot and its tail give what all events give (I5)");
        state
    }

    /// Loses the last batch, as a log that does not sync may.
    pub(super) fn lose_last(&mut self) {
        let mut batches = std::mem::take(&mut self.batches);
        batches.pop();
        *self = Self::default();
        batches.into_iter().for_each(|batch| self.append(batch));
    }
}
