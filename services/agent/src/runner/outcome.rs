//! How an attempt ended.

use conductor_protocol::agent::LimitClass;

use crate::git;
use crate::run::FileList;
use crate::sandbox::Held;

/// Says how an attempt ended and what it left; the same facts are in its `result.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub verdict: Verdict,
    /// The exit code of the child; none when a signal ended it or no child was made.
    pub exit_code: Option<i32>,
    /// A line or two for people.
    pub summary: String,
    pub usage: Usage,
    /// The session of the program, where it has one.
    pub session_id: Option<String>,
    /// The lane of the credential that was used.
    pub lane: Option<String>,
    /// What a reader should know though it succeeded.
    pub flags: Vec<&'static str>,
    /// Whether the mock made it.
    pub simulated: bool,
    /// How long `output.log` is.
    pub output_bytes: u64,
    /// How many bytes of output were dropped beyond the limit.
    pub output_dropped_bytes: u64,
    pub files: FileList,
    /// What its verify command found; none when it has none, or did not come so far.
    pub verified: Option<bool>,
    /// How it was confined; none when no program was to be started.
    pub sandbox: Option<Held>,
    /// What became of its changes to a repository.
    pub git: Option<git::Outcome>,
    /// How long `diff.patch` is; there is none when nothing changed.
    pub diff_bytes: u64,
    /// How long the attempt ran, preparation and collection left out.
    pub run_ms: u64,
    /// How many of the messages that people sent it the run took, the oldest first.
    pub told: u32,
}

/// The ends that an attempt may come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Succeeded,
    Failed(Failure),
    /// The agent lost the run: its keeper died, or the worker had to leave. It does not count as a failure.
    Crashed {
        message: String,
    },
    /// It could not go on for now: a limit of the credential, or a service that is overloaded.
    Limited {
        class: LimitClass,
        /// Until the reset that was reported; 0 where none was.
        rest_seconds: u64,
        message: String,
    },
    /// It was ended because the task was cancelled, or because its lease is no longer valid.
    Cancelled,
    /// It was ended by a clean stop of the agent. It counts as neither a failure nor a crash.
    Stopped,
}

impl Verdict {
    /// Returns the name of the verdict.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::Crashed { .. } => "crashed",
            Self::Limited { .. } => "limited",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
        }
    }

    /// Returns a line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Succeeded => "succeeded".to_owned(),
            Self::Failed(failure) => failure.message.clone(),
            Self::Crashed { message } => format!("crashed: {message}"),
            Self::Limited { message, .. } => format!("it has to wait: {message}"),
            Self::Cancelled => "cancelled".to_owned(),
            Self::Stopped => "stopped with its agent".to_owned(),
        }
    }
}

/// Why an attempt failed, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub reason: FailureReason,
    pub message: String,
    /// What the reader can do about it; may be empty.
    pub hint: String,
}

/// The failure reasons that a run on an agent can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureReason {
    ExitCode,
    Timeout,
    OutputLimit,
    DiskFull,
    Oom,
    ProcessLimit,
    InvalidRequest,
    InvalidWorkspace,
    RunnerError,
    RunnerUnavailable,
    VerifyFailed,
    PushFailed,
    WaitingTimeout,
    Stalled,
    MaxTurns,
    Auth,
    Budget,
    ContextOverflow,
    NoResult,
    Internal,
}

impl FailureReason {
    /// Returns the name that users see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExitCode => "exit_code",
            Self::Timeout => "timeout",
            Self::OutputLimit => "output_limit",
            Self::DiskFull => "disk_full",
            Self::Oom => "oom",
            Self::ProcessLimit => "process_limit",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidWorkspace => "invalid_workspace",
            Self::RunnerError => "runner_error",
            Self::RunnerUnavailable => "runner_unavailable",
            Self::VerifyFailed => "verify_failed",
            Self::PushFailed => "push_failed",
            Self::WaitingTimeout => "waiting_timeout",
            Self::Stalled => "stalled",
            Self::MaxTurns => "max_turns",
            Self::Auth => "auth",
            Self::Budget => "budget",
            Self::ContextOverflow => "context_overflow",
            Self::NoResult => "no_result",
            Self::Internal => "internal",
        }
    }
}

/// What a run used, as far as its runner says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cached_input_tokens: u64,
    /// Millionths of a US dollar; none when nobody knows.
    pub cost_micro_usd: Option<u64>,
    pub turns: u32,
    pub tool_calls: u32,
}
