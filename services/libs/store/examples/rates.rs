//! Prints how fast the log and the history are on this machine, in a directory of this disk:
//! `cargo run --release -p conductor-store --features conformance --example rates [DIRECTORY]`.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::time::{Duration, Instant};

use conductor_core::{
    AgentId, AttemptEnd, Event, EventKind, Header, Incarnation, Outcome, Part, Report, Seq, StageImage,
    TaskId, Wall,
};
use conductor_store::conformance::samples;
use conductor_store::history::{self, History, Query, State, StatsQuery};
use conductor_store::log::{Appended, Batch, BatchId, EventLog, Payload, PayloadKey, Payloads, Read, sqlite};
use conductor_store::record;
use conductor_store::state_dir::StateDir;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A payload as a short task has.
const PAYLOAD: &[u8] = br#"{"prompt":"Say hello to whoever reads this, and then say what the weather is like where you are","runner":"mock","labels":{"team":"x"}}"#;

/// Batches that the engine has under way.
const IN_FLIGHT: usize = 2;

/// Tasks in the snapshot that is loaded.
const MILLION: u64 = 1_000_000;

/// Events that History takes in together.
const STRETCH: usize = 20_000;

fn main() -> Result<()> {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let root = tempfile::Builder::new().prefix("rates-").tempdir_in(parent)?;
    disk(root.path())?;
    records();
    let state = root.path().join("state");
    let dir = Arc::new(StateDir::lock(&state)?);
    let log = sqlite::open(&dir, &sqlite::Options::default())?;
    let mut feed = Feed { next: 1, log: &log };
    feed.rate("append, 1 task, one at a time", 1, 2_000, 1)?;
    feed.rate("append, 5 tasks a batch", 5, 4_000, IN_FLIGHT)?;
    feed.rate("append, 15 tasks a batch", 15, 4_000, IN_FLIGHT)?;
    feed.rate("append, 100 tasks a batch", 100, 9_000, IN_FLIGHT)?;
    feed.finish_some()?;
    payloads(&log)?;
    follow(&dir, &log)?;
    snapshot(&log)?;
    for name in [sqlite::FILE, history::sqlite::FILE] {
        println!("{name:<42} {:>9} MiB", std::fs::metadata(state.join(name))?.len() >> 20);
    }
    copy(&state, &root.path().join("killed"))?;
    Clock::time("close the log", 1, || log.close());
    drop((log, dir));
    reopen("open what was closed", &state)?;
    reopen("open what was killed", &root.path().join("killed"))
}

/// Prints how long something took, and how much of a processor.
struct Clock {
    started: Instant,
    cpu: Duration,
}

impl Clock {
    fn start() -> Self {
        Self { started: Instant::now(), cpu: cpu() }
    }

    fn print(&self, what: &str, count: u64) {
        let (time, cpu) = (self.started.elapsed().as_secs_f64(), (cpu() - self.cpu).as_secs_f64());
        let each = |seconds: f64| seconds * 1e6 / count as f64;
        let rate = count as f64 / time;
        let (time, each, cpu) = (time * 1e3, each(time), each(cpu));
        println!("{what:<42} {time:>9.1} ms {each:>11.2} us each {cpu:>9.2} us cpu {rate:>10.0} /s");
    }

    fn time<T>(what: &str, count: u64, work: impl FnOnce() -> T) -> T {
        let clock = Self::start();
        let result = work();
        clock.print(what, count);
        result
    }
}

