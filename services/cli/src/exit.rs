//! How the command ends: its exit codes, and the failures that lead to them.

use std::fmt;
use std::io;
use std::process::ExitCode;

use conductor_client::Error as ClientError;
use conductor_core::FailureReason;
use conductor_protocol::task::{State, TaskView};
use conductor_protocol::{Code, Problem};

/// The exit codes, which scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The task succeeded, or what was asked was done.
    Succeeded,
    /// The task failed, or what was asked could not be done.
    Failed,
    /// The command line or its input is wrong.
    Usage,
    /// No orchestrator is reachable.
    NotReachable,
    /// The orchestrator refused.
    Refused,
    /// The task ran out of time.
    TimedOut,
    /// The task was cancelled.
    Cancelled,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotReachable => 3,
            Self::Refused => 4,
            Self::TimedOut => 124,
            Self::Cancelled => 130,
        }
    }

    /// What the end of a task means for who waited for it.
    pub fn of_task(task: &TaskView) -> Self {
        let reason = task.failure.as_ref().map(|failure| failure.reason);
        match (task.state, reason) {
            (State::Succeeded, _) => Self::Succeeded,
            (_, Some(FailureReason::Timeout | FailureReason::QueueTimeout)) => Self::TimedOut,
            (State::Cancelled, _) => Self::Cancelled,
            (State::Failed, _) => Self::Failed,
            (State::Blocked | State::Scheduled | State::Queued | State::Running | State::Waiting, _) => {
                Self::TimedOut
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command could not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command line or its input is wrong.
    Usage(String),
    /// No orchestrator is reachable.
    NotReachable(String),
    /// The orchestrator, or the command in its place, refused.
    Refused(Problem),
    /// Something here failed.
    Failed(String),
    /// Who read the output has gone away, which is no failure.
    NobodyReads,
}

impl Failure {
    /// The exit code that goes with it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::NotReachable(_) => Exit::NotReachable,
            Self::Refused(_) => Exit::Refused,
            Self::Failed(_) => Exit::Failed,
            Self::NobodyReads => Exit::Succeeded,
        }
    }

    /// The same as a problem, for `--output json`.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Usage(detail) => Problem::new(Code::InvalidRequest, detail),
            Self::NotReachable(detail) => Problem::new(Code::Unavailable, detail),
            Self::Refused(problem) => problem.clone(),
            Self::Failed(detail) => Problem::new(Code::Internal, detail),
            Self::NobodyReads => Problem::new(Code::Internal, "nobody reads the output"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(detail) | Self::NotReachable(detail) | Self::Failed(detail) => f.write_str(detail),
            Self::Refused(problem) => {
                write!(f, "{problem}")?;
                for fault in problem.errors.iter().filter(|_| problem.errors.len() > 1) {
                    write!(f, "\n  {}: {}", fault.pointer, fault.detail)?;
                }
                match problem.retry_after_seconds {
                    Some(seconds) => write!(f, " (try again in {seconds} s)"),
                    None => Ok(()),
                }
            }
            Self::NobodyReads => f.write_str("nobody reads the output"),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(problem) => Self::Refused(problem),
            ClientError::Unreachable { .. } | ClientError::Key { .. } | ClientError::Lost(_) => {
                Self::NotReachable(chain(&error))
            }
            ClientError::Malformed(_) | ClientError::Slow => Self::Failed(chain(&error)),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

/// An error and what led to it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use conductor_protocol::task::FailureView;

    use super::*;
    use crate::show::tests::task;

    #[test]
    fn the_exit_codes_are_the_contracts() {
        let all = [
            (Exit::Succeeded, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::NotReachable, 3),
            (Exit::Refused, 4),
            (Exit::TimedOut, 124),
            (Exit::Cancelled, 130),
        ];
        for (exit, code) in all {
            assert_eq!(exit.code(), code);
        }
    }

    #[test]
    fn a_tasks_end_is_an_exit() {
        let ended = |state, reason: Option<FailureReason>| {
            let failure = reason.map(|reason| FailureView { reason, message: String::new(), hint: None });
            Exit::of_task(&TaskView { state, failure, ..task() })
        };
        assert_eq!(ended(State::Succeeded, None), Exit::Succeeded);
        assert_eq!(ended(State::Failed, Some(FailureReason::ExitCode)), Exit::Failed);
        assert_eq!(ended(State::Failed, Some(FailureReason::Timeout)), Exit::TimedOut);
        assert_eq!(ended(State::Failed, Some(FailureReason::QueueTimeout)), Exit::TimedOut);
        assert_eq!(ended(State::Cancelled, None), Exit::Cancelled);
        assert_eq!(ended(State::Cancelled, Some(FailureReason::Dependency)), Exit::Cancelled);
    }

    #[test]
    fn a_refusal_lists_its_faults() {
        let fault = |pointer: &str| conductor_protocol::FieldError {
            pointer: pointer.into(),
            detail: "is wrong".into(),
        };
        let failure = Failure::Refused(Problem::invalid(vec![fault("/a"), fault("/b")]));
        let text = failure.to_string();
        assert!(text.contains("invalid_request") && text.contains("/b: is wrong"), "{text}");
        assert_eq!(failure.exit(), Exit::Refused);
    }
}
