//! Submits of one task each, from many connections.

use std::io;
use std::time::Duration;

use super::load::{self, Load, Until};
use super::report::Bar;
use super::suite::{self, Suite};

/// Measures how many are acknowledged a second.
pub fn run(suite: &mut Suite<'_>) -> io::Result<()> {
    for (connections, bar) in [(1, Bar::Disk(0.0)), (32, Bar::Disk(5.0)), (128, Bar::Disk(12.0))] {
        let home = suite.home()?;
        let (orchestrator, _) = home.orchestrator()?;
        let mut load = Load::open(&home, connections, load::submit_frame(1))?;
        load.run(Until::Time(Duration::from_millis(300)))?;
        let before = suite::reading(&orchestrator);
        let time = suite.size(Duration::from_secs(2), Duration::from_secs(6));
        let (answered, took) = load.run(Until::Time(time))?;
        let usage = before.until(&suite::reading(&orchestrator));
        let rate = answered as f64 / took.as_secs_f64();
        let measure = format!("submits, 1 task each, {connections} connections");
        suite.report.add_used(measure, rate, "submits/s", bar, usage);
        orchestrator.stop()?;
    }
    Ok(())
}
