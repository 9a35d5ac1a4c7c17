//! Lives of tasks, for the suites.

use std::collections::HashMap;
use std::sync::Arc;

use conductor_core::{
    AgentId, AttemptEnd, CancelReason, Event, EventKind, Failure, FailureReason, Lease, NewTask, Outcome,
    Question, Report, RequestId, Requeue, Standing, TaskId, Usage, Wall,
};

use super::samples;
use crate::log::{PayloadKey, Payloads, ReadError};

/// Payloads that are held in memory.
#[derive(Debug, Default)]
pub struct Kept(pub HashMap<PayloadKey, Vec<u8>>);

impl Payloads for Kept {
    fn visit_payloads(
        &self,
        keys: &[PayloadKey],
        visit: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), ReadError> {
        for (place, key) in keys.iter().enumerate() {
            if let Some(bytes) = self.0.get(key) {
                visit(place, bytes);
            }
        }
        Ok(())
    }
}

/// How a life goes on; the lowest bits choose.
fn choose(seed: &mut u64, ways: u64) -> u64 {
    // A linear congruential step: the suite wants the same lives for the same seed, not good randomness.
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % ways
}

/// The events of a task's life, from its submission to an end that the seed chooses, or to the middle of it.
#[must_use]
pub fn life(task: NewTask, from: Wall, mut seed: u64) -> Vec<Event> {
    let mut life = Life { id: task.id, at: from, lease: samples::lease(seed), events: Vec::new() };
    let by = samples::actor();
    let standing = match choose(&mut seed, 3) {
        0 => Standing::Blocked,
        _ => Standing::Queued { queued_at: from },
    };
    life.add(EventKind::TaskSubmitted { task: Box::new(task), standing, key: None, by: Arc::clone(&by) });
    if standing == Standing::Blocked {
        if choose(&mut seed, 8) == 0 {
            return life.events;
        }
        let standing = Standing::Queued { queued_at: life.at };
        life.add(EventKind::TaskFreed { task: life.id, standing });
    }
    for attempt in 1..=3 {
        if choose(&mut seed, 8) == 0 {
            return life.events;
        }
        if !life.attempt(attempt, &mut seed) {
            return life.events;
        }
    }
    let (outcome, by) = match choose(&mut seed, 4) {
        0 => (Outcome::Succeeded, None),
        1 => (Outcome::Failed(Failure::new(FailureReason::ExitCode, "it ended with 1")), None),
        2 => (Outcome::Cancelled(CancelReason::Requested(Some("not needed".into()))), Some(by)),
        _ => (Outcome::Cancelled(CancelReason::Dependency(TaskId(1))), None),
    };
    life.add(EventKind::TaskFinished { task: life.id, outcome, by });
    life.events
}

struct Life {
    id: TaskId,
    at: Wall,
    lease: Lease,
    events: Vec<Event>,
}

impl Life {
    fn add(&mut self, kind: EventKind) {
        self.events.push(Event { at: self.at, kind });
        self.at = self.at.after(1_000);
    }

    /// An attempt and what follows on it; says whether the life goes on.
    fn attempt(&mut self, attempt: u32, seed: &mut u64) -> bool {
        let task = self.id;
        self.lease.number += 1;
        let (lease, runner, agent) = (self.lease, samples::name("mock"), AgentId(7));
        self.add(EventKind::TaskAssigned { task, agent, lease, attempt, runner });
        if choose(seed, 8) > 0 {
            self.add(EventKind::TaskStarted { task, lease });
        }
        if choose(seed, 4) == 0 {
            let question = Question { request_id: RequestId(attempt.into()), detail_json: "{}".into() };
            let expires_at = self.at.after(60_000);
            self.add(EventKind::TaskAsked { task, lease, question, timeout_left_ms: 5, expires_at });
            if choose(seed, 4) == 0 {
                return false;
            }
            self.add(EventKind::TaskAnswered { task, answer_json: "\"yes\"".into(), by: samples::actor() });
        }
        if choose(seed, 6) == 0 {
            self.add(EventKind::CancelRequested { task, reason: CancelReason::Schedule, by: None });
        }
        let (end, cause) = match choose(seed, 4) {
            0 => (AttemptEnd::Succeeded, Requeue::Backoff),
            1 => (AttemptEnd::Failed(Failure::new(FailureReason::Oom, "out of memory")), Requeue::Backoff),
            2 => (AttemptEnd::Crashed("the worker died".into()), Requeue::Crash),
            _ => (AttemptEnd::Limited { rest_ms: 9, message: "slow down".into() }, Requeue::Limit),
        };
        let usage = Usage {
            input_tokens: 10,
            output_tokens: choose(seed, 100),
            cost_usd_micros: (choose(seed, 2) == 0).then_some(5),
            turns: 1,
            ..Usage::default()
        };
        let report = Report { exit_code: Some(0), usage, ..Report::default() };
        self.add(EventKind::AttemptEnded { task, lease, end, report: Box::new(report) });
        let ready_at = (choose(seed, 2) == 0).then(|| self.at.after(5_000));
        self.add(EventKind::TaskRequeued { task, cause, ready_at, queued_at: self.at });
        true
    }
}

/// The events of so many lives, all at the same time, in groups and with names, labels and prompts of their own.
#[must_use]
pub fn lives(count: u64, seed: u64) -> (Vec<Event>, Kept) {
    let mut kept = Kept::default();
    let mut lives: Vec<std::vec::IntoIter<Event>> = Vec::new();
    for number in 0..count {
        let id = u128::from(number) + 1;
        let mut task = samples::plain_task(id);
        task.group = samples::name(["default", "red", "blue"][usize::try_from(number % 3).expect("below 3")]);
        task.name = (number % 5 == 0).then(|| format!("Job {number}").into());
        task.labels = [(samples::name("shard"), samples::name(&(number % 4).to_string()))].into();
        let prompt = format!(r#"{{"prompt":"Write ESSAY {number} über Öl"}}"#);
        kept.0.insert(PayloadKey(id), prompt.into_bytes());
        let from = Wall(1_700_000_000_000 + i64::try_from(number).expect("a small number") * 600_000);
        lives.push(life(task, from, seed.wrapping_mul(31).wrapping_add(number)).into_iter());
    }
    let mut events = Vec::new();
    let mut seed = seed;
    while !lives.is_empty() {
        let place = choose(&mut seed, lives.len() as u64);
        let place = usize::try_from(place).expect("a place in a list");
        match lives[place].next() {
            Some(event) => events.push(event),
            None => drop(lives.remove(place)),
        }
    }
    (events, kept)
}
