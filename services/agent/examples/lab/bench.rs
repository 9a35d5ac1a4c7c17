//! How many times a second `/bin/true` runs, at parallelism 4: bare, below keepers, and as attempts with run folders.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use conductor_agent::process::{Keepers, Reply, Stdio, spawn};
use conductor_agent::runner::{Attempt, Programs, ReportBody, Settings, Slots, Verdict, What};
use tokio::sync::mpsc;

const PARALLEL: usize = 4;

pub fn run(seconds: u64) -> anyhow::Result<()> {
    let time = Duration::from_secs(seconds);
    let bare = measured("bare posix_spawn", None, || bare(time))?;
    measured("below keepers", Some(bare), || kept(time))?;
    measured("attempts", Some(bare), || attempts(time))?;
    Ok(())
}

/// The rate, and the processor time that one run takes: the latter says something on a busy machine as well.
#[derive(Clone, Copy)]
struct Measured {
    rate: f64,
    cpu_us: f64,
}

fn measured(
    name: &str,
    bare: Option<Measured>,
    run: impl FnOnce() -> anyhow::Result<(u64, f64)>,
) -> anyhow::Result<Measured> {
    let before = cpu_ticks()?;
    let (count, seconds) = run()?;
    let ticks = cpu_ticks()? - before;
    let per_tick_us = 1e6 / rustix::param::clock_ticks_per_second() as f64;
    let this = Measured { rate: count as f64 / seconds, cpu_us: ticks as f64 * per_tick_us / count as f64 };
    print!("{name:16} {:6.0}/s {:5.0} us of processor time", this.rate, this.cpu_us);
    match bare {
        Some(bare) => println!("   {:.2} of bare ({:.2})", this.rate / bare.rate, bare.cpu_us / this.cpu_us),
        None => println!(),
    }
    Ok(this)
}

/// The processor time of this process and of all that it waited for.
fn cpu_ticks() -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or_else(|| anyhow::anyhow!("a stat line has a name"))?;
    fields.split_ascii_whitespace().skip(11).take(4).map(|field| Ok(field.parse::<u64>()?)).sum()
}

fn bare(time: Duration) -> anyhow::Result<(u64, f64)> {
    parallel(time, |until| {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let mut count = 0;
        while Instant::now() < until {
            let argv = [c"/bin/true"];
            let stdio = [null.as_fd(); 3];
            let command = spawn::Command { program: c"/bin/true", argv: &argv, env: &[], cwd: None, stdio };
            let pid = spawn::spawn(&command)?;
            rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
            count += 1;
        }
        Ok(count)
    })
}

fn kept(time: Duration) -> anyhow::Result<(u64, f64)> {
    let keepers = Keepers::new(crate::keeper_program()?, None)?;
    let starter = keepers.handle();
    let rate = parallel(time, |until| {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let cwd = std::fs::File::open("/tmp")?;
        let keeper = starter.start()?;
        let mut count = 0;
        while Instant::now() < until {
            let null = null.as_fd();
            let stdio = Stdio { cwd: cwd.as_fd(), input: null, output: null, error: null };
            keeper.spawn(None, b"/bin/true", &["/bin/true"], &["A=b"], stdio)?;
            while !matches!(keeper.reply()?, Reply::ExitedAndGone(_)) {}
            count += 1;
        }
        keeper.retire();
        Ok(count)
    });
    // The owner of the keepers leaves when nobody can ask it any more.
    drop(starter);
    rate
}

fn attempts(time: Duration) -> anyhow::Result<(u64, f64)> {
    // The folders stay: ext4 avoids inodes that were deleted a moment ago and searches long for others, so
    // the next measurement would suffer from the removal after this one.
    let folder = tempfile::tempdir()?.keep();
    println!("run folders in {}", folder.display());
    let (reports, mut receiver) = mpsc::channel(64);
    let programs = Programs { sandbox: crate::worker::sandbox(&folder)?, ..Programs::default() };
    let settings = Settings {
        at_once: u32::try_from(PARALLEL)?,
        workspace: folder,
        agent_id: "lab".into(),
        keeper: crate::keeper_program()?,
        environment: std::env::vars_os().collect(),
        git: Default::default(),
        programs,
    };
    let slots = Slots::start(&settings, PARALLEL, &reports)?;
    drop(reports);
    let start = Instant::now();
    for slot in 0..PARALLEL {
        slots.run(slot, attempt())?;
    }
    let (mut count, mut live) = (0u64, PARALLEL);
    while live > 0 {
        let report = receiver.blocking_recv().expect("slots report while they run");
        if let ReportBody::Finished(outcome) = report.body {
            anyhow::ensure!(outcome.verdict == Verdict::Succeeded, "{outcome:?}");
            count += 1;
            live -= 1;
            if start.elapsed() < time {
                slots.run(report.slot, attempt())?;
                live += 1;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    slots.close();
    Ok((count, seconds))
}

fn attempt() -> Attempt {
    Attempt {
        task_json: "{\"command\":[\"/bin/true\"]}\n".into(),
        ..Attempt::plain(uuid::Uuid::now_v7(), What::Command { argv: vec!["/bin/true".into()] })
    }
}

fn parallel(
    time: Duration,
    run: impl Fn(Instant) -> anyhow::Result<u64> + Sync,
) -> anyhow::Result<(u64, f64)> {
    let start = Instant::now();
    let until = start + time;
    let count = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(|| run(until))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<anyhow::Result<u64>>()
    })?;
    Ok((count, start.elapsed().as_secs_f64()))
}
