//! A stand-in for the agent's binary in tests and measurements: the process tree and the slots, without a network.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use conductor_agent::process::{KeeperProgram, Keepers, Reply, Stdio, keeper, spawn};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["keeper"] => Ok(keeper::main()?),
        ["bench", seconds] => bench(Duration::from_secs(seconds.parse()?)),
        _ => anyhow::bail!("usage: lab keeper | bench SECONDS"),
    }
}

fn bench(time: Duration) -> anyhow::Result<()> {
    let bare = parallel(time, |until| {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let mut count = 0;
        while Instant::now() < until {
            let argv = [c"/bin/true"];
            let stdio = [null.as_fd(); 3];
            let pid = spawn::spawn(&spawn::Command {
                program: c"/bin/true",
                argv: &argv,
                env: &[],
                cwd: None,
                stdio,
            })?;
            rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
            count += 1;
        }
        Ok(count)
    })?;
    println!("bare {bare:.0}/s");
    let program = KeeperProgram { path: std::env::current_exe()?, args: vec!["keeper".into()] };
    let keepers = Keepers::new(program)?;
    let handle = keepers.handle();
    let kept = parallel(time, |until| {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let cwd = std::fs::File::open("/tmp")?;
        let keeper = handle.start()?;
        let mut count = 0;
        while Instant::now() < until {
            let stdio =
                Stdio { cwd: cwd.as_fd(), input: null.as_fd(), output: null.as_fd(), error: null.as_fd() };
            keeper.spawn(b"/bin/true", &["/bin/true"], &["A=b"], stdio)?;
            while !matches!(keeper.reply()?, Reply::ExitedAndGone(_)) {}
            count += 1;
        }
        keeper.retire();
        Ok(count)
    })?;
    println!("kept {kept:.0}/s");
    drop(handle);
    Ok(())
}

fn parallel(time: Duration, run: impl Fn(Instant) -> anyhow::Result<u64> + Sync) -> anyhow::Result<f64> {
    let start = Instant::now();
    let until = start + time;
    let count = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| run(until))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<anyhow::Result<u64>>()
    })?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
