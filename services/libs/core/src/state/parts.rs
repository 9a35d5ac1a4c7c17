//! The state in parts and back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::id::{AgentId, KeyId, Lease, ScheduleId, Seq, TaskId};
use crate::image::{BudgetImage, Header, Offspring, Part, SecretsImage, StageImage, TaskImage, ToldImage};
use crate::lane::{AgentLanes, Trouble};
use crate::state::State;
use crate::state::keys::Key;
use crate::state::queue::{Order, PlaceId};
use crate::state::task::{Blocked, Rare, Stage, Task};

/// Says why parts do not make a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreError {
    /// The first part is not the header.
    NoHeader,
    /// There is a second header.
    SecondHeader,
    /// An agent, or its name, comes twice.
    Agent(AgentId),
    /// A task comes twice.
    Task(TaskId),
    /// A key comes twice.
    Key(KeyId),
    /// A schedule comes twice.
    Schedule(ScheduleId),
    /// A token comes twice.
    Token,
    /// A session comes twice.
    Session,
    /// A task waits for one that is not live.
    Dependency {
        /// The task.
        task: TaskId,
        /// What it waits for.
        dependency: TaskId,
    },
    /// A credential comes twice.
    Lane,
    /// A delivery comes twice.
    Delivery(Seq),
    /// A pin comes twice.
    Pin(TaskId),
    /// A webhook belongs to a task that is not live, or comes twice.
    Webhook(TaskId),
    /// A task runs under an agent that is not there, or under a lease that is held already.
    Lease(TaskId, Lease),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader => f.write_str("the snapshot does not begin with a header"),
            Self::SecondHeader => f.write_str("the snapshot has two headers"),
            Self::Agent(agent) => write!(f, "the snapshot has agent {agent} or its name twice"),
            Self::Task(task) => write!(f, "the snapshot has task {task} twice"),
            Self::Key(key) => write!(f, "the snapshot has key {key} twice"),
            Self::Schedule(schedule) => write!(f, "the snapshot has schedule {schedule} twice"),
            Self::Token => f.write_str("the snapshot has a token or its secret twice"),
            Self::Session => f.write_str("the snapshot has a session twice"),
            Self::Dependency { task, dependency } => {
                write!(f, "in the snapshot task {task} waits for {dependency}, which is not live")
            }
            Self::Lane => f.write_str("the snapshot has a credential twice"),
            Self::Delivery(seq) => write!(f, "the snapshot has the delivery of event {seq} twice"),
            Self::Pin(task) => write!(f, "the snapshot has the pin of {task} twice"),
            Self::Webhook(task) => write!(f, "the snapshot has a webhook of {task}, which is not live"),
            Self::Lease(task, lease) => {
                write!(f, "in the snapshot task {task} runs under the lease {lease}, which no agent can hold")
            }
        }
    }
}

impl std::error::Error for RestoreError {}

