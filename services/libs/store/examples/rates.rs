//! Prints how fast the log and the history are on this machine, in a directory of this disk:
//! `cargo run --release -p conductor-store --features conformance --example rates [DIRECTORY]`.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::time::{Duration, Instant};

use conductor_core::{Event, Header, Incarnation, Part, Seq, StageImage, Wall};
use conductor_store::conformance::samples;
use conductor_store::log::{Appended, Batch, BatchId, EventLog, Payload, PayloadKey, sqlite};
use conductor_store::record;
use conductor_store::state_dir::StateDir;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Bytes of a task's payload.
const PAYLOAD_BYTES: usize = 150;

/// Batches that the engine has under way.
const IN_FLIGHT: usize = 2;

/// Tasks in the snapshot that is loaded.
const MILLION: u64 = 1_000_000;

fn main() -> Result<()> {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let root = tempfile::Builder::new().prefix("rates-").tempdir_in(parent)?;
    disk(root.path())?;
    records();
    let dir = Arc::new(StateDir::lock(root.path().join("state"))?);
    let log = sqlite::open(&dir, &sqlite::Options::default())?;
    let mut feed = Feed { next: 1, log: &log };
    feed.rate("append, 100 tasks a batch", 100, 4_000, IN_FLIGHT)?;
    feed.rate("append, 15 tasks a batch", 15, 4_000, IN_FLIGHT)?;
    feed.rate("append, 5 tasks a batch", 5, 4_000, IN_FLIGHT)?;
    feed.rate("append, 1 task, one at a time", 1, 2_000, 1)?;
    payloads(&log)?;
    snapshot(&log)?;
    let started = Instant::now();
    log.close();
    print("close", started.elapsed(), 1);
    let started = Instant::now();
    let log = sqlite::open(&dir, &sqlite::Options::default())?;
    print("open after a close", started.elapsed(), 1);
    load(&log)?;
    Ok(())
}

fn print(what: &str, time: Duration, count: u64) {
    let each = time.as_secs_f64() * 1e6 / count as f64;
    println!("{what:<42} {:>9.1} ms {:>9.2} us each {:>11.0} /s", time.as_secs_f64() * 1e3, each, 1e6 / each);
}

/// What the disk does: 4 KiB append and fdatasync to a growing file.
fn disk(root: &Path) -> Result<()> {
    let mut file = File::create(root.join("disk"))?;
    let started = Instant::now();
    for _ in 0..1_000 {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    print("disk: 4 KiB append and fdatasync", started.elapsed(), 1_000);
    Ok(())
}

fn records() {
    let events: Vec<Event> = (0..100_000).map(|id| samples::submitted(id, Wall(1_700_000_000_000))).collect();
    let mut bytes = Vec::new();
    let started = Instant::now();
    record::encode_events(&events, &mut bytes);
    print("encode a submitted task", started.elapsed(), 100_000);
    println!("{:<42} {:>9} bytes", "", bytes.len() / 100_000);
    let started = Instant::now();
    let read = record::Decoder::default().events(&bytes, 100_000).expect("reads what was written");
    print("decode a submitted task", started.elapsed(), read.len() as u64);
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
        let batch = Batch {
            id: BatchId(self.next.into()),
            fence: self.log.fence(),
            expected_seq: Seq(self.next - 1),
            events: ids.iter().map(|id| samples::submitted(*id, Wall(1_700_000_000_000))).collect(),
            payloads: ids
                .iter()
                .map(|id| Payload { key: PayloadKey(*id), bytes: vec![b'x'; PAYLOAD_BYTES] })
                .collect(),
            deleted_payloads: Vec::new(),
        };
        self.next += tasks;
        Arc::new(batch)
    }

    fn rate(&mut self, what: &str, tasks: u64, batches: u64, in_flight: usize) -> Result<()> {
        let made: Vec<Arc<Batch>> = (0..batches).map(|_| self.batch(tasks)).collect();
        let (permit, permits) = sync_channel(in_flight);
        for _ in 0..in_flight {
            permit.send(())?;
        }
        let (answer, answers) = channel();
        let busy = cpu();
        let started = Instant::now();
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
        let time = started.elapsed();
        times.sort();
        print(what, time, batches * tasks);
        let at = |part: usize| times[(times.len() - 1) * part / 1_000].as_secs_f64() * 1e3;
        println!(
            "{:<42} p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms, cpu {:.2} us a task",
            "",
            at(500),
            at(990),
            at(1_000),
            (cpu() - busy).as_secs_f64() * 1e6 / (batches * tasks) as f64
        );
        Ok(())
    }
}

/// Processor time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn payloads(log: &sqlite::SqliteLog) -> Result<()> {
    use conductor_store::log::Payloads;
    let keys: Vec<PayloadKey> = (1..=100_000).map(|number| PayloadKey(id(number))).collect();
    let started = Instant::now();
    for keys in keys.chunks(100) {
        let found = log.payloads(keys)?;
        assert!(found.iter().all(Option::is_some));
    }
    print("read a payload, 100 at a time", started.elapsed(), 100_000);
    Ok(())
}

fn snapshot(log: &sqlite::SqliteLog) -> Result<()> {
    let last = log.status().last;
    let started = Instant::now();
    let mut writer = log.begin_snapshot(last)?;
    writer.write(Part::Header(Header {
        seq: last,
        incarnation: Incarnation(1),
        next_lease: 1,
        paused: false,
        queue_clock: Wall(0),
    }))?;
    for number in 0..MILLION {
        let stage = StageImage::Queued { queued_at: Wall(1_700_000_000_000) };
        writer.write(Part::Task(Box::new(samples::task_image(id(number), stage))))?;
    }
    writer.commit()?;
    print("write a snapshot of a million tasks", started.elapsed(), MILLION);
    let started = Instant::now();
    let first = log.trim(Seq(last.0 / 2))?;
    print("trim half of the batches", started.elapsed(), first.0);
    Ok(())
}

fn load(log: &sqlite::SqliteLog) -> Result<()> {
    let started = Instant::now();
    let stored = log.load()?;
    let (_, parts) = stored.snapshot.ok_or("there is a snapshot")?;
    let mut count = 0;
    for part in parts {
        std::hint::black_box(part?);
        count += 1;
    }
    for stretch in stored.tail {
        std::hint::black_box(stretch?);
    }
    print("load a snapshot of a million tasks", started.elapsed(), count);
    Ok(())
}
