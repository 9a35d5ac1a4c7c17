//! Schedules.

use std::collections::HashMap;
use std::sync::Arc;

use conductor_core::{Actor, Command, Schedule, ScheduleId, TaskId};
use conductor_protocol::control::{AddSchedule, CatchUp, LastRun, Overlap, ScheduleView};
use conductor_protocol::{Code, Problem};
use conductor_store::log::{Payload, PayloadKey};

use super::super::Context;
use super::super::caller::Caller;
use crate::cron::Cron;
use crate::engine;
use crate::schedules;
use crate::submit::{self, Origin};
use crate::view;

/// Adds a schedule, once its expression, its time zone and its task are found good.
pub(super) async fn add(
    context: &Context,
    caller: &Caller,
    call: AddSchedule,
) -> Result<ScheduleView, Problem> {
    let cron = Cron::parse(&call.cron, call.time_zone.as_deref())?;
    let task = [call.task.clone()];
    let mut prepared = submit::prepare(&task, &super::submit::defaults(context, caller), Origin::default())
        .map_err(|problem| within(problem, "/task"))?;
    if !prepared.outside().is_empty() || prepared.tasks[0].run_at.is_some() || prepared.tasks.len() > 1 {
        return Err(Problem::at("/task", "a scheduled task has no dependencies, no subtasks and no run_at"));
    }
    caller.check_group(&prepared.tasks[0].group)?;
    if let Some(wanted) = prepared.uploads.first() {
        // It is gone before the schedule is.
        let pointer = format!("/task{}", wanted.pointer);
        return Err(Problem::at(pointer, "a scheduled task brings its files in its body"));
    }
    context.keys.check(prepared.signed_with.clone()).await.map_err(|problem| within(problem, "/task"))?;
    // What it may use is looked at again whenever it fires.
    prepared.take_secrets(&context.defaults.secrets).map_err(|problem| within(problem, "/task"))?;
    let now = engine::now(&context.clock).wall;
    let next_at = cron.after(now)?;
    let id = ScheduleId(uuid::Uuid::now_v7().as_u128());
    let schedule = Schedule {
        id,
        name: call.name.as_deref().map(Into::into),
        group: prepared.tasks[0].group.clone(),
        overlap: overlap(call.overlap),
        catch_up: catch_up(call.catch_up),
        next_at,
        last_task: None,
    };
    let bytes = serde_json::to_vec(&schedules::Stored {
        schedule: call.clone(),
        by: schedules::stored_actor(&caller.actor, caller.groups()),
    })
    .expect("a schedule that was read can be written");
    let payload = Payload { key: PayloadKey::from(id), bytes };
    let command = Command::AddSchedule { schedule: Box::new(schedule.clone()), by: caller.actor.clone() };
    context.engine.change(command, vec![payload], Vec::new()).await?;
    Ok(shown(&schedule, call))
}

/// All schedules, the next due first.
pub(super) async fn list(context: &Context, caller: &Caller) -> Result<Vec<ScheduleView>, Problem> {
    let look = |machine: &conductor_core::Machine, _| {
        let state = machine.state();
        (state.schedules().cloned().collect::<Vec<Schedule>>(), state.seq())
    };
    let (mut known, seq) = context.engine.look(look).await?;
    known.retain(|schedule| caller.sees(&schedule.group));
    known.sort_by_key(|schedule| (schedule.next_at, schedule.id));
    let ids: Vec<ScheduleId> = known.iter().map(|schedule| schedule.id).collect();
    let stored = schedules::read(&context.log, ids).await?;
    context.follower.reach(seq).await;
    let last = last_runs(context, known.iter().filter_map(|schedule| schedule.last_task).collect()).await?;
    let standing = context.access.standing().await?;
    let mut views = Vec::with_capacity(known.len());
    for (schedule, stored) in known.iter().zip(stored) {
        let Some(stored) = stored else { continue };
        let paused = standing.why_stopped(&stored.by, &schedule.group);
        let last = schedule.last_task.and_then(|task| last.get(&task).cloned());
        views.push(ScheduleView { last, paused, ..shown(schedule, stored.schedule) });
    }
    Ok(views)
}

/// What became of tasks, as far as the history knows.
async fn last_runs(context: &Context, tasks: Vec<TaskId>) -> Result<HashMap<TaskId, LastRun>, Problem> {
    if tasks.is_empty() {
        return Ok(HashMap::new());
    }
    let records = context.follower.read(move |history| history.tasks(&tasks)).await?;
    let views = records.iter().flatten().filter_map(|record| view::task_view(Some(record), None, None));
    let last = views.map(|it| {
        let last =
            LastRun { task: it.id, state: it.state, created_at: it.created_at, finished_at: it.finished_at };
        (it.id, last)
    });
    Ok(last.collect())
}

/// Removes a schedule. Tasks that it made go on.
pub(super) async fn remove(context: &Context, actor: Arc<Actor>, id: ScheduleId) -> Result<(), Problem> {
    let command = Command::RemoveSchedule { schedule: id, by: actor };
    context.engine.change(command, Vec::new(), vec![PayloadKey::from(id)]).await.map(drop)
}

fn shown(schedule: &Schedule, stored: AddSchedule) -> ScheduleView {
    ScheduleView {
        id: schedule.id,
        name: stored.name,
        cron: stored.cron,
        time_zone: stored.time_zone.unwrap_or_else(|| "UTC".to_owned()),
        overlap: stored.overlap,
        catch_up: stored.catch_up,
        next_at: schedule.next_at,
        last_task: schedule.last_task,
        last: None,
        paused: None,
        task: stored.task,
    }
}

fn within(mut problem: Problem, at: &str) -> Problem {
    if problem.code == Code::InvalidRequest {
        for error in &mut problem.errors {
            error.pointer.insert_str(0, at);
        }
        return Problem::invalid(problem.errors);
    }
    problem
}

fn overlap(overlap: Overlap) -> conductor_core::Overlap {
    match overlap {
        Overlap::Skip => conductor_core::Overlap::Skip,
        Overlap::Queue => conductor_core::Overlap::Queue,
        Overlap::Cancel => conductor_core::Overlap::Cancel,
    }
}

fn catch_up(catch_up: CatchUp) -> conductor_core::CatchUp {
    match catch_up {
        CatchUp::None => conductor_core::CatchUp::None,
        CatchUp::One => conductor_core::CatchUp::One,
    }
}
