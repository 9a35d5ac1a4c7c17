//! What comes before an attempt runs: its folder, and the files that it writes.

use std::io;
use std::sync::Arc;

use conductor_redact::Redactor;

use super::attempt::{Attempt, Start, StartsFrom};
use super::conclude::unusable;
use super::control::Inbox;
use super::outcome::{Failure, FailureReason, Verdict};
use super::slot::Slot;
use crate::git::{self, Tree};
use crate::process::leftover;
use crate::run::Folder;
use crate::run::events::EventFile;
use crate::run::folder::{self, Needs, Source, Uploads};
use crate::run::output::Output;

impl Slot {
    /// Makes the folder ready, after all that is left of an earlier attempt on this host is ended.
    pub(super) fn prepare(&mut self, attempt: &Attempt, inbox: &Inbox) -> Result<Folder, Verdict> {
        let task_id = attempt.task_id.to_string();
        let entered = self.workspace.enter(&task_id).map_err(|error| unusable(&error))?;
        end_leftovers(&task_id, &entered)?;
        let max_bytes = attempt.limits.max_workspace_bytes;
        let task = match &attempt.starts_from {
            Some(StartsFrom::Task(task)) => Some(task.to_string()),
            Some(StartsFrom::Folder(_)) | None => None,
        };
        let may_have_repository = attempt.git.has_repository() || task.is_some();
        if may_have_repository {
            self.get_ready().map_err(Verdict::Failed)?;
        }
        let source = match &attempt.starts_from {
            Some(StartsFrom::Task(_)) => {
                task.as_deref().map(|task_id| Source::Task { workspace: &self.workspace, task_id, max_bytes })
            }
            Some(StartsFrom::Folder(path)) => {
                Some(Source::Folder { roots: &attempt.limits.copies, path, max_bytes })
            }
            None => None,
        };
        let checkout = |place: &git::Place<'_>| {
            let git = self.git(attempt, inbox);
            match &task {
                Some(source) => Ok(Tree::inherit(&git, place, source, &attempt.git)?.is_some()),
                None => {
                    let tree = Tree::begin(&git, place, &attempt.git)?;
                    tree.spare().into_iter().for_each(|order| self.spares.order(order));
                    Ok(true)
                }
            }
        };
        let needs = Needs {
            attempt: attempt.number,
            resume: attempt.start == Start::Resume,
            task_json: &attempt.task_json,
            files: &attempt.files,
            uploads: (!attempt.uploads.is_empty()).then(|| Uploads {
                workspace: &self.workspace,
                list: &attempt.uploads,
                max_bytes: attempt.limits.max_workspace_bytes,
            }),
            starts_from: source,
            checkout: may_have_repository.then_some(&checkout as folder::Checkout<'_>),
        };
        match entered.prepare(&needs) {
            Err(folder::Error::Tree(error)) => {
                Err(self.failed(attempt, &error, FailureReason::InvalidWorkspace))
            }
            prepared => prepared.map_err(|error| unusable(&error)),
        }
    }
}

/// Ends what an earlier attempt at the task left running on this host.
fn end_leftovers(task_id: &str, entered: &folder::Entered) -> Result<(), Verdict> {
    if entered.is_new() {
        return Ok(());
    }
    match leftover::end_task(task_id, entered.last_process().as_ref(), entered.path()) {
        Ok(0) => Ok(()),
        Ok(count) => {
            tracing::warn!(%task_id, count, "ended what an earlier attempt left running");
            Ok(())
        }
        Err(error) => {
            let message = format!("an earlier attempt still runs on this host: {error}");
            Err(Verdict::Failed(Failure { reason: FailureReason::Internal, message, hint: String::new() }))
        }
    }
}

/// Makes the files that an attempt prints and reports to.
pub(super) fn files(
    folder: &Folder,
    attempt: &Attempt,
    redactor: &Arc<Redactor>,
) -> io::Result<(Output, EventFile)> {
    let output = Output::new(folder.attempt.try_clone()?, attempt.limits.max_output_bytes);
    Ok((output, EventFile::new(folder.attempt.try_clone()?, Arc::clone(redactor))))
}
