//! One slot: from an attempt to its outcome.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use conductor_gateway::Gateways;
use conductor_redact::Redactor;
use tokio::sync::{mpsc, watch};

use super::attempt::{Attempt, Limits, Start, StartsFrom, What};
use super::conclude::{CHANGED_READ_ONLY, outcome, unusable, unwritable};
use super::confined;
use super::control::{Inbox, Progress, Report, ReportBody};
use super::environment::Inherited;
use super::live::{Live, Reporter, disk};
use super::network::Proxies;
use super::outcome::{Failure, FailureReason, Outcome, Verdict};
use super::program::Programs;
use super::repository::nothing_to_push;
use super::rescue::Unfinished;
use super::secrets::{self, Given};
use super::slots::{Ended, Settings};
use super::turnstile::{Turnstile, Waited};
use super::{mock, replay, result};
use crate::git::{self, Pending, Spares, Tree};
use crate::process::{Keeper, KeeperStarter, leftover};
use crate::run::events::{Event, EventFile};
use crate::run::folder::{self, Needs, Source, Uploads};
use crate::run::output::Output;
use crate::run::walk::Listing;
use crate::run::{Folder, Workspace, collect, diff};

/// An attempt that was given to a slot.
#[derive(Debug)]
pub(super) struct Job {
    pub attempt: Attempt,
    pub inbox: Inbox,
    pub progress: watch::Sender<Progress>,
}

/// What a slot's thread owns.
#[derive(Debug)]
pub(super) struct Slot {
    number: usize,
    pub(super) workspace: Workspace,
    /// The attempt in a repository that would have to be kept if this process died.
    pub(super) unfinished: Unfinished,
    pub(super) agent_id: String,
    pub(super) inherited: Inherited,
    pub(super) git: Arc<git::Settings>,
    spares: Spares,
    pub(super) git_config: PathBuf,
    pub(super) programs: Programs,
    pub(super) starter: KeeperStarter,
    turnstile: Turnstile,
    /// Started with the first process that needs the machine's network, and again after it was lost.
    pub(super) keeper: Option<Keeper>,
    /// The same for runs that have a network of their own.
    pub(super) keeper_apart: Option<Keeper>,
    pub(super) proxies: Proxies,
    pub(super) null: Option<File>,
    /// What the attempt has of secrets.
    pub(super) given: Given,
    pub(super) gateways: Gateways,
    pub(super) buffer: Vec<u8>,
    reports: mpsc::Sender<Report>,
}

impl Slot {
    pub fn new(
        number: usize,
        settings: &Settings,
        gateways: &Gateways,
        starter: KeeperStarter,
        spares: Spares,
        turnstile: Turnstile,
        reports: mpsc::Sender<Report>,
    ) -> Result<Self, folder::Error> {
        let workspace = Workspace::open(&settings.workspace)?;
        Ok(Self {
            number,
            unfinished: Unfinished::new(workspace.private(), &settings.agent_id, number),
            workspace,
            agent_id: settings.agent_id.clone(),
            inherited: Inherited::from(&settings.environment)
                .set("GIT_CONFIG_SYSTEM", &git::config_of_tasks(&settings.workspace)),
            git: Arc::clone(&settings.git),
            spares,
            git_config: git::config_of_tasks(&settings.workspace),
            programs: settings.programs.clone(),
            starter,
            turnstile,
            keeper: None,
            keeper_apart: None,
            proxies: Proxies::default(),
            null: None,
            given: Given::default(),
            gateways: gateways.clone(),
            buffer: Vec::new(),
            reports,
        })
    }

