//! How many times a second `/bin/true` runs, at parallelism 4: bare, below keepers, and as attempts with run folders.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use conductor_agent::process::{Keepers, Reply, Stdio, spawn};
use conductor_agent::runner::{Attempt, Limits, ReportBody, Settings, Slots, Start, Verdict, What};
use tokio::sync::mpsc;

const PARALLEL: usize = 4;

pub fn run(seconds: u64) -> anyhow::Result<()> {
    let time = Duration::from_secs(seconds);
    let bare = bare(time)?;
    println!("bare posix_spawn  {bare:7.0}/s");
    let kept = kept(time)?;
    println!("below keepers     {kept:7.0}/s  {:.2} of bare", kept / bare);
    let attempts = attempts(time)?;
    println!("attempts          {attempts:7.0}/s  {:.2} of bare", attempts / bare);
    Ok(())
}

fn bare(time: Duration) -> anyhow::Result<f64> {
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

fn kept(time: Duration) -> anyhow::Result<f64> {
    let keepers = Keepers::new(crate::keeper_program()?)?;
    let starter = keepers.handle();
    let rate = parallel(time, |until| {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let cwd = std::fs::File::open("/tmp")?;
        let keeper = starter.start()?;
        let mut count = 0;
        while Instant::now() < until {
            let null = null.as_fd();
            let stdio = Stdio { cwd: cwd.as_fd(), input: null, output: null, error: null };
            keeper.spawn(b"/bin/true", &["/bin/true"], &["A=b"], stdio)?;
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

fn attempts(time: Duration) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let (reports, mut receiver) = mpsc::channel(64);
    let settings = Settings {
        workspace: folder.path().to_owned(),
        agent_id: "lab".into(),
        keeper: crate::keeper_program()?,
        environment: std::env::vars_os().collect(),
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
    let rate = count as f64 / start.elapsed().as_secs_f64();
    slots.close();
    Ok(rate)
}

fn attempt() -> Attempt {
    Attempt {
        task_id: uuid::Uuid::now_v7(),
        number: 1,
        what: What::Command { argv: vec!["/bin/true".into()] },
        task_json: "{\"command\":[\"/bin/true\"]}\n".into(),
        files: Vec::new(),
        env: Vec::new(),
        start: Start::Fresh,
        timeout: Duration::from_secs(60),
        limits: Limits::default(),
    }
}

fn parallel(time: Duration, run: impl Fn(Instant) -> anyhow::Result<u64> + Sync) -> anyhow::Result<f64> {
    let start = Instant::now();
    let until = start + time;
    let count = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(|| run(until))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<anyhow::Result<u64>>()
    })?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
