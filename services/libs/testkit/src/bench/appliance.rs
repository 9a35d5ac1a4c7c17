//! The container: how long it takes to be healthy, what it takes of memory at rest, and how large our layers are.

use std::io;
use std::time::Duration;

use conductor_testkit::appliance::{Options, Stack, own_bytes};

use super::report::Bar;
use super::suite::{Suite, median};

/// What the container and the orchestrator in it may take at rest, as a sum of proportional set sizes.
const MOST_MIB: f64 = 80.0;
const MOST_ORCHESTRATOR_MIB: f64 = 20.0;
/// What our layers may take over the base, without the coding CLIs.
const MOST_LAYERS_MB: f64 = 150.0;
/// How long it may take from up to healthy, of every container.
const MOST_SECONDS: f64 = 5.0;

/// Measures the container without a task.
pub fn run(suite: &mut Suite<'_>) -> io::Result<()> {
    // It says by itself why it is skipped.
    let Some(stack) = Stack::new(&Options::default()) else { return Ok(()) };
    let mut times = Vec::new();
    for _ in 0..suite.size(1, 3) {
        stack.must(&["down", "--volumes"]);
        times.push(stack.up().as_secs_f64());
    }
    let unit = "s";
    suite.report.add(
        "compose up to healthy, new volumes",
        median(&mut times),
        unit,
        Bar::AtMost(MOST_SECONDS),
    );
    stack.must(&["down"]);
    let again = stack.up().as_secs_f64();
    suite.report.add("compose up to healthy, again", again, unit, Bar::AtMost(MOST_SECONDS));
    std::thread::sleep(Duration::from_secs(5));
    let memory = stack.memory_kib();
    let of = |call: &str| {
        let named = memory.iter().filter(|(process, _)| process.command.contains(call));
        named.map(|(_, kib)| *kib).sum::<u64>() as f64 / 1024.0
    };
    suite.report.add("container at rest, PSS of all", of(""), "MiB", Bar::AtMost(MOST_MIB));
    let orchestrator = of("conductor-orchestrator");
    suite.report.add("orchestrator in it", orchestrator, "MiB", Bar::AtMost(MOST_ORCHESTRATOR_MIB));
    suite.report.add("supervisord in it", of("/usr/bin/supervisord"), "MiB", Bar::None);
    if let Some(bytes) = own_bytes() {
        suite.report.add("our layers over the base", bytes as f64 / 1e6, "MB", Bar::AtMost(MOST_LAYERS_MB));
    }
    Ok(())
}
