//! Accepting tasks: new ones, repeated ones, and those that go on from a terminal one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use conductor_core::{BodyDigest, Command, FailureReason, KeyId, Rejection, Reply, Submit, TaskId};
use conductor_protocol::control::{self, AttemptRef, Message, Outcome, Submitted};
use conductor_protocol::submit::{SubmitTask, Workspace};
use conductor_protocol::{Code, Problem, limits};
use conductor_store::history::TaskRecord;
use conductor_store::log::{Payload, PayloadKey};
use serde_json::value::RawValue;

use super::super::caller::Caller;
use super::super::session::raw;
use super::super::{Context, attempt, groups};
use crate::below::Below;
use crate::refusal;
use crate::submit::{self, Defaults, Origin, Prepared};

/// How often a submit is tried anew when a dependency ended while it was looked up.
const TRIES: usize = 5;

/// Accepts tasks, all or none.
pub(super) async fn submit(
    context: &Context,
    caller: &Caller,
    call: control::Submit,
) -> Result<Submitted, Problem> {
    accept(context, caller, call, Origin::default()).await
}

/// Accepts what several asked for on their own, by one request to the engine: who comes with others is answered with
/// them, so what would have to look anything up first is told to come alone.
pub(super) async fn submit_each(
    context: &Context,
    caller: &Caller,
    calls: Vec<control::Submit>,
) -> Result<Vec<Outcome>, Problem> {
    if calls.len() > limits::MAX_SUBMITS_TOGETHER {
        let detail = format!("at most {} submits, are {}", limits::MAX_SUBMITS_TOGETHER, calls.len());
        return Err(Problem::at("/call/submit_each", detail));
    }
    if caller.attempt.is_some() {
        // What its task may hand on has to be looked up.
        return Ok(calls.iter().map(|_| Outcome::Alone).collect());
    }
    let defaults = defaults(context, caller);
    let mut outcomes = Vec::with_capacity(calls.len());
    let (mut plain, mut changes) = (Vec::new(), Vec::new());
    for (place, call) in calls.into_iter().enumerate() {
        outcomes.push(Outcome::Alone);
        match Plain::prepare(caller, &defaults, call) {
            Ok(Some((known, command, payloads))) => {
                plain.push((place, known));
                changes.push((command, payloads));
            }
            Ok(None) => {}
            Err(problem) => outcomes[place] = Outcome::Refused(problem),
        }
    }
    let answers = context.engine.change_each(changes).await?;
    for ((place, known), answered) in plain.into_iter().zip(answers) {
        let submitted = match answered {
            Ok(applied) => answer(&known.places, applied.reply),
            Err(problem) => Err(known.prepared.as_asked(problem)),
        };
        outcomes[place] = submitted.map_or_else(Outcome::Refused, Outcome::Accepted);
    }
    Ok(outcomes)
}

/// What is kept of a submit that needs nothing to be looked up, while the engine decides it.
struct Plain {
    prepared: Prepared,
    places: Vec<usize>,
}

impl Plain {
    /// Reads a submit; nothing when something has to be looked up for it.
    fn prepare(
        caller: &Caller,
        defaults: &Defaults,
        call: control::Submit,
    ) -> Result<Option<(Self, Command, Vec<Payload>)>, Problem> {
        let key = call.key.as_deref().map(|key| submit::key(key, &caller.actor, &call.tasks)).transpose()?;
        let mut prepared = submit::prepare(&call.tasks, defaults, Origin::default())?;
        let continues = prepared.tasks.iter().any(|task| task.continues.is_some());
        if continues || !prepared.uploads.is_empty() || !prepared.outside().is_empty() {
            return Ok(None);
        }
        for task in &prepared.tasks {
            caller.check_group(&task.group)?;
        }
        let secrets = prepared.take_secrets(&defaults.secrets)?;
        let places = places(&prepared);
        let tasks = std::mem::take(&mut prepared.tasks);
        let payloads = std::mem::take(&mut prepared.payloads);
        let webhooks = std::mem::take(&mut prepared.webhooks);
        let budgets = std::mem::take(&mut prepared.budgets);
        let by = caller.actor.clone();
        let command = Command::Submit(Submit { key, webhooks, secrets, budgets, ..Submit::of(tasks, by) });
        Ok(Some((Self { prepared, places }, command, payloads)))
    }
}

