//! Numbers over time, and what is scraped.

use std::collections::BTreeMap;

use conductor_core::{Name, Wall};
use conductor_protocol::Problem;
use conductor_protocol::control::{
    Histogram, MetricsView, RunnerMetrics, TrendStep, TrendsCall, TrendsView, Volume,
};
use conductor_store::history::{self, Durations, Hour, KEPT_MINUTES, MAX_STEPS, TrendsQuery};

use super::super::Context;
use super::read;
use crate::view;

/// Seconds of a minute.
const MINUTE_SECONDS: u64 = 60;
/// Minutes of an hour.
const HOUR_MINUTES: u64 = 60;
/// How far back numbers over time go at most: a year.
const MAX_SECONDS: u64 = 366 * 24 * 3_600;

/// Numbers over time of what lies in the groups given; of everything when none are.
pub(super) async fn trends(
    context: &Context,
    visible: Option<Vec<Name>>,
    call: TrendsCall,
) -> Result<TrendsView, Problem> {
    let (seq, now) = context.engine.look(|machine, now| (machine.state().seq(), now.wall)).await?;
    let query = query(call, visible, now)?;
    context.follower.reach(seq).await;
    let steps = context.follower.read(move |history| history.trends(&query)).await?;
    Ok(TrendsView { steps: steps.iter().map(step).collect() })
}

/// Steps are whole minutes, and whole hours where minutes are not kept.
fn query(call: TrendsCall, visible: Option<Vec<Name>>, until: Wall) -> Result<TrendsQuery, Problem> {
    if call.step_seconds == 0 || call.seconds < call.step_seconds || call.seconds > MAX_SECONDS {
        let detail = format!("from step_seconds to {MAX_SECONDS}, and step_seconds is at least 1");
        return Err(Problem::at("/seconds", detail));
    }
    let minutes = call.step_seconds.div_ceil(MINUTE_SECONDS);
    let by_minute = call.seconds.div_ceil(MINUTE_SECONDS) + minutes <= KEPT_MINUTES.unsigned_abs();
    let step_minutes = if by_minute { minutes } else { minutes.next_multiple_of(HOUR_MINUTES) };
    let steps = call.seconds.div_ceil(step_minutes * MINUTE_SECONDS);
    if steps > MAX_STEPS as u64 {
        return Err(Problem::at("/step_seconds", format!("makes {steps} steps; at most {MAX_STEPS}")));
    }
    Ok(TrendsQuery {
        visible,
        step_minutes: u32::try_from(step_minutes).unwrap_or(u32::MAX),
        until,
        steps: usize::try_from(steps).expect("bounded"),
    })
}

fn step(sums: &Hour) -> TrendStep {
    TrendStep {
        at: sums.from,
        submitted: sums.submitted,
        succeeded: sums.succeeded,
        failed: sums.failed,
        cancelled: sums.cancelled,
        mean_wait_seconds: (sums.started > 0).then(|| sums.wait_ms as f64 / sums.started as f64 / 1e3),
        tokens: sums.tokens,
        cost_usd: sums.cost_usd_micros as f64 / 1e6,
        failed_cost_usd: sums.failed_cost_usd_micros as f64 / 1e6,
    }
}

/// What is scraped.
pub(super) async fn metrics(context: &Context) -> Result<MetricsView, Problem> {
    let (queue, agents) = context
        .engine
        .look(|machine, now| {
            let mut agents: BTreeMap<String, u64> = BTreeMap::new();
            for image in machine.state().agents() {
                *agents.entry(view::agent_view(machine, image).state).or_default() += 1;
            }
            (view::queue_view(machine, now), agents)
        })
        .await?;
    let status = read::status(context).await?;
    let tally = context.follower.history().tally();
    let appends = &context.engine.gate().counters.appends;
    let volumes = [("state", &context.state_dir), ("workspace", &context.workspace)];
    Ok(MetricsView {
        counters: status.counters,
        queue,
        agents: agents.into_iter().collect(),
        runners: tally.runners.iter().map(|(name, tally)| runner(name, tally)).collect(),
        queue_wait: histogram(&tally.wait),
        log_append: appends.seconds(),
        log_batch: appends.events(),
        history_lag_events: status.history_lag,
        output_bytes: context.hub.bytes(),
        volumes: volumes
            .into_iter()
            .filter_map(|(name, path)| {
                let space = conductor_runtime::volume::space(path).ok()?;
                Some(Volume { name: name.to_owned(), free_bytes: space.free_bytes })
            })
            .collect(),
        deliveries: Default::default(),
    })
}

fn runner(name: &Name, tally: &history::RunnerTally) -> RunnerMetrics {
    RunnerMetrics {
        runner: name.to_string(),
        submitted: tally.submitted,
        succeeded: tally.succeeded,
        failed: tally.failed,
        cancelled: tally.cancelled,
        run: histogram(&tally.run),
        input_tokens: tally.input_tokens,
        output_tokens: tally.output_tokens,
        cached_input_tokens: tally.cached_input_tokens,
        cost_usd: tally.cost_usd_micros as f64 / 1e6,
    }
}

fn histogram(durations: &Durations) -> Histogram {
    Histogram {
        bounds: history::BOUNDS_MS.iter().map(|bound| *bound as f64 / 1e3).collect(),
        counts: durations.buckets.to_vec(),
        sum: durations.sum_ms as f64 / 1e3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(seconds: u64, step_seconds: u64) -> Result<(u32, usize), Problem> {
        let query = query(TrendsCall { seconds, step_seconds }, None, Wall(0))?;
        Ok((query.step_minutes, query.steps))
    }

    #[test]
    fn steps_are_whole_minutes_and_whole_hours_where_minutes_are_not_kept() {
        assert_eq!(asked(3_600, 60), Ok((1, 60)));
        assert_eq!(asked(3_600, 90), Ok((2, 30)));
        assert_eq!(asked(7 * 86_400, 900), Ok((60, 168)));
        assert_eq!(asked(30 * 86_400, 86_400), Ok((1_440, 30)));
    }

    #[test]
    fn what_makes_no_or_too_many_steps_is_refused_by_its_name() {
        let pointer = |asked: Result<_, Problem>| asked.expect_err("refused").errors[0].pointer.clone();
        assert_eq!(pointer(asked(0, 0)), "/seconds");
        assert_eq!(pointer(asked(60, 61)), "/seconds");
        assert_eq!(pointer(asked(u64::MAX, 60)), "/seconds");
        assert_eq!(pointer(asked(2 * 86_400, 60)), "/step_seconds");
    }
}
