//! Schedules that come due, and folders that are to go: what the engine leaves to others.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use conductor_core::{Actor, Command, Name, Schedule, ScheduleId, Wall};
use conductor_protocol::Problem;
use conductor_protocol::control::{ActorView, AddSchedule, Groups};
use conductor_runtime::clock::Clock;
use conductor_runtime::lifecycle::Shutdown;
use conductor_store::log::{EventLog, PayloadKey};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::access::Access;
use crate::cron::Cron;
use crate::engine::{self, Chore, Handle};
use crate::retention::Retention;
use crate::submit::{self, Defaults, Origin};
use crate::view;

/// Pause before a schedule is tried again that could not make its task, as when the disk is full.
const PAUSE: Duration = Duration::from_secs(5);
/// An occurrence that is this late was missed while nothing ran.
const MISSED_MS: i64 = 60_000;

/// A schedule as it is kept: what was asked and by whom.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) schedule: AddSchedule,
    pub(crate) by: ActorView,
}

/// What does the chores.
#[derive(Debug)]
pub(crate) struct Chores {
    pub(crate) access: Arc<Access>,
    pub(crate) engine: Handle,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) clock: Clock,
    pub(crate) defaults: Defaults,
    pub(crate) retention: Retention,
}

/// An actor as it is kept.
pub(crate) fn stored_actor(actor: &Actor, groups: Groups) -> ActorView {
    ActorView {
        name: actor.name.to_string(),
        role: view::role_on_wire(actor.role),
        groups,
        via: "schedule".to_owned(),
        address: actor.address.as_deref().map(ToOwned::to_owned),
        attempt: None,
    }
}

/// Reads what schedules are about.
pub(crate) async fn read(
    log: &Arc<dyn EventLog>,
    ids: Vec<ScheduleId>,
) -> Result<Vec<Option<Stored>>, Problem> {
    let log = log.clone();
    let keys: Vec<PayloadKey> = ids.into_iter().map(PayloadKey::from).collect();
    let read = tokio::task::spawn_blocking(move || log.payloads(&keys)).await;
    let unreadable = || Problem::new(conductor_protocol::Code::Internal, "the schedules cannot be read");
    let bodies = match read {
        Ok(Ok(bodies)) => bodies,
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to read schedules");
            return Err(unreadable());
        }
        Err(_) => return Err(unreadable()),
    };
    Ok(bodies.into_iter().map(|bytes| serde_json::from_slice(&bytes?).ok()).collect())
}

impl Chores {
    /// Does what comes until the end.
    pub(crate) async fn run(self, mut chores: mpsc::Receiver<Chore>, shutdown: Shutdown) {
        // Schedules that stopped and were told of: at most as many as there are.
        let mut stopped = HashSet::new();
        loop {
            let chore = tokio::select! {
                () = shutdown.draining() => return,
                chore = chores.recv() => chore,
            };
            match chore {
                Some(Chore::ScheduleDue { schedule, due_at }) => {
                    self.fire(schedule, due_at, &mut stopped, &shutdown).await;
                }
                Some(Chore::DeleteRuns(tasks)) => self.retention.delete_runs(&tasks).await,
                None => return,
            }
        }
    }

    /// Fires a schedule, again and again until it is done: an occurrence is not passed over because a disk is full.
    async fn fire(
        &self,
        id: ScheduleId,
        due_at: Wall,
        stopped: &mut HashSet<ScheduleId>,
        shutdown: &Shutdown,
    ) {
        loop {
            match self.try_fire(id, due_at, stopped).await {
                Ok(()) => return,
                Err(problem) => {
                    tracing::warn!(schedule = %id, %problem, "a schedule could not make its task")
                }
            }
            tokio::select! {
                () = shutdown.draining() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn try_fire(
        &self,
        id: ScheduleId,
        due_at: Wall,
        stopped: &mut HashSet<ScheduleId>,
    ) -> Result<(), Problem> {
        let known: Option<Schedule> =
            self.engine.look(move |machine, _| machine.state().schedule(id).cloned()).await?;
        // It was removed, or fired already.
        let Some(schedule) = known.filter(|schedule| schedule.next_at == due_at) else {
            stopped.remove(&id);
            return Ok(());
        };
        let Some(stored) = read(&self.log, vec![id]).await?.into_iter().next().flatten() else {
            tracing::error!(schedule = %id, "the schedule's task is not kept; it does not fire");
            return Ok(());
        };
        let now = engine::now(&self.clock).wall;
        let cron = Cron::parse(&stored.schedule.cron, stored.schedule.time_zone.as_deref())?;
        let next_at = cron.after(now.max(schedule.next_at))?;
        if let Some(why) = self.access.standing().await?.why_stopped(&stored.by, &schedule.group) {
            let why = stopped.insert(id).then(|| why.into());
            if let Some(why) = &why {
                tracing::warn!(schedule = %id, why, "a schedule is stopped");
            }
            let pass = Command::PassSchedule { schedule: id, due_at, next_at, why };
            return self.engine.command(pass).await.map(drop);
        }
        stopped.remove(&id);
        let origin = Origin { schedule: Some(id), ..Origin::default() };
        let mut prepared = submit::prepare(&[stored.schedule.task], &self.defaults, origin)?;
        // Who made the schedule may have another default than everybody.
        prepared.tasks.iter_mut().for_each(|task| task.group = schedule.group.clone());
        let secrets = prepared.take_secrets(&self.defaults.secrets)?;
        let secrets = secrets.into_iter().next().map(|(_, names)| names).unwrap_or_default();
        let budget = prepared.budgets.pop().map(|(_, limit)| limit).unwrap_or_default();
        let Some(task) = prepared.tasks.pop() else { return Ok(()) };
        let missed = now.0 - due_at.0 > MISSED_MS;
        let by = Arc::new(actor(stored.by)?);
        let webhook = !prepared.webhooks.is_empty();
        let task = Box::new(task);
        let command = Command::FireSchedule {
            schedule: id,
            due_at,
            next_at,
            missed,
            task,
            webhook,
            secrets,
            budget,
            by,
        };
        self.engine.change(command, prepared.payloads, Vec::new()).await.map(drop)
    }
}

fn actor(view: ActorView) -> Result<Actor, Problem> {
    let name = |text: &str| Name::new(text).map_err(|error| Problem::at("/by", error.to_string()));
    Ok(Actor {
        name: name(&view.name)?,
        role: view::role_from_wire(view.role),
        via: name(&view.via)?,
        address: view.address.map(Into::into),
    })
}