async fn accept(
    context: &Context,
    caller: &Caller,
    call: control::Submit,
    origin: Origin,
) -> Result<Submitted, Problem> {
    let key = call.key.as_deref().map(|key| submit::key(key, &caller.actor, &call.tasks)).transpose()?;
    let defaults = match caller.attempt {
        None => defaults(context, caller),
        Some(attempt) => Cow::Owned(defaults_below(context, attempt).await?),
    };
    let mut prepared = submit::prepare(&call.tasks, &defaults, origin)?;
    check_groups(context, caller, &prepared).await?;
    check_continued(context, caller, &prepared).await?;
    context.keys.check(std::mem::take(&mut prepared.signed_with)).await?;
    let uploads = std::mem::take(&mut prepared.uploads);
    if uploads.is_empty() {
        return accept_prepared(context, caller, key, prepared).await;
    }
    // Taken first, so that none goes while its task is on the way.
    context.uploads.take(caller.actor.name.as_str(), origin.retry_of, uploads.clone()).await?;
    let accepted = accept_prepared(context, caller, key, prepared).await;
    if accepted.as_ref().map_or(true, |submitted| submitted.repeated) {
        context.uploads.untake(uploads).await;
    }
    accepted
}

async fn accept_prepared(
    context: &Context,
    caller: &Caller,
    key: Option<(KeyId, BodyDigest)>,
    mut prepared: Prepared,
) -> Result<Submitted, Problem> {
    let secrets = prepared.take_secrets(&context.defaults.secrets)?;
    let places = places(&prepared);
    let outside = prepared.outside();
    for turn in 1..=TRIES {
        let last = outside.is_empty() || turn == TRIES;
        let settled = settled(context, &outside).await?;
        let (tasks, payloads) = match last {
            true => (std::mem::take(&mut prepared.tasks), std::mem::take(&mut prepared.payloads)),
            false => (prepared.tasks.clone(), prepared.payloads.clone()),
        };
        let webhooks = prepared.webhooks.clone();
        let (secrets, by) = (secrets.clone(), caller.actor.clone());
        let budgets = prepared.budgets.clone();
        let submit = Submit { tasks, key, settled, webhooks, secrets, budgets, by };
        let command = match caller.attempt {
            None => Command::Submit(submit),
            Some(AttemptRef { task, lease }) => Command::SubmitBelow { parent: task, lease, submit },
        };
        match context.engine.change(command, payloads, Vec::new()).await {
            Ok(applied) => return answer(&places, applied.reply),
            Err(problem) if last || !names_dependency(&problem) => return Err(prepared.as_asked(problem)),
            // Perhaps a dependency ended between the look and the submit; History knows it by now.
            Err(problem) => {
                if known(context, &outside).await?.len() < outside.len() {
                    return Err(prepared.as_asked(problem));
                }
            }
        }
    }
    Err(Problem::new(Code::Unavailable, "the dependencies end faster than they can be looked up")
        .retry_after(1))
}

fn names_dependency(problem: &Problem) -> bool {
    problem.errors.iter().any(|error| error.pointer == refusal::DEPENDS_ON)
}

/// Where the tasks that were asked for stand among all of them.
fn places(prepared: &Prepared) -> Vec<usize> {
    let asked: HashSet<TaskId> = prepared.ids.iter().copied().collect();
    let tasks = prepared.tasks.iter().enumerate();
    tasks.filter(|(_, task)| asked.contains(&task.id)).map(|(place, _)| place).collect()
}

fn answer(places: &[usize], reply: Reply) -> Result<Submitted, Problem> {
    match reply {
        Reply::Submitted { tasks, repeated } => {
            let ids = places.iter().filter_map(|place| tasks.get(*place).copied()).collect();
            Ok(Submitted { ids, repeated })
        }
        other => Err(Problem::new(Code::Internal, format!("the machine answered a submit with {other:?}"))),
    }
}

