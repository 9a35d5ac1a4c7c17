//! Tasks that take no time, done by two agents that only speak the protocol.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::agent::Agent;
use super::load::{self, Load, Until};
use super::programs;
use super::report::Bar;
use super::suite::{self, Suite};

const AGENTS: u32 = 2;
const SLOTS: u32 = 1_000;

/// Measures how many are done a second.
pub fn run(suite: &mut Suite<'_>) -> io::Result<()> {
    let tasks: usize = suite.size(20_000, 100_000);
    let home = suite.home()?;
    let (orchestrator, _) = home.orchestrator()?;
    let mut load = Load::open(&home, 4, load::submit_frame(100))?;
    load.run(Until::Answers(tasks as u64 / 100))?;
    drop(load);

    let before = suite::reading(&orchestrator);
    let begin = Instant::now();
    let done = Arc::new(AtomicUsize::new(0));
    let agents = (1..=AGENTS).map(|number| {
        let done = done.clone();
        Agent::start(&home, number, SLOTS, move |acknowledged| {
            done.fetch_add(acknowledged, Ordering::Relaxed) + acknowledged >= tasks
        })
    });
    let agents: Vec<Agent> = agents.collect::<io::Result<_>>()?;
    while done.load(Ordering::Relaxed) < tasks && !agents.iter().all(Agent::is_over) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let took = begin.elapsed().as_secs_f64();
    let usage = before.until(&suite::reading(&orchestrator));
    let rate = tasks as f64 / took;
    let measure = format!("no-op tasks done by {AGENTS} agents, {tasks} queued");
    suite.report.add_used(measure, rate, "tasks/s", Bar::AtLeast(25_000.0), usage);
    let queue = programs::ask(&mut home.control()?, "\"queue\"")?;
    let left = programs::live(&queue);
    if left > 0 {
        return Err(io::Error::other(format!("{left} tasks are left in the queue: {queue}")));
    }
    // One agent saw the last report; the other ends with the orchestrator.
    orchestrator.stop()?;
    let ends = agents.into_iter().map(Agent::join);
    let ended = ends.filter(|end| end.is_ok()).count();
    if ended == 0 { Err(io::Error::other("no agent ended well")) } else { Ok(()) }
}
