//! Who used the processors while something was measured.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

/// Threads that used less than this share of a core are not worth a word.
const WORTH_NAMING: f64 = 0.05;

/// The threads of a program by number: name, and ticks used.
type Threads = HashMap<u32, (String, u64)>;

/// What one program used: its name, all of it, and its threads, the busiest first.
type Used = (String, f64, Vec<(String, f64)>);

/// A reading of the counters.
#[derive(Debug)]
pub struct Reading {
    at: Instant,
    programs: Vec<(String, Threads)>,
    machine: u64,
}

/// Cores used between two readings.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Of each program.
    pub programs: Vec<Used>,
    /// Of everything else on the machine.
    pub others: f64,
}

/// Reads the counters of programs, each with a name and its pid.
pub fn read(programs: &[(&str, u32)]) -> Reading {
    let programs = programs.iter().map(|(name, pid)| ((*name).to_owned(), threads(*pid))).collect();
    Reading { at: Instant::now(), programs, machine: machine() }
}

/// The children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(folder) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = folder.flatten().filter_map(|entry| fs::read_to_string(entry.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

impl Reading {
    /// What was used since this reading.
    pub fn until(&self, later: &Self) -> Usage {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let seconds = later.at.duration_since(self.at).as_secs_f64().max(1e-3);
        let cores = |ticks_used: u64| ticks_used as f64 / ticks / seconds;
        let mut programs = Vec::new();
        for ((name, before), (_, after)) in self.programs.iter().zip(&later.programs) {
            let used =
                |tid: &u32, (_, now): &(String, u64)| now - before.get(tid).map_or(0, |(_, then)| *then);
            let mut busy: Vec<(String, f64)> =
                after.iter().map(|(tid, thread)| (thread.0.clone(), cores(used(tid, thread)))).collect();
            busy.sort_by(|one, other| other.1.total_cmp(&one.1));
            programs.push((name.clone(), busy.iter().map(|thread| thread.1).sum(), busy));
        }
        let known: f64 = programs.iter().map(|program| program.1).sum();
        let others = (cores(later.machine - self.machine) - known).max(0.0);
        Usage { programs, others }
    }
}

impl Usage {
    /// The cores that a program used.
    pub fn of(&self, program: &str) -> f64 {
        self.programs.iter().find(|(name, ..)| name == program).map_or(0.0, |program| program.1)
    }

    /// The cores that all programs used but one.
    pub fn all_but(&self, program: &str) -> f64 {
        self.programs.iter().filter(|(name, ..)| name != program).map(|program| program.1).sum()
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, all, threads) in &self.programs {
            write!(f, "{name} {all:.2}")?;
            let named: Vec<String> = threads
                .iter()
                .filter(|thread| thread.1 >= WORTH_NAMING)
                .map(|(thread, used)| format!("{thread} {used:.2}"))
                .collect();
            if named.len() > 1 {
                write!(f, " ({})", named.join(", "))?;
            }
            f.write_str(", ")?;
        }
        write!(f, "others {:.2}", self.others)
    }
}

/// The threads of a process: name and ticks used.
fn threads(pid: u32) -> Threads {
    let Ok(folder) = fs::read_dir(format!("/proc/{pid}/task")) else { return HashMap::new() };
    let mut threads: Threads = HashMap::new();
    let tids = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for tid in tids {
        if let Some((name, fields)) = stat(&format!("/proc/{pid}/task/{tid}/stat")) {
            threads.insert(tid, (name, fields[0] + fields[1]));
        }
    }
    // Its dead children count as one more thread; no thread has the number 0.
    if let Some((_, fields)) = stat(&format!("/proc/{pid}/stat")) {
        threads.insert(0, ("children".to_owned(), fields[2] + fields[3]));
    }
    threads
}

/// A name, and ticks: user and system time, and those of children that were waited for.
fn stat(path: &str) -> Option<(String, [u64; 4])> {
    let stat = fs::read_to_string(path).ok()?;
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    // After the name the state is the first field, and the times begin with the twelfth.
    let mut fields = after.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let mut next = || fields.next()?.ok();
    Some((name, [next()?, next()?, next()?, next()?]))
}

/// Ticks that all processors were busy.
fn machine() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_ascii_whitespace().skip(1);
    // Idle and waiting for the disk are the fourth and the fifth; guests are counted as users already.
    let busy = fields.take(8).enumerate().filter(|(index, _)| !matches!(index, 3 | 4));
    busy.filter_map(|(_, ticks)| ticks.parse::<u64>().ok()).sum()
}
