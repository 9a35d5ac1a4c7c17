//! `/bin/true` as a task, run by the agent with everything that belongs to a run.

use std::io;
use std::time::{Duration, Instant};

use super::cpu;
use super::load::{Load, Until};
use super::programs::{self, Home};
use super::report::Bar;
use super::suite::{PARALLEL, Suite};
use super::wire;

const TASK: &str = r#"{"command":["/bin/true"]}"#;
const TOGETHER: u64 = 100;
const LOOK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures how many are done a second.
pub fn run(suite: &mut Suite<'_>) -> io::Result<()> {
    let tasks: u64 = suite.size(1_000, 5_000);
    let home = suite.home()?;
    let (orchestrator, _) = home.orchestrator()?;
    let agent = home.agent(u32::try_from(PARALLEL).expect("a few"))?;
    // Warm, and known to work, before the clock runs.
    submit(&home, TOGETHER)?;
    wait_for_none(&home)?;

    let programs = [
        ("orchestrator", orchestrator.pid()),
        ("agent", worker(agent.pid())),
        ("generator", std::process::id()),
    ];
    let before = cpu::read(&programs);
    let begin = Instant::now();
    submit(&home, tasks)?;
    wait_for_none(&home)?;
    let rate = tasks as f64 / begin.elapsed().as_secs_f64();
    let usage = before.until(&cpu::read(&programs));
    let measure = format!("/bin/true with run folders, {PARALLEL} at once");
    suite.report.add_used(measure, rate, "tasks/s", Bar::Spawns(0.6), usage);
    agent.stop()?;
    orchestrator.stop()
}

fn submit(home: &Home, tasks: u64) -> io::Result<()> {
    let bodies = vec![TASK; usize::try_from(TOGETHER).expect("a hundred")].join(",");
    let frame = wire::frame(&format!(r#"{{"id":1,"call":{{"submit":{{"tasks":[{bodies}]}}}}}}"#));
    Load::open(home, 1, frame)?.run(Until::Answers(tasks / TOGETHER)).map(drop)
}

/// Waits until no task is left.
fn wait_for_none(home: &Home) -> io::Result<()> {
    let begin = Instant::now();
    let mut control = home.control()?;
    loop {
        let queue = programs::ask(&mut control, "\"queue\"")?;
        if programs::live(&queue) == 0 {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("the tasks are not done: {queue}")));
        }
        std::thread::sleep(LOOK);
    }
}

/// The worker below the monitor.
fn worker(monitor: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{monitor}/task/{monitor}/children"));
    let first = children.ok().and_then(|pids| pids.split_ascii_whitespace().next()?.parse().ok());
    first.unwrap_or(monitor)
}