/// Processor time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What the disk does: 4 KiB append and fdatasync to a growing file.
fn disk(root: &Path) -> Result<()> {
    let mut file = File::create(root.join("disk"))?;
    let clock = Clock::start();
    for _ in 0..500 {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    clock.print("disk: 4 KiB append and fdatasync", 500);
    Ok(())
}

fn records() {
    let events: Vec<Event> = (0..100_000).map(|id| samples::submitted(id, Wall(1_700_000_000_000))).collect();
    let mut bytes = Vec::new();
    Clock::time("encode a submitted task", 100_000, || record::encode_events(&events, &mut bytes));
    println!("{:<42} {:>9} bytes", "", bytes.len() / 100_000);
    let read = || record::Decoder::default().events(&bytes, 100_000).expect("reads what was written");
    drop(Clock::time("decode a submitted task", 100_000, read));
}

struct Feed<'a> {
    next: u64,
    log: &'a sqlite::SqliteLog,
}

/// Spreads numbers like the random bits of an id that begins with the time.
fn id(number: u64) -> u128 {
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (u128::from(1_700_000_000_000 + number / 100) << 80) | u128::from(random)
}

impl Feed<'_> {
    fn batch(&mut self, tasks: u64) -> Arc<Batch> {
        let ids: Vec<u128> = (self.next..self.next + tasks).map(id).collect();
        let payloads =
            ids.iter().map(|id| Payload { key: PayloadKey(*id), bytes: PAYLOAD.to_vec() }).collect();
        let events = ids.iter().map(|id| samples::submitted(*id, Wall(1_700_000_000_000))).collect();
        self.events(events, payloads)
    }

    fn events(&mut self, events: Vec<Event>, payloads: Vec<Payload>) -> Arc<Batch> {
        let (id, expected_seq) = (BatchId(self.next.into()), Seq(self.next - 1));
        self.next += events.len() as u64;
        let fence = self.log.fence();
        Arc::new(Batch { id, fence, expected_seq, events, payloads, deleted_payloads: Vec::new() })
    }

    fn rate(&mut self, what: &str, tasks: u64, batches: u64, in_flight: usize) -> Result<()> {
        let made: Vec<Arc<Batch>> = (0..batches).map(|_| self.batch(tasks)).collect();
        self.send(what, made, batches * tasks, in_flight)
    }

    /// The lives of the first 100,000 tasks, a thousand at a time.
    fn finish_some(&mut self) -> Result<()> {
        let mut made = Vec::new();
        for thousand in 0..100 {
            let tasks: Vec<TaskId> =
                (1 + thousand * 1_000..=(thousand + 1) * 1_000).map(|n| TaskId(id(n))).collect();
            let at = Wall(1_700_000_100_000);
            let mut add = |kind: &dyn Fn(TaskId) -> EventKind| {
                let events = tasks.iter().map(|task| Event { at, kind: kind(*task) }).collect();
                made.push(self.events(events, Vec::new()));
            };
            let lease = samples::lease(1);
            add(&|task| EventKind::TaskAssigned {
                task,
                agent: AgentId(7),
                lease,
                attempt: 1,
                runner: samples::name("mock"),
            });
            add(&|task| EventKind::TaskStarted { task, lease });
            add(&|task| {
                let report = Box::new(Report {
                    result_json: Some(r#"{"summary":"hello"}"#.into()),
                    ..Report::default()
                });
                EventKind::AttemptEnded { task, lease, end: AttemptEnd::Succeeded, report }
            });
            add(&|task| EventKind::TaskFinished { task, outcome: Outcome::Succeeded, by: None });
        }
        self.send("append, 1,000 events of lives a batch", made, 400_000, IN_FLIGHT)
    }

    fn send(&self, what: &str, made: Vec<Arc<Batch>>, count: u64, in_flight: usize) -> Result<()> {
        let (permit, permits) = sync_channel(in_flight);
        for _ in 0..in_flight {
            permit.send(())?;
        }
        let (answer, answers) = channel();
        let batches = made.len();
        let clock = Clock::start();
        for batch in made {
            permits.recv()?;
            let (permit, answer, sent) = (permit.clone(), answer.clone(), Instant::now());
            let done = move |appended| {
                assert!(matches!(appended, Appended::Durable), "{appended:?}");
                // Nobody waits for the last permits.
                let _ = permit.send(());
                answer.send(sent.elapsed()).expect("the example waits");
            };
            self.log.append(batch, Box::new(done));
        }
        let mut times: Vec<Duration> =
            (0..batches).map(|_| answers.recv()).collect::<std::result::Result<_, _>>()?;
        clock.print(what, count);
        times.sort();
        let at = |part: usize| times[(times.len() - 1) * part / 1_000].as_secs_f64() * 1e3;
        println!("{:<42} p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms", "", at(500), at(990), at(1_000));
        Ok(())
    }
}

