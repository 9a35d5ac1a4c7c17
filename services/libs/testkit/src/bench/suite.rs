//! All parts, one after the other.

use std::io;
use std::time::Duration;

use super::args::Args;
use super::cpu::{self, Reading};
use super::programs::{Home, Program};
use super::report::{Bar, Machine, Report};
use super::{appliance, drain, http, latency, machine, million, redis, rest, submits, trues};

/// Threads of the bare loop, and slots of the agent beside it.
pub const PARALLEL: usize = 4;

/// What the parts share.
#[derive(Debug)]
pub struct Suite<'a> {
    /// What is asked for.
    pub args: &'a Args,
    /// What was measured.
    pub report: Report,
}

impl Suite<'_> {
    /// Makes a new home.
    pub fn home(&self) -> io::Result<Home> {
        Home::new(&self.args.dir, &self.args.bin_dir)
    }

    /// One number for a short run, another for a full one.
    pub fn size<T>(&self, quick: T, full: T) -> T {
        if self.args.quick { quick } else { full }
    }
}

/// Reads who used the processors, of an orchestrator and this program.
pub fn reading(orchestrator: &Program) -> Reading {
    cpu::read(&[("orchestrator", orchestrator.pid()), ("generator", std::process::id())])
}

/// The same, with programs beside it.
pub fn readings(orchestrator: &Program, beside: &[&Program]) -> Reading {
    let mut programs = vec![("orchestrator", orchestrator.pid()), ("generator", std::process::id())];
    programs.extend(beside.iter().map(|program| (program.name(), program.pid())));
    cpu::read(&programs)
}

/// A time in milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The middle one.
pub fn median(times: &mut [f64]) -> f64 {
    percentile(times, 50)
}

/// The one below which so many of a hundred are.
pub fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// Runs what is asked for and prints the table.
pub fn run(args: &Args) -> io::Result<()> {
    let mut suite = Suite { args, report: Report::default() };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("conductor-bench on {cores} cores, load average {}", machine::load_average());
    let time = suite.size(Duration::from_secs(1), Duration::from_secs(3));
    println!("the machine itself");
    let before = machine::disk_rate(&args.dir, time)?;
    suite.report.add("disk, 4 KiB append + fdatasync, before", before, "writes/s", Bar::None);
    let spawns = machine::spawn_rate(PARALLEL, time)?;
    suite.report.add("bare posix_spawn of /bin/true, 4 at once", spawns, "processes/s", Bar::None);
    let runs = machine::run_rate(&args.dir, PARALLEL, time)?;
    suite.report.add("the same with the folders of a run", runs, "processes/s", Bar::None);
    type Part = fn(&mut Suite<'_>) -> io::Result<()>;
    let parts: [(&str, Part); 9] = [
        ("rest", rest::run),
        ("submits", submits::run),
        ("redis", redis::run),
        ("million", million::run),
        ("drain", drain::run),
        ("latency", latency::run),
        ("true", trues::run),
        ("http", http::run),
        ("appliance", appliance::run),
    ];
    let mut failed = Vec::new();
    for (name, part) in parts {
        if args.wants(name) {
            println!("{name}");
            if let Err(error) = part(&mut suite) {
                println!("  failed: {error}");
                failed.push(name);
            }
        }
    }
    let after = machine::disk_rate(&args.dir, time)?;
    suite.report.add("disk, 4 KiB append + fdatasync, after", after, "writes/s", Bar::None);
    println!("load average {}", machine::load_average());
    suite.report.print(Machine { disk: (before + after) / 2.0, spawns });
    if failed.is_empty() { Ok(()) } else { Err(io::Error::other(format!("failed: {}", failed.join(", ")))) }
}