    /// Runs what comes until nobody can give more.
    pub fn serve(&mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            let reporter = Reporter {
                slot: self.number,
                task_id: job.attempt.task_id,
                attempt: job.attempt.number,
                reports: self.reports.clone(),
            };
            let outcome = self.attempt(job, &reporter);
            if !reporter.report(ReportBody::Finished(Box::new(outcome))) {
                break;
            }
        }
        for keeper in [self.keeper.take(), self.keeper_apart.take()].into_iter().flatten() {
            keeper.retire();
        }
    }

    fn attempt(&mut self, job: Job, reporter: &Reporter) -> Outcome {
        let Job { attempt, inbox, progress } = job;
        self.given = match self.programs.give(&attempt) {
            Ok(given) => given,
            Err(failure) => return outcome(Ended::without_child(Verdict::Failed(failure)), &attempt),
        };
        let mut folder = match self.prepare(&attempt, &inbox) {
            Ok(folder) => folder,
            Err(verdict) => return outcome(Ended::without_child(verdict), &attempt),
        };
        let redactor = Arc::clone(&self.given.redactor);
        let (output, events) = match files(&folder, &attempt, &redactor) {
            Ok(files) => files,
            Err(error) => {
                return outcome(Ended::without_child(Verdict::Failed(unwritable(&error))), &attempt);
            }
        };
        let turn = match self.turnstile.wait(&inbox) {
            Waited::Turn(turn) => turn,
            Waited::Ended(end) => {
                return outcome(Ended::without_child(Live::verdict_of_end(end)), &attempt);
            }
            Waited::TooLong => return outcome(Ended::without_child(Verdict::Stopped), &attempt),
        };
        let limits = (attempt.limits.clone(), attempt.timeout);
        let kept_out = Arc::clone(&redactor);
        let mut live = Live::new(output, events, (inbox, progress), limits, turn, reporter.clone(), kept_out);
        reporter.report(ReportBody::Started);
        let tree = match self.tree(&attempt, &folder) {
            Ok(tree) => tree,
            Err(verdict) => return outcome(Ended::without_child(verdict), &attempt),
        };
        let has_tree = tree.is_some();
        if has_tree {
            self.unfinished.note(attempt.task_id, attempt.number);
        }
        folder.borrows.extend(tree.as_ref().map(Tree::borrowed).unwrap_or_default());
        let outcome = match tree.as_ref().and_then(Tree::pending) {
            Some(pending) => of_pending(pending, &attempt),
            None => self.run(&attempt, &folder, &mut live),
        };
        live.give_turn_back();
        let outcome = self.finish(&attempt, outcome, tree, &folder, live);
        if has_tree {
            self.look_after(&attempt, &outcome, &redactor);
        }
        if outcome.verdict == Verdict::Succeeded {
            self.workspace.take_back(&folder);
        }
        outcome
    }

    /// Runs what the attempt is, and what verifies it.
    fn run(&mut self, attempt: &Attempt, folder: &Folder, live: &mut Live) -> Outcome {
        let mut ended = match &attempt.what {
            _ if attempt.git.push_only => Ended::without_child(nothing_to_push()),
            What::Command { argv } => self.command(attempt, argv, folder, live),
            What::Mock { prompt } => mock::run(prompt, folder, live),
            What::Program(order) => self.program(attempt, order, folder, live),
            What::Replay { prompt } => {
                let source = attempt.source_task();
                let source = source.and_then(|task| self.workspace.last_attempt_of(&task.to_string()));
                replay::run(prompt, folder, live, source)
            }
        };
        let verified = self.verify(attempt, &mut ended, folder, live);
        let sandbox = confined::held(&self.programs.sandbox, attempt);
        Outcome { verified, sandbox, ..outcome(ended, attempt) }
    }

    /// Makes the folder ready, after all that is left of an earlier attempt on this host is ended.
    fn prepare(&mut self, attempt: &Attempt, inbox: &Inbox) -> Result<Folder, Verdict> {
        let task_id = attempt.task_id.to_string();
        let entered = self.workspace.enter(&task_id).map_err(|error| unusable(&error))?;
        if !entered.is_new() {
            let ended = leftover::end_task(&task_id, entered.last_process().as_ref(), entered.path());
            match ended {
                Ok(0) => {}
                Ok(count) => tracing::warn!(%task_id, count, "ended what an earlier attempt left running"),
                Err(error) => {
                    let message = format!("an earlier attempt still runs on this host: {error}");
                    let reason = FailureReason::Internal;
                    return Err(Verdict::Failed(Failure { reason, message, hint: String::new() }));
                }
            }
        }
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

    /// Where programs are found.
    pub(super) fn environment_path(&self) -> OsString {
        self.inherited.path_or_usual()
    }
}

