//! The repository of an attempt: checked out before it, committed and pushed after it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use super::attempt::Attempt;
use super::conclude::SUBMODULES_NOT_PUSHED;
use super::control::Inbox;
use super::live::Live;
use super::outcome::{Failure, FailureReason, Outcome, Verdict};
use super::slot::Slot;
use crate::git::{self, Git, Pending, Tree};
use crate::process::leftover;
use crate::run::walk::Listing;
use crate::run::{Folder, collect};

/// How often a push is tried in one attempt, and the pause after the first try, which grows fivefold.
const PUSH_TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The name of the file with an attempt's commits.
pub(super) const BUNDLE: &str = "commits.bundle";
/// The name of the file with what it changed.
pub(super) const PATCH: &str = "diff.patch";

impl Slot {
    /// What git is run with; [`Slot::get_ready`] comes first.
    pub(super) fn git<'a>(&'a self, attempt: &Attempt, inbox: &'a Inbox) -> Git<'a> {
        let path = self.environment_path();
        Git {
            keeper: self.keeper.as_ref().expect("a slot that runs git has its keeper"),
            sandbox: &self.programs.sandbox,
            null: self.null.as_ref().expect("a slot that runs git is ready"),
            inbox,
            settings: &self.git,
            marks: vec![
                (leftover::TASK_VARIABLE, attempt.task_id.to_string().into()),
                (leftover::ATTEMPT_VARIABLE, attempt.number.to_string().into()),
                (leftover::AGENT_VARIABLE, OsString::from(&self.agent_id)),
            ],
            path,
        }
    }

    /// Opens the repository that an attempt's work is in; none when it is in none.
    pub(super) fn tree(&self, attempt: &Attempt, folder: &Folder) -> Result<Option<Tree>, Verdict> {
        let may_have_one = attempt.git.has_repository() || attempt.starts_from.is_some();
        if !may_have_one {
            return Ok(None);
        }
        Tree::open(&folder.place()).map_err(|error| verdict(&error, FailureReason::Internal))
    }

    /// Commits, describes and delivers what a run left.
    pub(super) fn finish_tree(
        &mut self,
        attempt: &Attempt,
        tree: &mut Tree,
        outcome: &mut Outcome,
        folder: &Folder,
        live: &mut Live,
    ) {
        let mut done = self.collect_tree(attempt, tree, outcome, folder, live);
        if done.is_ok() && outcome.verdict == Verdict::Succeeded && !attempt.read_only {
            done = self.deliver(attempt, tree, outcome, live);
        }
        match (done, &outcome.verdict) {
            (Ok(()), _) => {}
            (Err(verdict), Verdict::Succeeded) => {
                outcome.summary = verdict.summary();
                outcome.verdict = verdict;
            }
            (Err(verdict), _) => {
                tracing::warn!(task_id = %attempt.task_id, attempt = attempt.number, why = verdict.summary(), "failed to collect a run's commits");
            }
        }
    }

    /// Commits what a run left and puts the difference and the commits where people find them.
    pub(super) fn collect_tree(
        &mut self,
        attempt: &Attempt,
        tree: &mut Tree,
        outcome: &mut Outcome,
        folder: &Folder,
        live: &Live,
    ) -> Result<(), Verdict> {
        self.get_ready().map_err(Verdict::Failed)?;
        let git = self.git(attempt, &live.inbox);
        let is_repeated = tree.pending().is_some();
        let collected = match is_repeated {
            true => tree.collect_again(&git, &folder.place()),
            false => tree.collect(&git, &folder.place()),
        };
        outcome.git = Some(tree.outcome());
        let collected = collected.map_err(|error| self.failed(attempt, &error, FailureReason::Internal))?;
        let disk = |what: &str, source: io::Error| {
            verdict(&git::Error::Disk { what: what.to_owned(), source }, FailureReason::Internal)
        };
        let patch = live.redactor().bytes(&collected.patch);
        if !patch.is_empty() {
            folder.write_whole(PATCH, &patch).map_err(|error| disk("write diff.patch", error))?;
            outcome.diff_bytes = patch.len() as u64;
        }
        if let Some(bundle) = &collected.bundle {
            let copied =
                File::open(bundle).and_then(|mut from| io::copy(&mut from, &mut folder.create(BUNDLE)?));
            copied.map_err(|error| disk("keep the commits", error))?;
        }
        if collected.changed_submodules && tree.is_pushed() {
            outcome.flags.push(SUBMODULES_NOT_PUSHED);
        }
        let mut listing = Listing::of(folder.work.as_fd(), &collected.paths);
        let limits = &attempt.limits;
        outcome.files =
            collect::collect(folder.work.as_fd(), &mut listing, limits.max_files, limits.max_workspace_bytes);
        Ok(())
    }

