//! A long queue: how fast it grows in hundreds, what it weighs, how fast it is there again after a start.

use std::io;
use std::time::Duration;

use super::load::{self, Load, Until};
use super::programs::{Home, Program};
use super::report::Bar;
use super::suite::{self, Suite};

const MIB: f64 = (1u64 << 20) as f64;
const TOGETHER: usize = 100;
const CONNECTIONS: usize = 4;

/// Measures with a million tasks; with a tenth of them when it has to be quick.
pub fn run(suite: &mut Suite<'_>) -> io::Result<()> {
    let all: u64 = suite.size(100_000, 1_000_000);
    let (first, rest) = (100_000, all - 100_000);
    let home = suite.home()?;
    let (orchestrator, _) = home.orchestrator()?;
    std::thread::sleep(Duration::from_secs(1));
    let (at_rest, _) = orchestrator.memory()?;

    let before = suite::reading(&orchestrator);
    let rate = submit(&home, first)?;
    let usage = before.until(&suite::reading(&orchestrator));
    let bar = Bar::AtLeast(100_000.0);
    suite.report.add_used("tasks in hundreds, the first 100,000", rate, "tasks/s", bar, usage);
    memory(suite, &orchestrator, first)?;
    if rest > 0 {
        let before = suite::reading(&orchestrator);
        let rate = submit(&home, rest)?;
        let usage = before.until(&suite::reading(&orchestrator));
        suite.report.add_used(format!("tasks in hundreds, up to {all}"), rate, "tasks/s", bar, usage);
        memory(suite, &orchestrator, all)?;
    }

    let before = suite::reading(&orchestrator);
    let took = home.caught_up()?;
    let usage = before.until(&suite::reading(&orchestrator));
    suite.report.add_used("History caught up", took.as_secs_f64(), "s", Bar::AtMost(60.0), usage);
    weigh(suite, "as it grew", &orchestrator, at_rest, all, Bar::None)?;
    started_again(suite, &home, orchestrator, (at_rest, all))
}

/// Submits so many tasks in hundreds; answers the rate.
fn submit(home: &Home, tasks: u64) -> io::Result<f64> {
    let mut load = Load::open(home, CONNECTIONS, load::submit_frame(TOGETHER))?;
    let (answered, took) = load.run(Until::Answers(tasks / TOGETHER as u64))?;
    Ok((answered * TOGETHER as u64) as f64 / took.as_secs_f64())
}

fn memory(suite: &mut Suite<'_>, orchestrator: &Program, queued: u64) -> io::Result<()> {
    let (resident, highest) = orchestrator.memory()?;
    suite.report.add(format!("memory, {queued} just queued"), resident as f64 / MIB, "MiB", Bar::None);
    suite.report.add(
        format!("memory, {queued} just queued, highest"),
        highest as f64 / MIB,
        "MiB",
        Bar::None,
    );
    Ok(())
}

fn weigh(
    suite: &mut Suite<'_>,
    when: &str,
    orchestrator: &Program,
    at_rest: u64,
    queued: u64,
    bar: Bar,
) -> io::Result<()> {
    let (resident, _) = orchestrator.memory()?;
    suite.report.add(format!("memory, {queued} queued, {when}"), resident as f64 / MIB, "MiB", Bar::None);
    let each = resident.saturating_sub(at_rest) as f64 / queued as f64;
    suite.report.add(format!("memory of a queued task, {when}"), each, "bytes", bar);
    Ok(())
}

/// Starts again, once after a clean end and once after a kill.
fn started_again(
    suite: &mut Suite<'_>,
    home: &Home,
    orchestrator: Program,
    (at_rest, all): (u64, u64),
) -> io::Result<()> {
    orchestrator.stop()?;
    let (orchestrator, ready) = home.orchestrator()?;
    let bar = Bar::AtMost(5.0);
    suite.report.add(format!("start-up, {all} queued"), ready.as_secs_f64(), "s", bar);
    std::thread::sleep(Duration::from_secs(1));
    weigh(suite, "after a start", &orchestrator, at_rest, all, Bar::AtMost(500.0))?;
    orchestrator.kill()?;
    let (orchestrator, ready) = home.orchestrator()?;
    suite.report.add(format!("start-up, {all} queued, after a kill"), ready.as_secs_f64(), "s", bar);
    orchestrator.stop()
}
