//! What tasks use while they run.

use std::collections::BTreeMap;
use std::time::Duration;

use conductor_core::{Machine, Seq, TaskId, Usage};
use conductor_protocol::Problem;
use conductor_protocol::control::{Id, UsageNews, UsageOfAll, UsedView};
use conductor_store::history::TaskRecord;

use super::super::Context;
use super::super::caller::Caller;
use super::super::session::Items;
use super::one;
use crate::view;

/// How often is looked. Nothing is written of what a run tells, so nothing wakes a follower.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often is looked at all that run.
const LOOK_AT_ALL: Duration = Duration::from_secs(1);
/// The most tasks of one item.
const MAX_TOGETHER: usize = 500;

/// Tells what a task has used whenever that has changed, until the task is over.
pub(super) async fn follow(context: &Context, task: TaskId, items: Items) -> Result<(), Problem> {
    let over = context.engine.watch(task);
    tokio::pin!(over);
    let mut told = None;
    loop {
        let used = context.engine.look(move |machine, _| machine.used(task)).await?;
        if told != Some(used) {
            items.item(&one::get(context, task).await?.usage).await?;
            told = Some(used);
        }
        tokio::select! {
            over = &mut over => return over.map(drop),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Tells what all tasks that the caller may see and that run have used so far, and what has changed of that at each look.
pub(super) async fn follow_all(
    context: &Context,
    caller: &Caller,
    call: UsageOfAll,
    items: Items,
) -> Result<(), Problem> {
    let mut told = BTreeMap::new();
    loop {
        let (seq, used) = all_used(context, caller).await?;
        let over: Vec<_> = told.keys().filter(|task| !used.contains_key(task)).copied().collect();
        told.retain(|task, _| used.contains_key(task));
        if !over.is_empty() {
            let over = over.into_iter().map(|id| Id { id }).collect();
            items.item(&UsageNews { over, ..UsageNews::default() }).await?;
        }
        let more: Vec<_> = used.into_iter().filter(|(task, used)| told.get(task) != Some(used)).collect();
        for some in more.chunks(MAX_TOGETHER) {
            let used = with_what_is_over(context, seq, some).await?;
            told.extend(some.iter().filter(|(task, _)| used.iter().any(|it| it.id == *task)).copied());
            if !used.is_empty() {
                items.item(&UsageNews { used, ..UsageNews::default() }).await?;
            }
        }
        if !call.follow {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AT_ALL).await;
    }
}

async fn all_used(context: &Context, caller: &Caller) -> Result<(Seq, BTreeMap<TaskId, Usage>), Problem> {
    let caller = caller.clone();
    let look = move |machine: &Machine, _| {
        let seen = machine.used_by_each().filter(|(_, group, _)| caller.sees(group));
        (machine.state().seq(), seen.map(|(task, _, used)| (task, used)).collect())
    };
    context.engine.look(look).await
}

/// Adds what the attempts before have used. Tasks that went on meanwhile are left to the next look.
async fn with_what_is_over(
    context: &Context,
    seq: Seq,
    used: &[(TaskId, Usage)],
) -> Result<Vec<UsedView>, Problem> {
    context.follower.reach(seq).await;
    let ids: Vec<_> = used.iter().map(|(task, _)| *task).collect();
    let records = context.follower.read(move |history| history.tasks(&ids)).await?;
    let view = |(record, (_, used)): (Option<TaskRecord>, &(TaskId, Usage))| {
        let record = record?;
        let attempt = record.attempts.last().filter(|attempt| attempt.finished_at.is_none())?.number;
        let mut sum = record.usage;
        sum.add(used);
        let group = record.task.group.to_string();
        Some(UsedView { id: record.task.id, group, attempt, usage: view::usage_view(&sum) })
    };
    Ok(records.into_iter().zip(used).filter_map(view).collect())
}
