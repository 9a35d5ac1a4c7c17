//! Lists and statistics, from History.

use std::collections::BTreeMap;

use conductor_core::{Machine, Name, Now, TaskId, Usage, Wall};
use conductor_protocol::control::{Filter, ListRequest, Page, Sort, StatsView, TodayView};
use conductor_protocol::task::{State, TaskView};
use conductor_protocol::{Problem, limits};
use conductor_store::history::{self, Cursor, Query, StatsQuery, TaskRecord, TrendsQuery};
use jiff::tz::TimeZone;

use super::super::Context;
use super::super::caller::Caller;
use crate::view;

/// A page of tasks when the caller names no size.
pub(super) const DEFAULT_PAGE: u32 = 50;
/// Every time zone is off by whole quarters of an hour.
const DAY_STEP_MINUTES: u32 = 15;

/// A page of tasks.
pub(super) async fn list(context: &Context, caller: &Caller, call: ListRequest) -> Result<Page, Problem> {
    let mut query = query(&call)?;
    // What a running task lists was held to what lies below it.
    query.visible = caller.visible().filter(|_| caller.attempt.is_none());
    let look = |machine: &Machine| (machine.state().seq(), machine.state().pins().clone());
    let (seq, pins) = context.engine.look(move |machine, _| look(machine)).await?;
    context.follower.reach(seq).await;
    let page = context.follower.read(move |history| history.list(&query)).await?;
    let views = page.tasks.iter().filter_map(|record| view::task_view(Some(record), None, None));
    let mut items: Vec<_> = views.map(|view| TaskView { pinned: pins.contains(&view.id), ..view }).collect();
    add_used(context, &page.tasks, &mut items).await?;
    Ok(Page { items, next_cursor: page.next.map(|cursor| cursor.0), as_of_seq: page.as_of.0 })
}

/// Counts what those that run have used so far.
async fn add_used(context: &Context, records: &[TaskRecord], views: &mut [TaskView]) -> Result<(), Problem> {
    let runs = |state| matches!(state, history::State::Running | history::State::Waiting);
    let ids: Vec<_> = records.iter().filter(|it| runs(it.state)).map(|it| it.task.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let look = move |machine: &Machine, _| -> BTreeMap<TaskId, Usage> {
        ids.into_iter().filter_map(|id| Some((id, machine.used(id)?))).collect()
    };
    let used = context.engine.look(look).await?;
    for (record, view) in records.iter().zip(views) {
        // One that was tried again meanwhile has told of another attempt than this page.
        if let Some(used) = used.get(&view.id) {
            view::add_used(view, Some(record), used);
        }
    }
    Ok(())
}

/// What a request asks of History.
pub(super) fn query(call: &ListRequest) -> Result<Query, Problem> {
    let limit = call.limit.unwrap_or(DEFAULT_PAGE);
    if limit == 0 || limit > limits::MAX_PAGE {
        return Err(Problem::at("/limit", format!("from 1 to {}", limits::MAX_PAGE)));
    }
    let mut query = filter(&call.filter)?;
    query.sort = match call.sort {
        Sort::Created => history::Sort::Newest,
        Sort::Oldest => history::Sort::Oldest,
        Sort::Cost => history::Sort::Cost,
    };
    query.limit = limit as usize;
    query.cursor = call.cursor.clone().map(Cursor);
    Ok(query)
}

/// What a filter asks of History.
pub(super) fn filter(filter: &Filter) -> Result<Query, Problem> {
    let name = |field: &str, text: &Option<String>| -> Result<Option<Name>, Problem> {
        text.as_deref()
            .map(|text| Name::new(text).map_err(|error| Problem::at(format!("/{field}"), error.to_string())))
            .transpose()
    };
    let instant = |field: &str, text: &Option<String>| -> Result<Option<Wall>, Problem> {
        text.as_deref()
            .map(|text| {
                conductor_protocol::text::parse_rfc3339(text)
                    .map_err(|error| Problem::at(format!("/{field}"), error))
            })
            .transpose()
    };
    let mut labels = Vec::with_capacity(filter.label.len());
    for label in &filter.label {
        let (key, value) = label
            .split_once(':')
            .ok_or_else(|| Problem::at("/label", format!("{label:?} is not of the form key:value")))?;
        match (Name::new(key), Name::new(value)) {
            (Ok(key), Ok(value)) => labels.push((key, value)),
            (Err(error), _) | (_, Err(error)) => return Err(Problem::at("/label", error.to_string())),
        }
    }
    let failure = filter
        .failure
        .as_deref()
        .map(|text| {
            conductor_protocol::task::parse_reason(text)
                .ok_or_else(|| Problem::at("/failure", format!("{text:?} is not a failure reason")))
        })
        .transpose()?;
    let min_cost = filter.min_cost.map(|usd| {
        if usd.is_finite() && (0.0..1e9).contains(&usd) {
            Ok((usd * 1e6).round() as u64)
        } else {
            Err(Problem::at("/min_cost", "not an amount of money"))
        }
    });
    let parent = filter
        .parent
        .as_deref()
        .map(|text| text.parse().map_err(|_| Problem::at("/parent", format!("{text:?} is not a task id"))));
    Ok(Query {
        parent: parent.transpose()?,
        states: filter.state.iter().map(|state| stored_state(*state)).collect(),
        groups: name("group", &filter.group)?.into_iter().collect(),
        runner: name("runner", &filter.runner)?,
        labels,
        name: filter.name.clone(),
        task_type: name("type", &filter.task_type)?,
        created_by: name("created_by", &filter.created_by)?,
        failure,
        text: filter.q.clone(),
        after: instant("after", &filter.after)?,
        before: instant("before", &filter.before)?,
        min_cost_usd_micros: min_cost.transpose()?,
        ..Query::default()
    })
}

fn stored_state(state: State) -> history::State {
    match state {
        State::Blocked => history::State::Blocked,
        State::Scheduled => history::State::Scheduled,
        State::Queued => history::State::Queued,
        State::Running => history::State::Running,
        State::Waiting => history::State::Waiting,
        State::Succeeded => history::State::Succeeded,
        State::Failed => history::State::Failed,
        State::Cancelled => history::State::Cancelled,
    }
}

fn shown_state(state: history::State) -> Option<State> {
    State::ALL.into_iter().find(|shown| stored_state(*shown) == state)
}

/// Numbers over time.
pub(super) async fn stats(context: &Context, visible: Option<Vec<Name>>) -> Result<StatsView, Problem> {
    const HOUR_MS: i64 = 3_600_000;
    let seen = visible.clone();
    let sees = move |group: &Name| seen.as_ref().is_none_or(|groups| groups.contains(group));
    let look =
        move |machine: &Machine, now: Now| (machine.state().seq(), now.wall, machine.used_by_all(sees));
    let (seq, now, used) = context.engine.look(look).await?;
    context.follower.reach(seq).await;
    let since = Wall(now.0 - 24 * HOUR_MS);
    let today = today(context, visible.clone(), now, &used).await?;
    let query = StatsQuery { since: Some(since), visible };
    let stats = context.follower.read(move |history| history.stats(&query)).await?;
    let sum = |of: fn(&history::Hour) -> u64| stats.hours.iter().map(of).sum::<u64>();
    let finished = sum(|hour| hour.succeeded + hour.failed + hour.cancelled);
    let started = sum(|hour| hour.started);
    let last_hour = stats.hours.iter().filter(|hour| hour.from.0 + HOUR_MS > now.0 - HOUR_MS);
    Ok(StatsView {
        by_state: stats
            .states
            .iter()
            .filter_map(|(state, count)| Some((shown_state(*state)?, *count)))
            .collect(),
        finished_last_hour: last_hour.map(|hour| hour.succeeded + hour.failed + hour.cancelled).sum(),
        finished_last_day: finished,
        failed_last_day: sum(|hour| hour.failed),
        mean_wait_seconds: mean(sum(|hour| hour.wait_ms), started),
        mean_run_seconds: mean(sum(|hour| hour.run_ms), finished),
        tokens_last_day: sum(|hour| hour.tokens),
        cost_usd_last_day: sum(|hour| hour.cost_usd_micros) as f64 / 1e6,
        today,
    })
}

/// The mean of durations in seconds.
fn mean(total_ms: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| total_ms as f64 / count as f64 / 1_000.0)
}

