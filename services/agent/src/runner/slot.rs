//! One slot: from an attempt to its outcome.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use conductor_gateway::Gateways;
use tokio::sync::{mpsc, watch};

use super::attempt::{Attempt, What};
use super::conclude::{outcome, unwritable};
use super::confined;
use super::control::{Inbox, Progress, Report, ReportBody};
use super::environment::Inherited;
use super::live::{Live, Reporter};
use super::network::Proxies;
use super::outcome::{Outcome, Verdict};
use super::prepare::files;
use super::program::Programs;
use super::repository::nothing_to_push;
use super::rescue::Unfinished;
use super::secrets::Given;
use super::slots::{Ended, Settings};
use super::turnstile::{Turnstile, Waited};
use super::{mock, replay};
use crate::git::{self, Pending, Spares, Tree};
use crate::process::{Keeper, KeeperStarter};
use crate::run::folder;
use crate::run::{Folder, Workspace};

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
    pub(super) spares: Spares,
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
                return outcome(Ended::without_child(end.verdict()), &attempt);
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
            What::Mock { prompt } => mock::run(prompt, folder, live, attempt.budget),
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

    /// Where programs are found.
    pub(super) fn environment_path(&self) -> OsString {
        self.inherited.path_or_usual()
    }
}

/// What a run came to of which only the push is repeated.
fn of_pending(pending: &Pending, attempt: &Attempt) -> Outcome {
    let Pending { summary, exit_code, verified, usage } = pending.clone();
    let ended = Ended { exit_code, summary, usage, ..Ended::without_child(Verdict::Succeeded) };
    Outcome { verified, ..outcome(ended, attempt) }
}