fn files(folder: &Folder, attempt: &Attempt, redactor: &Arc<Redactor>) -> io::Result<(Output, EventFile)> {
    let output = Output::new(folder.attempt.try_clone()?, attempt.limits.max_output_bytes);
    Ok((output, EventFile::new(folder.attempt.try_clone()?, Arc::clone(redactor))))
}

impl Slot {
    /// Collects what the run left, delivers it, and writes it down; nothing of the run is alive any more.
    fn finish(
        &mut self,
        attempt: &Attempt,
        mut outcome: Outcome,
        tree: Option<Tree>,
        folder: &Folder,
        mut live: Live,
    ) -> Outcome {
        outcome.run_ms = live.elapsed_ms();
        secrets::redact(&mut outcome, &self.given.redactor);
        // The work of such an attempt goes on in the next one, and an agent that has to leave has no time.
        let goes_on = matches!(outcome.verdict, Verdict::Crashed { .. } | Verdict::Limited { .. });
        match tree {
            _ if goes_on => {}
            Some(mut tree) => self.finish_tree(attempt, &mut tree, &mut outcome, folder, &mut live),
            None => {
                if let Err(error) = collect_into(&mut outcome, attempt, folder, &self.given.redactor) {
                    tracing::warn!(task_id = %attempt.task_id, attempt = attempt.number, %error, "failed to collect a run's files");
                }
            }
        }
        if attempt.read_only && outcome.diff_bytes > 0 {
            outcome.flags.push(CHANGED_READ_ONLY);
        }
        secrets::redact(&mut outcome, &self.given.redactor);
        let outcome = written_down(attempt, outcome, folder, live);
        // Nothing of them is kept longer than they are needed.
        self.given = Given::default();
        outcome
    }
}

/// What a run came to of which only the push is repeated.
fn of_pending(pending: &Pending, attempt: &Attempt) -> Outcome {
    let Pending { summary, exit_code, verified, usage } = pending.clone();
    let ended = Ended { exit_code, summary, usage, ..Ended::without_child(Verdict::Succeeded) };
    Outcome { verified, ..outcome(ended, attempt) }
}

/// Writes the outcome down.
fn written_down(attempt: &Attempt, mut outcome: Outcome, folder: &Folder, mut live: Live) -> Outcome {
    // What cannot be written shows with the end.
    let _ = live.end_print();
    let finished = Event::Finished { outcome: outcome.verdict.as_str(), summary: outcome.summary.clone() };
    let written = live.event(&finished);
    outcome.output_bytes = live.output.bytes();
    outcome.output_dropped_bytes = live.output.dropped_bytes();
    let json = result::to_json(attempt.task_id, attempt.number, &outcome);
    let written =
        written.and_then(|()| folder.write_whole("result.json", &json).map_err(|error| disk(&error)));
    if let (Err(cause), Verdict::Succeeded) = (written, &outcome.verdict) {
        outcome.verdict = live.verdict(cause);
    }
    outcome
}

fn collect_into(
    outcome: &mut Outcome,
    attempt: &Attempt,
    folder: &Folder,
    redactor: &Redactor,
) -> io::Result<()> {
    let work = folder.work.as_fd();
    let mut listing = Listing::read(work)?;
    let Limits { max_files, max_workspace_bytes, .. } = attempt.limits;
    outcome.files = collect::collect(work, &mut listing, max_files, max_workspace_bytes);
    let patch = diff::diff(work, folder.private.as_fd(), &listing)?;
    let patch = redactor.bytes(&patch);
    if !patch.is_empty() {
        folder.write_whole("diff.patch", &patch)?;
        outcome.diff_bytes = patch.len() as u64;
    }
    Ok(())
}