/// Adds up the calendar day of the configured time zone.
async fn today(
    context: &Context,
    visible: Option<Vec<Name>>,
    now: Wall,
    running: &Usage,
) -> Result<TodayView, Problem> {
    let since = midnight(&context.time_zone, now);
    let minutes = u64::try_from(now.0 - since.0).unwrap_or_default() / 60_000;
    let steps = usize::try_from(minutes / u64::from(DAY_STEP_MINUTES)).unwrap_or_default() + 2;
    let query = TrendsQuery { visible, step_minutes: DAY_STEP_MINUTES, until: now, steps };
    let steps = context.follower.read(move |history| history.trends(&query)).await?;
    let of_today = || steps.iter().filter(|step| step.from >= since);
    let sum = |of: fn(&history::Hour) -> u64| of_today().map(of).sum::<u64>();
    let finished = sum(|step| step.succeeded + step.failed + step.cancelled);
    Ok(TodayView {
        since,
        submitted: sum(|step| step.submitted),
        finished,
        failed: sum(|step| step.failed),
        mean_wait_seconds: mean(sum(|step| step.wait_ms), sum(|step| step.started)),
        mean_run_seconds: mean(sum(|step| step.run_ms), finished),
        tokens: sum(|step| step.tokens),
        cost_usd: sum(|step| step.cost_usd_micros) as f64 / 1e6,
        failed_cost_usd: sum(|step| step.failed_cost_usd_micros) as f64 / 1e6,
        running: view::usage_view(running),
    })
}

/// The beginning of the day that an instant lies in.
fn midnight(zone: &TimeZone, now: Wall) -> Wall {
    let day = jiff::Timestamp::from_millisecond(now.0).map(|now| now.to_zoned(zone.clone()));
    let begin = day.and_then(|now| now.start_of_day());
    // Only an instant beyond all calendars has no day.
    begin.map_or(now, |begin| Wall(begin.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(zone: &str, now: &str) -> String {
        let at = |text: &str| Wall(text.parse::<jiff::Timestamp>().expect("an instant").as_millisecond());
        let begin = midnight(&TimeZone::get(zone).expect("a zone"), at(now));
        jiff::Timestamp::from_millisecond(begin.0).expect("an instant").to_string()
    }

    #[test]
    fn a_day_begins_where_people_are() {
        assert_eq!(begins("UTC", "2026-03-01T23:59:59Z"), "2026-03-01T00:00:00Z");
        assert_eq!(begins("Asia/Tokyo", "2026-03-01T14:59:59Z"), "2026-02-28T15:00:00Z");
        assert_eq!(begins("Asia/Tokyo", "2026-03-01T15:00:00Z"), "2026-03-01T15:00:00Z");
        assert_eq!(begins("Asia/Kathmandu", "2026-03-01T20:00:00Z"), "2026-03-01T18:15:00Z");
        // The day on which clocks go forward begins in winter time.
        assert_eq!(begins("Europe/Paris", "2026-03-29T12:00:00Z"), "2026-03-28T23:00:00Z");
    }
}
