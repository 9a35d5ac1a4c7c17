//! Schedules.

use std::sync::Arc;

use conductor_core::{Actor, Command, Schedule, ScheduleId};
use conductor_protocol::control::{AddSchedule, CatchUp, Overlap, ScheduleView};
use conductor_protocol::{Code, Problem};
use conductor_store::log::{Payload, PayloadKey};

use super::super::Context;
use super::super::caller::Caller;
use crate::cron::Cron;
use crate::engine;
use crate::schedules;
use crate::submit::{self, Origin};

/// Adds a schedule, once its expression, its time zone and its task are found good.
pub(super) async fn add(
    context: &Context,
    caller: &Caller,
    call: AddSchedule,
) -> Result<ScheduleView, Problem> {
    let cron = Cron::parse(&call.cron, call.time_zone.as_deref())?;
    let task = [call.task.clone()];
    let prepared = submit::prepare(&task, &super::submit::defaults(context, caller), Origin::default())
        .map_err(|problem| within(problem, "/task"))?;
    if !prepared.outside.is_empty() || prepared.tasks[0].run_at.is_some() || prepared.tasks.len() > 1 {
        return Err(Problem::at("/task", "a scheduled task has no dependencies, no subtasks and no run_at"));
    }
    caller.check_group(&prepared.tasks[0].group)?;
    if let Some(wanted) = prepared.uploads.first() {
        // It is gone before the schedule is.
        let pointer = format!("/task{}", wanted.pointer);
        return Err(Problem::at(pointer, "a scheduled task brings its files in its body"));
    }
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
    Ok(view(&schedule, call))
}

/// All schedules, the next due first.
pub(super) async fn list(context: &Context, caller: &Caller) -> Result<Vec<ScheduleView>, Problem> {
    let mut known: Vec<Schedule> =
        context.engine.look(|machine, _| machine.state().schedules().cloned().collect()).await?;
    known.retain(|schedule| caller.sees(&schedule.group));
    known.sort_by_key(|schedule| (schedule.next_at, schedule.id));
    let ids: Vec<ScheduleId> = known.iter().map(|schedule| schedule.id).collect();
    let stored = schedules::read(&context.log, ids).await?;
    Ok(known
        .iter()
        .zip(stored)
        .filter_map(|(schedule, stored)| Some(view(schedule, stored?.schedule)))
        .collect())
}

/// Removes a schedule. Tasks that it made go on.
pub(super) async fn remove(context: &Context, actor: Arc<Actor>, id: ScheduleId) -> Result<(), Problem> {
    let command = Command::RemoveSchedule { schedule: id, by: actor };
    context.engine.change(command, Vec::new(), vec![PayloadKey::from(id)]).await.map(drop)
}

fn view(schedule: &Schedule, stored: AddSchedule) -> ScheduleView {
    ScheduleView {
        id: schedule.id,
        name: stored.name,
        cron: stored.cron,
        time_zone: stored.time_zone.unwrap_or_else(|| "UTC".to_owned()),
        overlap: stored.overlap,
        catch_up: stored.catch_up,
        next_at: schedule.next_at,
        last_task: schedule.last_task,
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