impl State {
    /// The state in parts, the header first.
    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        let header = Header {
            seq: self.seq,
            incarnation: self.incarnation,
            next_lease: self.next_lease,
            paused: self.paused,
            queue_clock: self.queue_clock,
        };
        let agents = self.agents.iter().map(|(_, agent)| Part::Agent(agent.image.clone()));
        let schedules = self.schedules.values().map(|schedule| Part::Schedule(schedule.clone()));
        let keys = self.keys.iter().map(|(id, key)| Part::Key(Self::key_image(*id, key)));
        let tasks = self.tasks.iter().map(|(id, task)| Part::Task(Box::new(self.image(*id, task))));
        let tokens = self.tokens().map(|token| Part::Token(Box::new(token.clone())));
        let sessions = self.login_sessions().map(|session| Part::Session(session.clone()));
        let access = tokens.chain(sessions);
        let first = std::iter::once(Part::Header(header)).chain(access);
        let webhooks = self.deliveries.webhooks().map(Part::Webhook);
        let deliveries = self.deliveries.iter().map(|delivery| Part::Delivery(Box::new(delivery.clone())));
        let lanes = self.lanes.iter().map(|lane| Part::Lane(lane.clone()));
        let offers = self
            .agents
            .iter()
            .filter(|(_, agent)| !agent.lanes.is_empty())
            .map(|(id, agent)| Part::AgentLanes(AgentLanes { agent: id, lanes: agent.lanes.clone() }));
        let troubles = self.tasks.iter().filter_map(|(id, task)| trouble(*id, task)).map(Part::Trouble);
        let secrets = self.tasks.iter().filter(|(_, task)| !task.secrets().is_empty());
        let secrets = secrets
            .map(|(id, task)| Part::Secrets(SecretsImage { task: *id, secrets: task.secrets().into() }));
        let offspring = self.tasks.iter().filter(|(_, task)| task.offspring() > 0);
        let offspring =
            offspring.map(|(id, task)| Part::Offspring(Offspring { task: *id, made: task.offspring() }));
        let messages = self.tasks.iter().filter(|(_, task)| !task.told().is_empty());
        let messages =
            messages.map(|(id, task)| Part::Told(ToldImage { task: *id, messages: task.told().into() }));
        let told = webhooks.chain(deliveries).chain(secrets).chain(offspring).chain(messages);
        let budgets = self.budget_images().map(Part::Budget).chain(self.ledger.image().map(Part::Ledger));
        let credentials = lanes.chain(offers).chain(troubles);
        let pins = self.pins.iter().map(|task| Part::Pin(*task));
        first
            .chain(agents)
            .chain(schedules)
            .chain(keys)
            .chain(tasks)
            .chain(told)
            .chain(credentials)
            .chain(pins)
            .chain(budgets)
    }

    /// Puts a state together from its parts, the header first and the others in any order.
    ///
    /// # Errors
    /// Says which part does not fit the others.
    pub fn restore(parts: impl IntoIterator<Item = Part>) -> Result<Self, RestoreError> {
        let mut parts = parts.into_iter();
        let Some(Part::Header(header)) = parts.next() else { return Err(RestoreError::NoHeader) };
        let mut state = Self {
            seq: header.seq,
            incarnation: header.incarnation,
            next_lease: header.next_lease,
            paused: header.paused,
            queue_clock: header.queue_clock,
            ..Self::default()
        };
        let mut queued = BTreeMap::new();
        let (mut offers, mut troubles) = (Vec::new(), Vec::new());
        let (mut secrets, mut offspring, mut told) = (Vec::new(), Vec::new(), Vec::new());
        let mut budgets: Vec<BudgetImage> = Vec::new();
        for part in parts {
            match part {
                Part::Header(_) => return Err(RestoreError::SecondHeader),
                Part::Agent(image) => {
                    let id = image.profile.agent_id;
                    if !state.agents.restore(image) {
                        return Err(RestoreError::Agent(id));
                    }
                }
                Part::Key(image) => {
                    let id = image.key;
                    let key = Key {
                        body: image.body,
                        tasks: image.tasks,
                        live: image.live,
                        ended_at: image.ended_at,
                    };
                    if state.keys.insert(id, key).is_some() {
                        return Err(RestoreError::Key(id));
                    }
                }
                Part::Schedule(schedule) => {
                    let id = schedule.id;
                    if state.schedules.insert(id, schedule).is_some() {
                        return Err(RestoreError::Schedule(id));
                    }
                }
                Part::Token(token) => {
                    if !state.access.restore_token(*token) {
                        return Err(RestoreError::Token);
                    }
                }
                Part::Session(session) => {
                    if !state.access.restore_session(session) {
                        return Err(RestoreError::Session);
                    }
                }
                Part::Webhook(task) => {
                    if !state.deliveries.webhook(task) {
                        return Err(RestoreError::Webhook(task));
                    }
                }
                Part::Delivery(delivery) => {
                    let seq = delivery.seq;
                    if !state.deliveries.add(*delivery) {
                        return Err(RestoreError::Delivery(seq));
                    }
                }
                Part::Lane(lane) => {
                    if !state.lanes.restore(lane) {
                        return Err(RestoreError::Lane);
                    }
                }
                Part::Pin(task) => {
                    if !Arc::make_mut(&mut state.pins).insert(task) {
                        return Err(RestoreError::Pin(task));
                    }
                }
                Part::AgentLanes(lanes) => offers.push(lanes),
                Part::Trouble(trouble) => troubles.push(trouble),
                Part::Secrets(image) => secrets.push(image),
                Part::Offspring(made) => offspring.push(made),
                Part::Told(image) => told.push(image),
                Part::Budget(image) => budgets.push(image),
                Part::Ledger(image) => state.ledger.restore(image),
                Part::Task(image) => state.restore_task(*image, &mut queued)?,
            }
        }
        for lanes in offers {
            state.agents.lanes(&lanes).map_err(|_| RestoreError::Agent(lanes.agent))?;
        }
        for trouble in troubles {
            state.restore_trouble(trouble)?;
        }
        for SecretsImage { task, secrets } in secrets {
            let known = state.tasks.get_mut(&task).ok_or(RestoreError::Task(task))?;
            known.rare_mut().secrets = secrets;
        }
        for Offspring { task, made } in offspring {
            let parent = state.tasks.get_mut(&task).ok_or(RestoreError::Task(task))?;
            parent.rare_mut().offspring = made;
        }
        for ToldImage { task, messages } in told {
            let known = state.tasks.get_mut(&task).ok_or(RestoreError::Task(task))?;
            known.rare_mut().told = messages.into();
        }
        for image in budgets {
            state.restore_budget(image).map_err(RestoreError::Task)?;
        }
        for (place, tasks) in queued {
            state.queues.fill(place, tasks);
        }
        state.link()?;
        Ok(state)
    }

    fn restore_task(
        &mut self,
        image: TaskImage,
        queued: &mut BTreeMap<PlaceId, Vec<(Order, TaskId)>>,
    ) -> Result<(), RestoreError> {
        let id = image.id;
        let place = self.queues.join(&image.runner, &image.requires, &image.group, image.priority);
        self.queues.add_body(image.body_bytes);
        let stage = match image.stage {
            StageImage::Blocked { waits_for, failed_dependency, failed_subtask } => {
                let waits_for = waits_for.into_iter().collect();
                Stage::Blocked(Box::new(Blocked { waits_for, failed_dependency, failed_subtask }))
            }
            StageImage::Scheduled { until, cause } => Stage::Scheduled { until, cause },
            StageImage::Queued { queued_at } => {
                queued.entry(place).or_default().push(((queued_at, image.submitted_seq), id));
                Stage::Queued { queued_at }
            }
            StageImage::Running(run) => Stage::Running(Box::new(run)),
        };
        let rare = Rare {
            run_at: image.run_at,
            labels: image.labels,
            parent: image.parent,
            key: image.key,
            crashed_on: image.crashed_on.into(),
            ..Rare::default()
        };
        let task = Box::new(Task {
            submitted_seq: image.submitted_seq,
            seq: image.seq,
            created_at: image.created_at,
            started_at: image.started_at,
            timeout_ms: image.timeout_ms,
            queue_timeout_ms: image.queue_timeout_ms,
            backoff_ms: image.backoff_ms,
            stage,
            rare: rare.boxed(),
            due: None,
            place,
            body_bytes: image.body_bytes,
            attempt: image.attempt,
            failed_attempts: image.failed_attempts,
            max_attempts: image.max_attempts,
            work: image.work,
            on_dependency_failure: image.on_dependency_failure,
            last_end: image.last_end,
        });
        if !matches!(task.stage, Stage::Queued { .. }) {
            self.queues.enter_stage(id, &task);
        }
        match self.tasks.insert(id, task) {
            None => Ok(()),
            Some(_) => Err(RestoreError::Task(id)),
        }
    }

    fn restore_trouble(&mut self, trouble: Trouble) -> Result<(), RestoreError> {
        let Trouble { task: id, lane, limits, new_session } = trouble;
        let task = self.tasks.get_mut(&id).ok_or(RestoreError::Task(id))?;
        if lane.is_some() && (task.run().is_none() || task.lane().is_some()) {
            return Err(RestoreError::Task(id));
        }
        self.queues.enter_lane(lane.as_ref());
        let rare = task.rare_mut();
        (rare.lane, rare.limits, rare.new_session) = (lane, limits, new_session);
        Ok(())
    }

    /// Ties tasks to each other and to their agents, once all are there.
    fn link(&mut self) -> Result<(), RestoreError> {
        if let Some(task) = self.deliveries.webhooks().find(|task| !self.tasks.contains_key(task)) {
            return Err(RestoreError::Webhook(task));
        }
        for (id, task) in &self.tasks {
            if let Some(parent) = task.parent() {
                self.waits.adopted(parent, *id);
            }
            if let Some(blocked) = task.blocked() {
                if let Some(missing) = blocked.waits_for.iter().find(|id| !self.tasks.contains_key(id)) {
                    return Err(RestoreError::Dependency { task: *id, dependency: *missing });
                }
                self.waits.waits(*id, &blocked.waits_for);
            }
            if let Some(run) = task.run() {
                let fits = run.lease.number < self.next_lease;
                if !fits || self.agents.took(run.agent, run.lease, *id).is_err() {
                    return Err(RestoreError::Lease(*id, run.lease));
                }
                if run.question.is_some() {
                    self.questions.insert(*id);
                }
            }
        }
        Ok(())
    }

    /// A task as it is written down.
    pub(crate) fn image(&self, id: TaskId, task: &Task) -> TaskImage {
        let place = self.queues.place(task.place);
        let shape = self.queues.shape(place.shape);
        TaskImage {
            id,
            submitted_seq: task.submitted_seq,
            seq: task.seq,
            created_at: task.created_at,
            work: task.work,
            runner: shape.runner.clone(),
            requires: shape.requires.clone(),
            group: self.queues.group(place.group).name.clone(),
            priority: place.priority,
            timeout_ms: task.timeout_ms,
            queue_timeout_ms: task.queue_timeout_ms,
            max_attempts: task.max_attempts,
            backoff_ms: task.backoff_ms,
            body_bytes: task.body_bytes,
            run_at: task.run_at(),
            on_dependency_failure: task.on_dependency_failure,
            labels: task.labels().into(),
            parent: task.parent(),
            key: task.key(),
            attempt: task.attempt,
            failed_attempts: task.failed_attempts,
            crashed_on: task.crashed_on().into(),
            last_end: task.last_end,
            started_at: task.started_at,
            stage: stage_image(&task.stage),
        }
    }
}

fn trouble(id: TaskId, task: &Task) -> Option<Trouble> {
    let trouble = Trouble {
        task: id,
        lane: task.lane().cloned(),
        limits: task.limits(),
        new_session: task.had_new_session(),
    };
    (trouble.lane.is_some() || trouble.limits > 0 || trouble.new_session).then_some(trouble)
}

fn stage_image(stage: &Stage) -> StageImage {
    match stage {
        Stage::Blocked(blocked) => StageImage::Blocked {
            waits_for: blocked.waits_for.iter().copied().collect(),
            failed_dependency: blocked.failed_dependency,
            failed_subtask: blocked.failed_subtask,
        },
        Stage::Scheduled { until, cause } => StageImage::Scheduled { until: *until, cause: *cause },
        Stage::Queued { queued_at } => StageImage::Queued { queued_at: *queued_at },
        Stage::Running(run) => StageImage::Running((**run).clone()),
        Stage::Between => unreachable!("a step ends no task's attempt without saying what follows"),
    }
}