fn payloads(log: &sqlite::SqliteLog) -> Result<()> {
    let keys: Vec<PayloadKey> = (1..=100_000).map(|number| PayloadKey(id(number))).collect();
    let clock = Clock::start();
    for keys in keys.chunks(100) {
        let found = log.payloads(keys)?;
        assert!(found.iter().all(Option::is_some));
    }
    clock.print("read a payload, 100 at a time", 100_000);
    Ok(())
}

/// Feeds History with everything that the log holds.
fn follow(dir: &Arc<StateDir>, log: &sqlite::SqliteLog) -> Result<()> {
    let history = history::sqlite::open(dir)?;
    let id = log.status().log;
    let clock = Clock::start();
    while history.applied() < log.status().last {
        let Read::Events(stretch) = log.read_after(history.applied(), STRETCH)? else {
            return Err("nothing was trimmed".into());
        };
        history.apply(id, &stretch, log)?;
    }
    history.sync()?;
    clock.print("follow the log, an event", history.applied().0);
    let list = |what: &str, query: Query| -> Result<()> {
        let page = Clock::time(what, 1, || history.list(&query))?;
        println!("{:<42} {} tasks", "", page.tasks.len());
        Ok(())
    };
    list("list the newest 500", Query::default())?;
    list(
        "list the newest 50 that succeeded",
        Query { states: vec![State::Succeeded], limit: 50, ..Query::default() },
    )?;
    let visible = Some(vec![samples::name("default")]);
    list("list the newest 50 that may be seen", Query { visible, limit: 50, ..Query::default() })?;
    list("search for what is not there", Query { text: Some("nowhere".to_owned()), ..Query::default() })?;
    Clock::time("statistics", 1, || history.stats(&StatsQuery::default()))?;
    Clock::time("close the history", 1, || history.close());
    Ok(())
}

fn snapshot(log: &sqlite::SqliteLog) -> Result<()> {
    let seq = log.status().last;
    let clock = Clock::start();
    let mut writer = log.begin_snapshot(seq)?;
    let (incarnation, queue_clock) = (Incarnation(1), Wall(0));
    writer.write(Part::Header(Header { seq, incarnation, next_lease: 1, paused: false, queue_clock }))?;
    for number in 0..MILLION {
        let stage = StageImage::Queued { queued_at: Wall(1_700_000_000_000) };
        writer.write(Part::Task(Box::new(samples::task_image(id(number), stage))))?;
    }
    writer.commit()?;
    clock.print("write a snapshot of a million tasks", MILLION);
    let first = Clock::time("trim half of the events", seq.0 / 2, || log.trim(Seq(seq.0 / 2)))?;
    println!("{:<42} events from {first} on are left", "");
    Ok(())
}

/// Copies the files of a log in use, as a kill would leave them.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(sqlite::FILE) {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn reopen(what: &str, state: &Path) -> Result<()> {
    let dir = Arc::new(StateDir::lock(state)?);
    let log = Clock::time(what, 1, || sqlite::open(&dir, &sqlite::Options::default()))?;
    let clock = Clock::start();
    let stored = log.load()?;
    let (_, parts) = stored.snapshot.ok_or("there is a snapshot")?;
    for part in parts {
        std::hint::black_box(part?);
    }
    for stretch in stored.tail {
        std::hint::black_box(stretch?);
    }
    clock.print("load a snapshot of a million tasks", MILLION);
    Ok(())
}
