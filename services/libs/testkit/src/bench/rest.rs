//! The orchestrator with nothing to do.

use std::io;
use std::time::Duration;

use super::report::Bar;
use super::suite::Suite;

const MIB: f64 = (1u64 << 20) as f64;

/// Measures the memory at rest.
pub fn run(suite: &mut Suite<'_>) -> io::Result<()> {
    let home = suite.home()?;
    let (orchestrator, ready) = home.orchestrator()?;
    suite.report.add("start-up of a new home", ready.as_secs_f64() * 1e3, "ms", Bar::None);
    std::thread::sleep(Duration::from_secs(2));
    let (resident, highest) = orchestrator.memory()?;
    suite.report.add("memory at rest", resident as f64 / MIB, "MiB", Bar::AtMost(20.0));
    suite.report.add("memory at rest, highest", highest as f64 / MIB, "MiB", Bar::None);
    orchestrator.stop()
}