    /// Pushes what a successful run left and opens its pull request, where that is asked for.
    pub(super) fn deliver(
        &mut self,
        attempt: &Attempt,
        tree: &mut Tree,
        outcome: &mut Outcome,
        live: &mut Live,
    ) -> Result<(), Verdict> {
        if !tree.is_to_be_pushed() {
            return Ok(());
        }
        self.get_ready().map_err(Verdict::Failed)?;
        let pending = Pending {
            summary: outcome.summary.clone(),
            exit_code: outcome.exit_code,
            verified: outcome.verified,
            usage: outcome.usage,
        };
        let kept = tree.keep_pending(Some(pending));
        kept.map_err(|error| verdict(&error, FailureReason::PushFailed))?;
        let delivered = self.push(attempt, tree, &outcome.summary, &live.inbox);
        if matches!(delivered, Ok(()) | Err(git::Error::Ended(super::End::Cancel))) {
            tree.keep_pending(None).map_err(|error| verdict(&error, FailureReason::PushFailed))?;
        }
        let told = tree.outcome();
        if told.pushed {
            let mut line = format!("\n[git] pushed {}", told.branch.as_deref().unwrap_or_default());
            line.extend(told.pull_request_url.iter().map(|url| format!(", {url}")));
            // What cannot be written shows at the end.
            let _ = live.print(format!("{line}\n").as_bytes());
        }
        outcome.git = Some(told);
        delivered.map_err(|error| {
            let _ = live.print(format!("\n[git] {error}\n").as_bytes());
            self.failed(attempt, &error, FailureReason::PushFailed)
        })
    }

    /// Tries until it is pushed, or no try helps. What is done is not done again.
    fn push(
        &self,
        attempt: &Attempt,
        tree: &mut Tree,
        summary: &str,
        inbox: &Inbox,
    ) -> Result<(), git::Error> {
        let git = self.git(attempt, inbox);
        let task_id = attempt.task_id.to_string();
        let mut pause = FIRST_PAUSE;
        for number in 1.. {
            let pushed = if tree.outcome().pushed { Ok(()) } else { tree.push(&git) };
            let tried = pushed.and_then(|()| tree.open_pull_request(&git, &task_id, summary));
            match tried {
                Err(error) if number < PUSH_TRIES && git::may_help(&error) => {
                    tracing::warn!(%task_id, number, %error, "a push failed and is tried again");
                    inbox.rest(pause).map_err(git::Error::Ended)?;
                    pause *= 5;
                }
                tried => return tried,
            }
        }
        unreachable!("the last try is returned")
    }

    /// What a failure of git means for the attempt. A keeper that was lost is given back.
    pub(super) fn failed(&mut self, attempt: &Attempt, error: &git::Error, reason: FailureReason) -> Verdict {
        if matches!(error, git::Error::KeeperLost)
            && let Some(keeper) = self.keeper.take()
        {
            let left = keeper.retire();
            tracing::warn!(task_id = %attempt.task_id, left, "the keeper of a slot was lost while git ran");
        }
        verdict(error, reason)
    }
}

pub(super) fn nothing_to_push() -> Verdict {
    Verdict::Failed(Failure {
        reason: FailureReason::InvalidWorkspace,
        message: "there is nothing to push: what the other task had ready is not kept, or is pushed"
            .to_owned(),
        hint: String::new(),
    })
}

/// What a failure of git means for the attempt; `reason` is for what is neither the disk's nor the agent's fault.
pub(super) fn verdict(error: &git::Error, reason: FailureReason) -> Verdict {
    let (reason, hint) = match error {
        git::Error::Ended(end) => return end.verdict(),
        git::Error::KeeperLost => return Verdict::Crashed { message: "its keeper process ended".to_owned() },
        git::Error::Disk { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            (FailureReason::DiskFull, "free space on the volume of the workspace")
        }
        git::Error::Disk { .. } => (FailureReason::Internal, "look at the folder and who owns it"),
        git::Error::NoGit { .. } => (reason, "git must be installed where the agent runs"),
        git::Error::Workspace { hint, .. } => (reason, *hint),
        git::Error::Credential { .. } => (reason, "look at git.credentials of the configuration"),
        git::Error::TooLarge { .. } => (reason, "git.max_repository_bytes is the limit; depth fetches less"),
        git::Error::Slow { .. } => (reason, "git.timeout_seconds is the limit; depth fetches less"),
        git::Error::Git { .. } if reason == FailureReason::PushFailed => {
            (reason, "conductor retry repeats the push alone; the commits are in commits.bundle")
        }
        git::Error::Git { .. } => (
            reason,
            "look at the address and at the ref; git.credentials holds what a private repository asks for",
        ),
    };
    Verdict::Failed(Failure { reason, message: error.to_string(), hint: hint.to_owned() })
}