/// Dependencies that the machine does not hold any more, and whether they succeeded.
async fn settled(context: &Context, outside: &[TaskId]) -> Result<Vec<(TaskId, bool)>, Problem> {
    if outside.is_empty() {
        return Ok(Vec::new());
    }
    let asked = outside.to_vec();
    let (gone, seq) = context
        .engine
        .look(move |machine, _| {
            let state = machine.state();
            let gone: Vec<TaskId> = asked.into_iter().filter(|task| !state.contains(*task)).collect();
            (gone, state.seq())
        })
        .await?;
    if gone.is_empty() {
        return Ok(Vec::new());
    }
    if !context.follower.reach(seq).await {
        return Err(super::one::behind());
    }
    let records = known(context, &gone).await?;
    Ok(records
        .into_iter()
        .filter_map(|record| Some((record.task.id, record.outcome.as_ref()?.is_success())))
        .collect())
}

async fn known(context: &Context, tasks: &[TaskId]) -> Result<Vec<TaskRecord>, Problem> {
    let tasks = tasks.to_vec();
    let records = context.follower.read(move |history| history.tasks(&tasks)).await?;
    Ok(records.into_iter().flatten().collect())
}

/// A task can go on only from one that is over.
async fn check_continued(context: &Context, caller: &Caller, prepared: &Prepared) -> Result<(), Problem> {
    let continued: Vec<TaskId> = prepared.tasks.iter().filter_map(|task| task.continues).collect();
    if let Some(unseen) = unseen(context, caller, &continued).await?.first() {
        return Err(nothing_to_continue(*unseen));
    }
    for task in continued {
        terminal(context, task).await.map_err(|problem| match problem.code {
            Code::NotFound => nothing_to_continue(task),
            _ => problem,
        })?;
    }
    Ok(())
}

fn nothing_to_continue(task: TaskId) -> Problem {
    Problem::at("/workspace/continue", format!("there is no task {task} to go on from"))
}

/// What tasks get where they say nothing; a caller of one group makes them in that one.
pub(super) fn defaults<'c>(context: &'c Context, caller: &Caller) -> Cow<'c, Defaults> {
    match caller.only_group() {
        None => Cow::Borrowed(&context.defaults),
        Some(group) => Cow::Owned(Defaults { group: group.clone(), ..context.defaults.clone() }),
    }
}

/// What tasks that a running task submits get where they say nothing, and what they may not say.
async fn defaults_below(context: &Context, attempt: AttemptRef) -> Result<Defaults, Problem> {
    let task = attempt.task;
    let look = move |machine: &conductor_core::Machine, _| machine.state().task(task);
    let image = context.engine.look(look).await?;
    let over = || refusal::problem(&Rejection::AttemptOver(task));
    let (group, priority) = image.map(|image| (image.group, image.priority)).ok_or_else(over)?;
    let below = Below::new(task, (group.clone(), priority), body(context, task).await?)?;
    Ok(Defaults { group, priority, below: Some(Arc::new(below)), ..context.defaults.clone() })
}

/// The tasks among these that a caller may not see, or that are not there.
async fn unseen(context: &Context, caller: &Caller, tasks: &[TaskId]) -> Result<Vec<TaskId>, Problem> {
    match caller.attempt {
        None => groups::unseen(context, caller, tasks).await,
        Some(attempt) => attempt::outside(context, attempt.task, tasks).await,
    }
}

/// A caller makes tasks in groups that it reaches, and they wait for tasks that it sees.
async fn check_groups(context: &Context, caller: &Caller, prepared: &Prepared) -> Result<(), Problem> {
    // What a running task submits is in its own group, which was checked with the rest of its wishes.
    if caller.attempt.is_none() {
        for task in &prepared.tasks {
            caller.check_group(&task.group)?;
        }
    }
    match unseen(context, caller, &prepared.outside()).await?.first() {
        // In the words of the machine for one that is not there.
        Some(unseen) => Err(prepared.unknown_dependency(*unseen)),
        None => Ok(()),
    }
}

/// The record of a task that is over.
async fn terminal(context: &Context, task: TaskId) -> Result<TaskRecord, Problem> {
    let (live, seq) = context
        .engine
        .look(move |machine, _| (machine.state().contains(task), machine.state().seq()))
        .await?;
    if live {
        return Err(Problem::new(Code::Conflict, format!("task {task} is not over yet")));
    }
    let reached = context.follower.reach(seq).await;
    let record = known(context, &[task]).await?.into_iter().next();
    if record.is_none() && !reached {
        return Err(super::one::behind());
    }
    record.ok_or_else(|| Problem::new(Code::NotFound, format!("there is no task {task}")))
}

