//! What a run is confined to: its own folders, and what it borrows.

use super::attempt::{Attempt, What};
use super::command::Tools;
use super::outcome::{Failure, FailureReason, Verdict};
use crate::run::Folder;
use crate::sandbox::{Held, Kind, Place, Policy, Sandbox};

/// What is confined; none where no program is started.
pub(super) fn kind(what: &What) -> Option<Kind> {
    match what {
        What::Command { .. } => Some(Kind::Command),
        What::Program(_) => Some(Kind::Program),
        What::Mock { .. } | What::Replay { .. } => None,
    }
}

/// How an attempt is confined; none where it starts no program.
pub(super) fn held(sandbox: &Sandbox, attempt: &Attempt) -> Option<Held> {
    let verifies = attempt.verify.is_some().then_some(Kind::Command);
    kind(&attempt.what).or(verifies).map(|kind| sandbox.held(kind))
}

/// What the keeper is told of a program of this attempt; none where nothing confines it.
pub(super) fn policy(
    attempt: &Attempt,
    folder: &Folder,
    tools: &Tools<'_>,
) -> Result<Option<Policy>, Verdict> {
    // What verifies the work of a program runs what the program wrote.
    let kind = kind(&attempt.what).unwrap_or(Kind::Command);
    if let Some(message) = tools.sandbox.refusal(kind) {
        let hint = "run the agent on a newer kernel, or write sandbox.mode: best_effort in its configuration"
            .to_owned();
        return Err(Verdict::Failed(Failure { reason: FailureReason::RunnerUnavailable, message, hint }));
    }
    let (work, home, temporary) = (folder.work_path(), folder.home(), folder.temporary());
    let mut reads = folder.borrows.clone();
    reads.extend([folder.private_file(super::program::PROMPT), tools.git_config.to_owned()]);
    let mut writes = vec![home.as_path(), temporary.as_path()];
    match attempt.read_only {
        true => reads.push(work.clone()),
        false => writes.push(&work),
    }
    Ok(tools.sandbox.policy(kind, Place { writes, reads, ports: tools.ways.ports(None) }))
}

/// The end of an attempt that could not be confined.
pub(super) fn unconfined() -> Verdict {
    Verdict::Failed(Failure {
        reason: FailureReason::Internal,
        message: "its process could not be confined, so it was not made".to_owned(),
        hint: "the log of its agent says which step failed".to_owned(),
    })
}
