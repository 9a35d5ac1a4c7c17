//! Why a task waits, as programs read it.

use conductor_core::{Obstacle, Pending, Purse, Requeue, Shortage};
use conductor_protocol::task::{PendingCode, PendingView};

/// Why a task waits.
pub(super) fn pending_view(pending: &Pending) -> PendingView {
    let (code, values) = match pending {
        Pending::Blocked { tasks, subtasks } => {
            let counts = [("tasks", *tasks), ("subtasks", *subtasks)];
            let counts = counts.into_iter().filter(|(_, count)| *count > 0);
            (PendingCode::Blocked, counts.map(|(name, count)| (name, count.to_string())).collect())
        }
        Pending::Scheduled { until, cause } => (scheduled(*cause), vec![("until", until.to_string())]),
        Pending::Queued(obstacle) => queued(obstacle),
    };
    PendingView { code, values: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

fn scheduled(cause: Option<Requeue>) -> PendingCode {
    match cause {
        None => PendingCode::RunAt,
        Some(Requeue::Backoff) => PendingCode::Backoff,
        Some(Requeue::Crash) => PendingCode::Crash,
        Some(Requeue::Stop) => PendingCode::Stop,
        Some(Requeue::Limit) => PendingCode::Limit,
        Some(Requeue::NewSession) => PendingCode::NewSession,
    }
}

fn queued(obstacle: &Obstacle) -> (PendingCode, Vec<(&'static str, String)>) {
    match obstacle {
        Obstacle::Paused => (PendingCode::Paused, Vec::new()),
        Obstacle::NoRoom(volume) => (PendingCode::NoRoom, vec![("volume", volume.to_string())]),
        Obstacle::NoAgent => (PendingCode::NoAgent, Vec::new()),
        Obstacle::NoRunner(runner, missing) => {
            let missing = missing.iter().map(|missing| ("missing", missing.to_string()));
            let runner = ("runner", runner.to_string());
            (PendingCode::NoRunner, std::iter::once(runner).chain(missing).collect())
        }
        Obstacle::NoAuto => (PendingCode::NoAuto, Vec::new()),
        Obstacle::NoLabels(labels) => {
            let labels: Vec<_> = labels.iter().map(|label| label.as_str()).collect();
            (PendingCode::NoLabels, vec![("labels", labels.join(", "))])
        }
        Obstacle::Draining => (PendingCode::Draining, Vec::new()),
        Obstacle::AgentDiskFull => (PendingCode::AgentDiskFull, Vec::new()),
        Obstacle::NotServed => (PendingCode::NotServed, Vec::new()),
        Obstacle::RunnerLimit(runner, limit) => {
            (PendingCode::RunnerLimit, vec![("runner", runner.to_string()), ("limit", limit.to_string())])
        }
        Obstacle::GroupLimit(group, limit) => {
            (PendingCode::GroupLimit, vec![("group", group.to_string()), ("limit", limit.to_string())])
        }
        Obstacle::LabelLimit(key, value, limit) => {
            (PendingCode::LabelLimit, vec![("label", format!("{key}:{value}")), ("limit", limit.to_string())])
        }
        Obstacle::LaneClosed(lane) => (PendingCode::LaneClosed, vec![("lane", lane.to_string())]),
        Obstacle::LaneRests(lane, until) => {
            (PendingCode::LaneRests, vec![("lane", lane.to_string()), ("until", until.to_string())])
        }
        Obstacle::LaneRecovers(lane, limit) => {
            (PendingCode::LaneRecovers, vec![("lane", lane.to_string()), ("limit", limit.to_string())])
        }
        Obstacle::Budget(short) => budget(short),
        Obstacle::AllWaiting => (PendingCode::AllWaiting, Vec::new()),
        Obstacle::Busy => (PendingCode::Busy, Vec::new()),
    }
}

fn budget(short: &Shortage) -> (PendingCode, Vec<(&'static str, String)>) {
    let Shortage { purse, unit, limit, spent, held } = short;
    let (code, whose) = match purse {
        Purse::Day => (PendingCode::DayBudget, None),
        Purse::Group(group) => (PendingCode::GroupBudget, Some(("group", group.to_string()))),
        Purse::Task(task) => (PendingCode::TaskBudget, Some(("task", task.to_string()))),
    };
    let counts = [("limit", *limit), ("spent", *spent), ("reserved", *held)];
    let counts = counts.into_iter().map(|(name, count)| (name, unit.told(count)));
    (code, whose.into_iter().chain(counts).collect())
}
