//! Which group a task or a schedule belongs to, and whether a caller may see it.

use conductor_core::{Name, ScheduleId, Seq, TaskId};
use conductor_protocol::{Code, Problem};

use super::Context;
use super::caller::{About, Caller};

/// Answers as if it were not there when a call is about something that its caller may not see.
pub(super) async fn check(context: &Context, caller: &Caller, about: About) -> Result<(), Problem> {
    if caller.sees_everything() {
        return Ok(());
    }
    match about {
        About::Nothing | About::Filtered => Ok(()),
        About::Task(task) => match group_of(context, task).await? {
            Some(group) if caller.sees(&group) => Ok(()),
            Some(_) | None => Err(Problem::new(Code::NotFound, format!("there is no task {task}"))),
        },
        About::Schedule(id) => match group_of_schedule(context, id).await? {
            Some(group) if caller.sees(&group) => Ok(()),
            Some(_) | None => Err(Problem::new(Code::NotFound, format!("there is no schedule {id}"))),
        },
        About::Everything => Err(Problem::new(
            Code::Forbidden,
            format!("this reaches all groups; the token reaches {}", caller.reached()),
        )),
    }
}

/// The tasks among these that a caller may not see, or that are not there.
pub(super) async fn unseen(
    context: &Context,
    caller: &Caller,
    tasks: &[TaskId],
) -> Result<Vec<TaskId>, Problem> {
    if caller.sees_everything() || tasks.is_empty() {
        return Ok(Vec::new());
    }
    let groups = groups_of(context, tasks.to_vec(), None).await?;
    let unseen =
        |(_, group): &(&TaskId, &Option<Name>)| !group.as_ref().is_some_and(|group| caller.sees(group));
    Ok(tasks.iter().zip(&groups).filter(unseen).map(|(task, _)| *task).collect())
}

async fn group_of(context: &Context, task: TaskId) -> Result<Option<Name>, Problem> {
    Ok(groups_of(context, vec![task], None).await?.into_iter().next().flatten())
}

async fn group_of_schedule(context: &Context, id: ScheduleId) -> Result<Option<Name>, Problem> {
    context
        .engine
        .look(move |machine, _| machine.state().schedule(id).map(|schedule| schedule.group.clone()))
        .await
}

/// The group of each task: from the machine while it lives, else from History; none for those that nobody knows. All were
/// submitted up to `submitted`, or up to now.
pub(super) async fn groups_of(
    context: &Context,
    tasks: Vec<TaskId>,
    submitted: Option<Seq>,
) -> Result<Vec<Option<Name>>, Problem> {
    let asked = tasks.clone();
    let (mut groups, seq) = context
        .engine
        .look(move |machine, _| {
            let state = machine.state();
            let groups: Vec<_> = asked.iter().map(|task| state.group_of(*task).cloned()).collect();
            (groups, state.seq())
        })
        .await?;
    let missing: Vec<usize> = (0..tasks.len()).filter(|at| groups[*at].is_none()).collect();
    if missing.is_empty() {
        return Ok(groups);
    }
    let reached = context.follower.reach(submitted.unwrap_or(seq)).await;
    let gone: Vec<TaskId> = missing.iter().map(|at| tasks[*at]).collect();
    let records = context.follower.read(move |history| history.tasks(&gone)).await?;
    for (at, record) in missing.into_iter().zip(records) {
        match record {
            Some(record) => groups[at] = Some(record.task.group),
            None if reached => {}
            None => {
                return Err(
                    Problem::new(Code::Unavailable, "the history is behind; ask again").retry_after(1)
                );
            }
        }
    }
    Ok(groups)
}
