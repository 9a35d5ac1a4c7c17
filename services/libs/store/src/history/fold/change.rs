//! What an event makes of one record.

use conductor_core::{AttemptEnd, Lease, Name, Report, Standing, Usage, Wall};

use crate::history::record::{AttemptRecord, AttemptState, State, TaskRecord};

/// The most attempts that a record keeps; the oldest go. Attempts that met a credential's limit count nowhere else.
const MAX_ATTEMPTS: usize = 100;

pub(super) fn stand(record: &mut TaskRecord, standing: Standing) {
    record.scheduled_at = None;
    match standing {
        Standing::Blocked => record.state = State::Blocked,
        Standing::Scheduled => {
            record.state = State::Scheduled;
            record.scheduled_at = record.task.run_at;
        }
        Standing::Queued { queued_at } => {
            record.state = State::Queued;
            record.queued_at = Some(queued_at);
        }
    }
}

pub(super) fn begun(number: u32, agent: Name, lease: Lease, runner: Name, at: Wall) -> AttemptRecord {
    AttemptRecord {
        number,
        agent,
        lease,
        runner,
        state: AttemptState::Running,
        assigned_at: at,
        started_at: None,
        finished_at: None,
        exit_code: None,
        usage: Usage::default(),
    }
}

/// Gives a task its next attempt, and answers how long it had waited when it is the first.
pub(super) fn assign(record: &mut TaskRecord, attempt: AttemptRecord) -> Option<u64> {
    let first = record.attempts.is_empty();
    let since = record.queued_at.unwrap_or(record.created_at);
    let waited = attempt.assigned_at.remaining_ms(since);
    record.state = State::Running;
    record.scheduled_at = None;
    record.ran_on = Some(attempt.runner.clone());
    if record.attempts.len() == MAX_ATTEMPTS {
        record.attempts.remove(0);
    }
    record.attempts.push(attempt);
    first.then_some(waited)
}

pub(super) fn attempt(record: &mut TaskRecord, lease: Lease) -> Option<&mut AttemptRecord> {
    record.attempts.iter_mut().rev().find(|attempt| attempt.lease == lease)
}

pub(super) fn end_attempt(
    record: &mut TaskRecord,
    lease: Lease,
    end: &AttemptEnd,
    report: &Report,
    at: Wall,
) {
    if let Some(attempt) = attempt(record, lease) {
        attempt.state = match end {
            AttemptEnd::Succeeded => AttemptState::Succeeded,
            AttemptEnd::Failed(failure) => AttemptState::Failed(failure.clone()),
            AttemptEnd::Crashed(message) => AttemptState::Crashed(message.clone()),
            AttemptEnd::Stopped => AttemptState::Stopped,
            AttemptEnd::Cancelled => AttemptState::Cancelled,
            AttemptEnd::Limited { rest_ms: _, message } => AttemptState::Limited(message.clone()),
        };
        attempt.finished_at = Some(at);
        attempt.exit_code = report.exit_code;
        attempt.usage = report.usage;
    }
    record.usage.add(&report.usage);
    record.simulated |= report.simulated;
    record.waiting = None;
    if report.result_json.is_some() {
        record.result_json.clone_from(&report.result_json);
    }
}

/// What an attempt cost that came to nothing, in millionths of a US dollar. One that was stopped or met a limit goes on later.
pub(super) fn lost_cost(end: &AttemptEnd, usage: &Usage) -> u64 {
    match end {
        AttemptEnd::Failed(_) | AttemptEnd::Crashed(_) => usage.cost_usd_micros.unwrap_or_default(),
        AttemptEnd::Succeeded
        | AttemptEnd::Stopped
        | AttemptEnd::Cancelled
        | AttemptEnd::Limited { rest_ms: _, message: _ } => 0,
    }
}
