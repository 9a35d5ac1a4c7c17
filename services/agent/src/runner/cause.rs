//! Why a run is ended before it ends by itself, and what that means for its attempt.

use std::io;
use std::time::Duration;

use conductor_gateway::Exceeded;

use super::control::End;
use super::excess;
use super::outcome::{Failure, FailureReason, Verdict};
use crate::process::overseer::Excess;

/// What is to be done about a run that spent more than it may.
pub(super) const MORE_BUDGET: &str = "give it more with a larger budget_usd or budget_tokens";

/// Why a run is ended before it ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    Asked(End),
    Timeout,
    OutputLimit,
    Unanswered,
    /// It said nothing for so long, and no tool was at work.
    Stalled {
        after: Duration,
    },
    /// It spent more than it may.
    Budget(Exceeded),
    /// It took more turns than it may.
    MaxTurns {
        most: u32,
    },
    /// Its tree took more than it may.
    Exceeded(Excess),
    /// The run folder cannot be written.
    Disk {
        full: bool,
        message: String,
    },
}

impl Cause {
    /// What it means for an attempt that had so long and printed so much.
    pub fn verdict(self, timeout: Duration, printed_bytes: u64) -> Verdict {
        let (reason, message, hint) = match self {
            Self::Asked(end) => return end.verdict(),
            Self::Timeout => (
                FailureReason::Timeout,
                format!("it ran longer than its {} and was ended", seconds(timeout)),
                "give it more time with a larger timeout_seconds",
            ),
            Self::OutputLimit => (
                FailureReason::OutputLimit,
                format!("it printed {printed_bytes} bytes and was ended"),
                "print less, or raise tasks.max_output_bytes",
            ),
            Self::Unanswered => {
                (FailureReason::WaitingTimeout, "nobody answered its question in time".to_owned(), "")
            }
            Self::Stalled { after } => (
                FailureReason::Stalled,
                format!("it said nothing for {} and no tool was at work", seconds(after)),
                "give it more time with a larger stall_seconds of its runner",
            ),
            Self::MaxTurns { most } => (
                FailureReason::MaxTurns,
                format!("it took more than its {most} turns and was ended"),
                "give it more with a larger max_turns",
            ),
            Self::Exceeded(excess) => return Verdict::Failed(excess::failure(excess)),
            Self::Budget(exceeded) => (FailureReason::Budget, exceeded.to_string(), MORE_BUDGET),
            Self::Disk { full: true, message } => {
                (FailureReason::DiskFull, message, "free space on the volume of the workspace")
            }
            Self::Disk { full: false, message } => (FailureReason::Internal, message, ""),
        };
        Verdict::Failed(Failure { reason, message, hint: hint.to_owned() })
    }
}

impl End {
    /// What an end from outside means for an attempt.
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::Cancel => Verdict::Cancelled,
            Self::Stop => Verdict::Stopped,
            Self::Abandon => Verdict::Crashed { message: "the agent had to leave while it ran".to_owned() },
        }
    }
}

/// A run folder that cannot be written.
pub(super) fn disk(error: &io::Error) -> Cause {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    Cause::Disk { full, message: format!("the run folder cannot be written: {error}") }
}

fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_trouble() {
        for (kind, reason) in [
            (io::ErrorKind::StorageFull, FailureReason::DiskFull),
            (io::ErrorKind::QuotaExceeded, FailureReason::DiskFull),
            (io::ErrorKind::PermissionDenied, FailureReason::Internal),
        ] {
            let verdict = disk(&kind.into()).verdict(Duration::ZERO, 0);
            let Verdict::Failed(failure) = verdict else { panic!("it failed") };
            assert_eq!(failure.reason, reason);
        }
    }
}
