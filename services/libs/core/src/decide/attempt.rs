//! The end of an attempt and what follows for its task.

use crate::context::Context;
use crate::decide::{budget, lane, servable};
use crate::event::{EventKind, Requeue};
use crate::hash::{halves, mix};
use crate::id::TaskId;
use crate::name::Name;
use crate::task::{AttemptEnd, CancelReason, Failure, FailureReason, Outcome, Report};

/// The longest pause between two attempts, before jitter.
const MAX_BACKOFF_MS: u64 = 3_600_000;
/// The shortest and longest rest of a credential.
const REST_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;

/// The pause after a limit of which nobody said how long it lasts: the first, and the longest, before jitter.
const UNKNOWN_REST_MS: u64 = 15_000;
const MAX_UNKNOWN_REST_MS: u64 = 600_000;

/// What follows an attempt.
enum Next {
    Finish(Outcome),
    Requeue { cause: Requeue, rest_ms: u64 },
}

/// Ends the attempt of a running task and decides what follows.
pub(crate) fn end(step: &mut Context<'_>, id: TaskId, end: AttemptEnd, report: Box<Report>) {
    let task = step.state().live(id).expect("only a live task is ended");
    let run = task.run().expect("only a running task's attempt is ended");
    let (lease, cancel, lane) = (run.lease, run.cancel.clone(), task.lane().cloned());
    let above: Vec<_> = step.state().line(id).skip(1).map(|(id, _)| id).collect();
    budget::settle(step, id, &end, &report.usage);
    step.emit(EventKind::AttemptEnded { task: id, lease, end: end.clone(), report });
    let followed = next(step, id, &end, cancel, lane.as_ref());
    let next = match followed {
        Next::Requeue { .. } => match budget::used_up(step.view(), id, &told(&end)) {
            Some(failure) => Next::Finish(Outcome::Failed(failure)),
            None => followed,
        },
        Next::Finish(_) => followed,
    };
    match next {
        Next::Finish(outcome) => step.emit(EventKind::TaskFinished { task: id, outcome, by: None }),
        Next::Requeue { cause, rest_ms } => {
            let ready_at = (rest_ms > 0).then(|| step.now().wall.after(rest_ms));
            let queued_at = step.queue_instant();
            step.emit(EventKind::TaskRequeued { task: id, cause, ready_at, queued_at });
        }
    }
    if let Some(lane) = lane {
        lane::run_ended(step, &lane, &end);
    }
    budget::end_below(step, &above);
}

/// How an attempt ended, in a word or its own.
fn told(end: &AttemptEnd) -> String {
    match end {
        AttemptEnd::Failed(failure) => failure.message.to_string(),
        AttemptEnd::Crashed(message) | AttemptEnd::Limited { message, .. } => message.to_string(),
        AttemptEnd::Succeeded | AttemptEnd::Stopped | AttemptEnd::Cancelled => "it was stopped".to_owned(),
    }
}

/// How long a limit rests that its service gave a time for.
pub(crate) fn rest_of_limit(rest_ms: u64) -> u64 {
    rest_ms.clamp(*REST_MS.start(), *REST_MS.end())
}

fn next(
    step: &Context<'_>,
    id: TaskId,
    end: &AttemptEnd,
    cancel: Option<CancelReason>,
    lane: Option<&Name>,
) -> Next {
    let task = step.state().live(id).expect("a task outlives its attempt until it is finished");
    match (end, cancel) {
        // Somebody told it more, and was told that it hears it.
        (AttemptEnd::Succeeded, None) if !task.told().is_empty() => {
            Next::Requeue { cause: Requeue::Stop, rest_ms: 0 }
        }
        (AttemptEnd::Succeeded, _) => Next::Finish(Outcome::Succeeded),
        (
            AttemptEnd::Failed(_)
            | AttemptEnd::Crashed(_)
            | AttemptEnd::Stopped
            | AttemptEnd::Cancelled
            | AttemptEnd::Limited { .. },
            Some(reason),
        ) => Next::Finish(Outcome::Cancelled(reason)),
        (AttemptEnd::Failed(failure), None) => {
            if failure.reason == FailureReason::ContextOverflow && !task.had_new_session() {
                return Next::Requeue { cause: Requeue::NewSession, rest_ms: 0 };
            }
            if failure.reason.is_retried() && task.failed_attempts < task.max_attempts {
                let rest_ms = backoff_ms(id, task.backoff_ms, task.failed_attempts, task.attempt);
                Next::Requeue { cause: Requeue::Backoff, rest_ms }
            } else {
                Next::Finish(Outcome::Failed(failure.clone()))
            }
        }
        (AttemptEnd::Crashed(last), None) => {
            let lost_on = task.crashed_on();
            if lost_on.len() < usize::from(step.policy().crash_limit) {
                return Next::Requeue { cause: Requeue::Crash, rest_ms: 0 };
            }
            let chain: Vec<_> = lost_on.iter().map(|name| name.as_str()).collect();
            let message = format!(
                "its agent was lost {} times while it ran: {}; the last time: {last}",
                lost_on.len(),
                chain.join(", ")
            );
            Next::Finish(Outcome::Failed(Failure::new(FailureReason::CrashLimit, message)))
        }
        (AttemptEnd::Stopped, None) => Next::Requeue { cause: Requeue::Stop, rest_ms: 0 },
        (AttemptEnd::Cancelled, None) => Next::Finish(Outcome::Cancelled(CancelReason::Requested(None))),
        (AttemptEnd::Limited { rest_ms, message }, None) => limited(step, id, *rest_ms, message, lane),
    }
}

/// A limit spends nothing, but a task does not come back from limits without end.
fn limited(step: &Context<'_>, id: TaskId, rest_ms: u64, message: &str, lane: Option<&Name>) -> Next {
    let task = step.state().live(id).expect("a task outlives its attempt until it is finished");
    let limits = task.limits();
    if limits > step.policy().max_limits {
        let message = format!("a limit gave it back {limits} times; the last time: {message}");
        return Next::Finish(Outcome::Failed(Failure::new(FailureReason::RateLimited, message)));
    }
    let rest_ms = match rest_ms {
        0 => pause_ms(id, UNKNOWN_REST_MS, MAX_UNKNOWN_REST_MS, limits, task.attempt),
        // Another credential may serve it at once.
        _ if servable::has_another_lane(step.view(), task, lane) => 0,
        known => rest_of_limit(known),
    };
    Next::Requeue { cause: Requeue::Limit, rest_ms }
}

/// The pause after the `failed`-th failed attempt: doubled each time, with a jitter of a fifth that any replica computes
/// alike.
fn backoff_ms(id: TaskId, first_ms: u64, failed: u16, attempt: u32) -> u64 {
    pause_ms(id, first_ms, MAX_BACKOFF_MS, failed, attempt)
}

fn pause_ms(id: TaskId, first_ms: u64, most_ms: u64, times: u16, attempt: u32) -> u64 {
    let doublings = u32::from(times.saturating_sub(1)).min(40);
    let pause = first_ms.saturating_mul(1 << doublings).min(most_ms);
    let (high, low) = halves(id.0);
    let per_mille = 800 + mix(low ^ high ^ u64::from(attempt)) % 401;
    pause * per_mille / 1_000
}
