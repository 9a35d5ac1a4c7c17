//! One task at a time on an idle system.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::agent::Agent;
use super::load;
use super::machine::IdleDisk;
use super::report::Bar;
use super::suite::{self, Suite, median, millis, percentile};
use super::wire::Connection;

/// Between two tasks, so that each finds the system idle.
const PAUSE: Duration = Duration::from_millis(10);

/// Measures from the submit to the news that the task is over.
pub fn run(suite: &mut Suite<'_>) -> io::Result<()> {
    let tasks = suite.size(100, 400);
    let home = suite.home()?;
    let (orchestrator, _) = home.orchestrator()?;
    let agent = Agent::start(&home, 1, 4, |_| false)?;
    let mut events = home.control()?;
    events.say(r#"{"id":1,"call":{"events":{"follow":true}}}"#)?;
    let mut control = home.control()?;
    // The first one waits for the agent, and says that events are followed.
    told(&mut control, &mut events)?;

    let before = suite::reading(&orchestrator);
    let mut disk = IdleDisk::new(&suite.args.dir)?;
    let mut written = Vec::new();
    let mut acknowledged = Vec::new();
    let mut finished = Vec::new();
    for _ in 0..tasks {
        // A disk that has nothing to do takes longer for a write than one that is kept busy: it is asked in turn.
        std::thread::sleep(PAUSE);
        written.push(millis(disk.write()?));
        std::thread::sleep(PAUSE);
        let (first, second) = told(&mut control, &mut events)?;
        acknowledged.push(first);
        finished.push(second);
    }
    let usage = before.until(&suite::reading(&orchestrator));
    let write = median(&mut written);
    suite.report.add("idle: disk, 4 KiB append + fdatasync, p50", write, "ms", Bar::None);
    let bar = |writes| Bar::DiskWrites { writes, each_ms: write };
    suite.report.add("idle: submit to acknowledged, p50", median(&mut acknowledged), "ms", Bar::None);
    let p99 = percentile(&mut finished, 99);
    let p50 = median(&mut finished);
    suite.report.add_used("idle: submit to task_finished, p50", p50, "ms", bar(2.5), usage);
    suite.report.add("idle: submit to task_finished, p99", p99, "ms", Bar::None);
    // A virtual machine's core takes about a tenth of a millisecond to wake, and a task wakes several one after the other.
    let awake = Awake::begin();
    let mut written = Vec::new();
    let mut finished = Vec::new();
    for _ in 0..tasks {
        std::thread::sleep(PAUSE);
        written.push(millis(disk.write()?));
        std::thread::sleep(PAUSE);
        finished.push(told(&mut control, &mut events)?.1);
    }
    drop(awake);
    let what = "the same with the cores kept awake, p50";
    let bar = Bar::DiskWrites { writes: 2.5, each_ms: median(&mut written) };
    suite.report.add(what, median(&mut finished), "ms", bar);
    drop(events);

    let mut waited = Vec::new();
    for _ in 0..tasks {
        std::thread::sleep(PAUSE);
        waited.push(wait(&mut control)?);
    }
    let p99 = percentile(&mut waited, 99);
    suite.report.add("idle: submit to the answer of wait, p50", median(&mut waited), "ms", Bar::None);
    suite.report.add("idle: submit to the answer of wait, p99", p99, "ms", Bar::None);
    orchestrator.stop()?;
    // It ends with the orchestrator.
    drop(agent.join());
    Ok(())
}

/// Keeps the cores from falling asleep, and gives way to whoever wants them.
struct Awake {
    goes_on: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Awake {
    fn begin() -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..cores).map(|_| {
            let goes_on = Arc::clone(&goes_on);
            std::thread::spawn(move || {
                // Of this thread alone. Without it the figure is worse, and no other is touched.
                let _nicer = rustix::process::setpriority_process(None, 19);
                while goes_on.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        });
        let threads = threads.collect();
        Self { goes_on, threads }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.goes_on.store(false, Ordering::Relaxed);
        // One that panicked does not spin either.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Submits a task; answers when it was acknowledged and when the event of its end came.
fn told(control: &mut Connection, events: &mut Connection) -> io::Result<(f64, f64)> {
    let begin = Instant::now();
    control.send(&load::submit_frame(1))?;
    let id = id(control.hear()?)?;
    let acknowledged = begin.elapsed();
    loop {
        let event = events.hear()?;
        if event.contains("\"task_finished\"") && event.contains(&id) {
            return Ok((millis(acknowledged), millis(begin.elapsed())));
        }
    }
}

/// Submits a task and waits for it.
fn wait(control: &mut Connection) -> io::Result<f64> {
    let begin = Instant::now();
    control.send(&load::submit_frame(1))?;
    let id = id(control.hear()?)?;
    control.say(&format!(r#"{{"id":2,"call":{{"wait":{{"id":"{id}","timeout_ms":10000}}}}}}"#))?;
    let answer = control.hear()?;
    if answer.contains("\"state\":\"succeeded\"") {
        return Ok(millis(begin.elapsed()));
    }
    Err(io::Error::other(format!("the wait was answered with {answer}")))
}

/// The id in the answer to a submit of one task.
fn id(answer: &str) -> io::Result<String> {
    let found = answer.split_once(r#""ids":[""#).and_then(|(_, rest)| rest.split_once('"'));
    found.map(|(id, _)| id.to_owned()).ok_or_else(|| io::Error::other(format!("no id in {answer}")))
}
