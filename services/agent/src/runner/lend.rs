//! What a slot lends to a run: a keeper, and the ways that it is to have to other hosts.

use std::fs::OpenOptions;

use super::attempt::Attempt;
use super::command::{self, KeeperState, Tools};
use super::live::Live;
use super::network::{Reach, Ways};
use super::outcome::{Failure, FailureReason, Verdict};
use super::program::{self, Means, Order, Programs};
use super::slot::Slot;
use super::slots::Ended;
use crate::process::Keeper;
use crate::run::Folder;

impl Slot {
    /// Gets what processes are made with that need the machine's network.
    pub(super) fn get_ready(&mut self) -> Result<(), Failure> {
        self.get_null()?;
        if self.keeper.is_none() {
            let keeper = self.starter.start();
            self.keeper = Some(keeper.map_err(|error| failed("no keeper process can be made", &error))?);
        }
        Ok(())
    }

    fn get_null(&mut self) -> Result<(), Failure> {
        if self.null.is_none() {
            let null = OpenOptions::new().read(true).open("/dev/null");
            self.null = Some(null.map_err(|error| failed("/dev/null cannot be opened", &error))?);
        }
        Ok(())
    }

    /// Takes the keeper of a slot that fits what a run is to reach.
    fn take_keeper(&mut self, reach: &Reach) -> Result<Keeper, Failure> {
        self.get_null()?;
        if reach.takes_own_network(&self.programs.sandbox) {
            let apart = match self.keeper_apart.take() {
                Some(keeper) => Ok(keeper),
                None => self.starter.start_with_own_network(),
            };
            return apart.map_err(|error| failed("no keeper process can be made", &error));
        }
        self.get_ready()?;
        Ok(self.keeper.take().expect("it was made ready above"))
    }

    pub(super) fn command(
        &mut self,
        attempt: &Attempt,
        argv: &[String],
        folder: &Folder,
        live: &mut Live,
    ) -> Ended {
        self.with_keeper(attempt, |_, tools| command::run(attempt, argv, folder, live, tools))
    }

    pub(super) fn program(
        &mut self,
        attempt: &Attempt,
        order: &Order,
        folder: &Folder,
        live: &mut Live,
    ) -> Ended {
        let source = attempt.source_task().and_then(|task| self.workspace.home_of(&task.to_string()));
        self.with_keeper(attempt, |programs, tools| {
            program::run(attempt, order, folder, live, Means { programs, tools, source })
        })
    }

    /// Lends the slot's keeper to a run, and gives it back when it does not come out of it well.
    fn with_keeper(
        &mut self,
        attempt: &Attempt,
        run: impl FnOnce(&Programs, Tools<'_>) -> (Ended, KeeperState),
    ) -> Ended {
        let reach = Reach::of(attempt, &self.programs, self.given.token.is_some());
        let keeper = match self.take_keeper(&reach) {
            Ok(keeper) => keeper,
            Err(failure) => return Ended::without_child(Verdict::Failed(failure)),
        };
        let sandbox = &self.programs.sandbox;
        let (ended, state) = match Ways::open(reach, &keeper, sandbox, (&mut self.proxies, &self.gateways)) {
            Ok(ways) => {
                let tools = Tools {
                    keeper: &keeper,
                    sandbox,
                    ways,
                    git_config: &self.git_config,
                    inherited: &self.inherited,
                    agent_id: &self.agent_id,
                    null: self.null.as_ref().expect("it was opened with the keeper"),
                    given: &self.given,
                    gateways: &self.gateways,
                    buffer: &mut self.buffer,
                };
                run(&self.programs, tools)
            }
            Err(error) => {
                let failure = failed("its way to other hosts cannot be opened", &error);
                (Ended::without_child(Verdict::Failed(failure)), KeeperState::Fit)
            }
        };
        match state {
            KeeperState::Fit if keeper.network().is_some() => self.keeper_apart = Some(keeper),
            KeeperState::Fit => self.keeper = Some(keeper),
            KeeperState::Unfit => {
                let left = keeper.retire();
                if left > 0 {
                    tracing::warn!(task_id = %attempt.task_id, left, "processes of a run cannot be ended");
                }
            }
        }
        ended
    }
}

fn failed(what: &str, error: &dyn std::error::Error) -> Failure {
    let message = match error.source() {
        Some(source) => format!("{what}: {error}: {source}"),
        None => format!("{what}: {error}"),
    };
    Failure { reason: FailureReason::Internal, message, hint: String::new() }
}
