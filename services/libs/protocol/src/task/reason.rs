//! Failure reasons as text.

use conductor_core::FailureReason;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

const ALL: [(FailureReason, &str); 24] = [
    (FailureReason::ExitCode, "exit_code"),
    (FailureReason::Timeout, "timeout"),
    (FailureReason::QueueTimeout, "queue_timeout"),
    (FailureReason::Stalled, "stalled"),
    (FailureReason::CrashLimit, "crash_limit"),
    (FailureReason::Budget, "budget"),
    (FailureReason::MaxTurns, "max_turns"),
    (FailureReason::RateLimited, "rate_limited"),
    (FailureReason::Auth, "auth"),
    (FailureReason::ContextOverflow, "context_overflow"),
    (FailureReason::NoResult, "no_result"),
    (FailureReason::VerifyFailed, "verify_failed"),
    (FailureReason::PushFailed, "push_failed"),
    (FailureReason::Oom, "oom"),
    (FailureReason::OutputLimit, "output_limit"),
    (FailureReason::ProcessLimit, "process_limit"),
    (FailureReason::DiskFull, "disk_full"),
    (FailureReason::Dependency, "dependency"),
    (FailureReason::InvalidRequest, "invalid_request"),
    (FailureReason::WaitingTimeout, "waiting_timeout"),
    (FailureReason::InvalidWorkspace, "invalid_workspace"),
    (FailureReason::RunnerUnavailable, "runner_unavailable"),
    (FailureReason::RunnerError, "runner_error"),
    (FailureReason::Internal, "internal"),
];

/// The word on the wire.
#[must_use]
pub fn reason_text(reason: FailureReason) -> &'static str {
    ALL.iter().find(|(one, _)| *one == reason).map(|(_, text)| *text).expect("every reason is listed")
}

/// Reads the word on the wire.
#[must_use]
pub fn parse_reason(text: &str) -> Option<FailureReason> {
    ALL.iter().find(|(_, one)| *one == text).map(|(reason, _)| *reason)
}

/// Writes a reason.
///
/// # Errors
/// As the serializer does.
pub fn serialize<S: Serializer>(reason: &FailureReason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason_text(*reason))
}

/// Reads a reason.
///
/// # Errors
/// When the word is none of them.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FailureReason, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    parse_reason(&text).ok_or_else(|| D::Error::custom(format!("unknown failure reason {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back() {
        for (reason, text) in ALL {
            assert_eq!(reason_text(reason), text);
            assert_eq!(parse_reason(text), Some(reason));
        }
    }
}