async fn body(context: &Context, task: TaskId) -> Result<SubmitTask, Problem> {
    let log = context.log.clone();
    let read = tokio::task::spawn_blocking(move || log.payloads(&[PayloadKey::from(task)])).await;
    let bytes = match read {
        Ok(Ok(bodies)) => bodies.into_iter().next().flatten(),
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, %task, "failed to read a task's body");
            return Err(Problem::new(Code::Internal, format!("the body of task {task} cannot be read")));
        }
        Err(_) => None,
    };
    let bytes = bytes
        .ok_or_else(|| Problem::new(Code::Gone, format!("the body of task {task} is not kept any more")))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(Code::Internal, format!("the body of task {task} cannot be read: {error}"))
    })
}

/// Repeats a terminal task as a new one that starts from a copy of the old work.
pub(super) async fn retry(context: &Context, caller: &Caller, task: TaskId) -> Result<Submitted, Problem> {
    let record = terminal(context, task).await?;
    if !crate::view::has_work(record.task.work) {
        let detail = format!("task {task} only stands for its subtasks; retry those that failed");
        return Err(Problem::new(Code::Conflict, detail));
    }
    let mut body = body(context, task).await?;
    unbind(&mut body);
    body.group = Some(record.task.group.to_string());
    // Its files are in the old work already, perhaps changed; they are written anew only where that is gone.
    let old_work = context.workspace.join("tasks").join(task.to_string()).join("work");
    if !record.attempts.is_empty() && tokio::fs::try_exists(&old_work).await.unwrap_or(false) {
        let push_failed = matches!(
            &record.outcome,
            Some(conductor_core::Outcome::Failed(failure)) if failure.reason == FailureReason::PushFailed
        );
        // What could not be pushed is ready, and only the push is repeated.
        body.workspace = Some(match push_failed {
            true => Workspace::Push(task.to_string()),
            false => Workspace::Continue(task.to_string()),
        });
        body.files.clear();
    }
    let call = control::Submit { tasks: vec![rewritten(&body)], key: None };
    accept(context, caller, call, Origin { retry_of: Some(task), has_preset: true, ..Origin::default() })
        .await
}

/// Goes on from a terminal task with a new prompt; says it to one that runs, as its next turn.
pub(super) async fn message(context: &Context, caller: &Caller, call: Message) -> Result<Submitted, Problem> {
    if call.text.trim().is_empty() {
        return Err(Problem::at("/text", "the message is empty"));
    }
    if let Some(told) = super::tell::tell(context, caller, &call).await? {
        return Ok(told);
    }
    let record = terminal(context, call.id).await.map_err(|problem| match problem.code {
        Code::Conflict => {
            let detail = format!("task {} does not run yet, so that nothing can be said to it", call.id);
            Problem::new(Code::Conflict, detail)
        }
        _ => problem,
    })?;
    let mut body = body(context, call.id).await?;
    if body.command.is_some() {
        let detail = format!("task {} ran a command, which takes no message; submit another", call.id);
        return Err(Problem::new(Code::Conflict, detail));
    }
    unbind(&mut body);
    body.group = Some(record.task.group.to_string());
    body.prompt = Some(call.text);
    body.files.clear();
    body.runner = Some(record.task.runner.to_string());
    body.workspace = Some(Workspace::Continue(call.id.to_string()));
    // The session knows what its type had to say.
    if let Some(preset) = &mut body.preset {
        preset.prompt = None;
    }
    let call = control::Submit { tasks: vec![rewritten(&body)], key: None };
    accept(context, caller, call, Origin { has_preset: true, ..Origin::default() }).await
}

/// Takes out what bound a task to others of its submit and to its time.
fn unbind(body: &mut SubmitTask) {
    body.depends_on.clear();
    body.on_dependency_failure = None;
    body.reference = None;
    body.run_at = None;
    body.subtasks.clear();
}

fn rewritten(body: &SubmitTask) -> Box<RawValue> {
    raw(body)
}
