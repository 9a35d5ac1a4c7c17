//! The end of an attempt and what follows for its task.

use crate::context::Context;
use crate::event::{EventKind, Requeue};
use crate::hash::{halves, mix};
use crate::id::TaskId;
use crate::task::{AttemptEnd, CancelReason, Failure, FailureReason, Outcome, Report};

/// The longest pause between two attempts, before jitter.
const MAX_BACKOFF_MS: u64 = 3_600_000;
/// The shortest and longest rest of a credential.
const REST_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;

/// What follows an attempt.
enum Next {
    Finish(Outcome),
    Requeue { cause: Requeue, rest_ms: u64 },
}

/// Ends the attempt of a running task and decides what follows.
pub(crate) fn end(step: &mut Context<'_>, id: TaskId, end: AttemptEnd, report: Box<Report>) {
    let task = step.state().live(id).expect("only a live task is ended");
    let run = task.run().expect("only a running task's attempt is ended");
    let (lease, cancel) = (run.lease, run.cancel.clone());
    step.emit(EventKind::AttemptEnded { task: id, lease, end: end.clone(), report });
    match next(step, id, end, cancel) {
        Next::Finish(outcome) => step.emit(EventKind::TaskFinished { task: id, outcome, by: None }),
        Next::Requeue { cause, rest_ms } => {
            let ready_at = (rest_ms > 0).then(|| step.now().wall.after(rest_ms));
            let queued_at = step.queue_instant();
            step.emit(EventKind::TaskRequeued { task: id, cause, ready_at, queued_at });
        }
    }
}

fn next(step: &Context<'_>, id: TaskId, end: AttemptEnd, cancel: Option<CancelReason>) -> Next {
    let task = step.state().live(id).expect("a task outlives its attempt until it is finished");
    match (end, cancel) {
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
            if failure.reason.is_retried() && task.failed_attempts < task.max_attempts {
                let rest_ms = backoff_ms(id, task.backoff_ms, task.failed_attempts, task.attempt);
                Next::Requeue { cause: Requeue::Backoff, rest_ms }
            } else {
                Next::Finish(Outcome::Failed(failure))
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
        (AttemptEnd::Limited { rest_ms, .. }, None) => {
            let rest_ms = rest_ms.clamp(*REST_MS.start(), *REST_MS.end());
            Next::Requeue { cause: Requeue::Limit, rest_ms }
        }
    }
}

/// The pause after the `failed`-th failed attempt: doubled each time, with a jitter of a fifth that any replica computes
/// alike.
fn backoff_ms(id: TaskId, first_ms: u64, failed: u16, attempt: u32) -> u64 {
    let doublings = u32::from(failed.saturating_sub(1)).min(40);
    let pause = first_ms.saturating_mul(1 << doublings).min(MAX_BACKOFF_MS);
    let (high, low) = halves(id.0);
    let per_mille = 800 + mix(low ^ high ^ u64::from(attempt)) % 401;
    pause * per_mille / 1_000
}
