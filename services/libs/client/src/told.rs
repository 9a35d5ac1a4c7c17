//! What an orchestrator told of its tasks, event by event: a second set of books, in which what may never be shows.

use std::collections::BTreeMap;

use conductor_protocol::event::EventView;
use conductor_protocol::task::{State, reason_text};

/// What is known of a task from its events.
#[derive(Debug, Clone, Default)]
pub struct TaskTold {
    /// What it is called.
    pub name: Option<String>,
    /// How many attempts were given to an agent.
    pub assigned: u32,
    /// How its attempts ended, in order.
    pub ends: Vec<String>,
    /// Whether an attempt is under way.
    pub open: bool,
    /// How it ended, when it has.
    pub finished: Option<State>,
    /// Why it failed, in the words of the protocol.
    pub failure: Option<String>,
    /// What was said of the failure.
    pub message: Option<String>,
}

/// All that was told so far.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The tasks by id.
    pub tasks: BTreeMap<String, TaskTold>,
    /// The last event.
    pub seq: u64,
    /// What may never be, and was told all the same.
    pub faults: Vec<String>,
}

impl Told {
    /// How many tasks have ended.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.tasks.values().filter(|task| task.finished.is_some()).count()
    }

    /// How many tasks are with an agent.
    #[must_use]
    pub fn open(&self) -> usize {
        self.tasks.values().filter(|task| task.open).count()
    }

    /// Adds an event, and notes it as a fault when it may not follow those before.
    pub fn take(&mut self, event: &EventView) {
        if event.seq <= self.seq {
            self.faults.push(format!("event {} came after event {}", event.seq, self.seq));
        }
        self.seq = event.seq;
        let Some(id) = event.id.as_ref().filter(|_| event.topic == "tasks") else { return };
        let known = self.tasks.contains_key(id);
        let task = self.tasks.entry(id.clone()).or_default();
        let fault = match event.kind.as_str() {
            "task_submitted" if known => Some("was submitted twice"),
            _ if task.finished.is_some() => Some("was changed after its end"),
            "task_submitted" => {
                task.name.clone_from(&event.name);
                None
            }
            _ if !known => Some("was never submitted"),
            "task_assigned" if task.open => Some("was given out twice at the same time"),
            "task_assigned" => {
                task.assigned += 1;
                task.open = true;
                (event.attempt != Some(task.assigned)).then_some("has a gap in its attempts")
            }
            "attempt_ended" if !task.open => Some("ended an attempt that was not under way"),
            "attempt_ended" => {
                task.open = false;
                task.ends.push(event.detail.clone().unwrap_or_default());
                None
            }
            "task_finished" if task.open => Some("ended while an attempt was under way"),
            "task_finished" => {
                task.finished = event.state;
                task.failure = event.failure.as_ref().map(|failure| reason_text(failure.reason).to_owned());
                task.message = event.failure.as_ref().map(|failure| failure.message.clone());
                None
            }
            _ => None,
        };
        if let Some(fault) = fault {
            self.faults.push(format!("task {id} {fault}: event {} {}", event.seq, event.kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, kind: &str, attempt: Option<u32>) -> EventView {
        let state = (kind == "task_finished").then_some(State::Succeeded);
        let json = serde_json::json!({
            "seq": seq, "at": "2026-01-01T00:00:00Z", "topic": "tasks", "kind": kind, "id": "a", "attempt": attempt,
            "state": state,
        });
        serde_json::from_value(json).unwrap()
    }

    fn faults(events: &[(&str, Option<u32>)]) -> Vec<String> {
        let mut told = Told::default();
        for (seq, (kind, attempt)) in (1..).zip(events) {
            told.take(&event(seq, kind, *attempt));
        }
        told.faults
    }

    #[test]
    fn a_life_as_it_should_be_has_no_faults() {
        let life = [
            ("task_submitted", None),
            ("task_assigned", Some(1)),
            ("attempt_ended", None),
            ("task_requeued", None),
            ("task_assigned", Some(2)),
            ("attempt_ended", None),
            ("task_finished", None),
        ];
        assert_eq!(faults(&life), Vec::<String>::new());
    }

    #[test]
    fn what_may_never_be_is_noticed() {
        let submitted = ("task_submitted", None);
        for bad in [
            &[submitted, submitted][..],
            &[("task_finished", None)],
            &[submitted, ("task_finished", None), ("task_finished", None)],
            &[submitted, ("task_finished", None), ("task_assigned", Some(1))],
            &[submitted, ("task_assigned", Some(1)), ("task_assigned", Some(2))],
            &[submitted, ("task_assigned", Some(2))],
            &[submitted, ("attempt_ended", None)],
            &[submitted, ("task_assigned", Some(1)), ("task_finished", None)],
        ] {
            assert_eq!(faults(bad).len(), 1, "{bad:?}");
        }
        let mut told = Told::default();
        told.take(&event(2, "task_submitted", None));
        told.take(&event(2, "task_requeued", None));
        assert_eq!(told.faults.len(), 1);
    }
}
