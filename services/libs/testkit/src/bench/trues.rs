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

    let worker = cpu::children(agent.pid()).first().copied().unwrap_or(agent.pid());
    let keepers = cpu::children(worker);
    let mut programs =
        vec![("orchestrator", orchestrator.pid()), ("worker", worker), ("generator", std::process::id())];
    programs.extend(keepers.iter().map(|pid| ("keeper", *pid)));
    let commits = commits_of(&home)?;
    let before = cpu::read(&programs);
    let begin = Instant::now();
    submit(&home, tasks)?;
    wait_for_none(&home)?;
    let rate = tasks as f64 / begin.elapsed().as_secs_f64();
    let usage = before.until(&cpu::read(&programs));
    println!(
        "  commits of the event log for each task: {:.2}",
        (commits_of(&home)? - commits) / tasks as f64
    );
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

/// How often the orchestrator waited for the disk since its start.
fn commits_of(home: &Home) -> io::Result<f64> {
    let status = programs::ask(&mut home.control()?, "\"status\"")?;
    status["counters"]["batches"].as_f64().ok_or_else(|| io::Error::other(format!("no counters in {status}")))
}
