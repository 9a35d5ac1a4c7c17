//! What becomes of an attempt as far as its end alone tells, and of one whose folder cannot be used.

use std::io;

use conductor_runtime::config::RunnerOutput;

use super::attempt::{Attempt, What};
use super::outcome::{Failure, FailureReason, Outcome, Verdict};
use super::slots::Ended;
use crate::run::{FileList, folder, inherit};

/// What is said of a success in which nothing was done.
const NO_TOOL_CALLS: &str = "no_tool_calls";

/// What is said of a run that changed what it was only to read.
pub(super) const CHANGED_READ_ONLY: &str = "changed_read_only";

/// What is said of a run that changed submodules, and whose changes are pushed.
pub(super) const SUBMODULES_NOT_PUSHED: &str = "submodules_not_pushed";

/// What is said of a run that held the credential itself, because no gateway stands between it and its model.
const REAL_CREDENTIAL: &str = "real_credential";

/// The outcome of an attempt that ended so, before its work is looked at.
pub(super) fn outcome(ended: Ended, attempt: &Attempt) -> Outcome {
    let Ended { verdict, exit_code, summary, usage, session_id, lane, holds_credential } = ended;
    let (simulated, may_use_tools) = match &attempt.what {
        What::Mock { .. } | What::Replay { .. } => (true, false),
        What::Command { .. } => (false, false),
        What::Program(order) => (false, order.spec.output != RunnerOutput::Plain),
    };
    let did_nothing = may_use_tools && verdict == Verdict::Succeeded && usage.tool_calls == 0;
    let mut flags = if did_nothing { vec![NO_TOOL_CALLS] } else { Vec::new() };
    if holds_credential {
        flags.push(REAL_CREDENTIAL);
    }
    Outcome {
        verdict,
        exit_code,
        summary,
        usage,
        session_id,
        lane,
        flags,
        simulated,
        output_bytes: 0,
        output_dropped_bytes: 0,
        files: FileList::default(),
        verified: None,
        sandbox: None,
        git: None,
        diff_bytes: 0,
        run_ms: 0,
        told: 0,
    }
}

/// Why a folder could not be made ready.
pub(super) fn unusable(error: &folder::Error) -> Verdict {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    let message = source.map_or_else(|| error.to_string(), |source| format!("failed to {error}: {source}"));
    let full = source.is_some_and(|source| source.kind() == io::ErrorKind::StorageFull);
    let (reason, hint) = match error {
        _ if full => (FailureReason::DiskFull, "free space on the volume of the workspace"),
        folder::Error::Input(_) => {
            (FailureReason::InvalidWorkspace, "the files of a task stay below its work folder")
        }
        folder::Error::Upload(_) => {
            (FailureReason::InvalidWorkspace, "send the files again and submit the task anew")
        }
        folder::Error::NoCopy { .. } => (
            FailureReason::InvalidWorkspace,
            "agent.copy_roots of that agent lists the folders below which tasks may copy",
        ),
        folder::Error::Copy { source: inherit::Error::Disk(_), .. } => {
            (FailureReason::Internal, "see that the agent may read the folder")
        }
        folder::Error::Copy { .. } => {
            (FailureReason::InvalidWorkspace, "copy a smaller folder, or raise tasks.max_workspace_bytes")
        }
        folder::Error::NoSource { .. } => {
            (FailureReason::InvalidWorkspace, "submit the task anew, with its files")
        }
        folder::Error::Make { .. }
        | folder::Error::Open { .. }
        | folder::Error::Move { .. }
        | folder::Error::Write { .. }
        | folder::Error::Base(_)
        | folder::Error::Source { .. }
        | folder::Error::Tree(_) => (FailureReason::InvalidWorkspace, "look at the folder and who owns it"),
    };
    Verdict::Failed(Failure { reason, message, hint: hint.to_owned() })
}

/// Why the files of an attempt could not be made.
pub(super) fn unwritable(error: &io::Error) -> Failure {
    let full = error.kind() == io::ErrorKind::StorageFull;
    let reason = if full { FailureReason::DiskFull } else { FailureReason::InvalidWorkspace };
    let message = format!("the files of the attempt cannot be made: {error}");
    Failure { reason, message, hint: String::new() }
}
