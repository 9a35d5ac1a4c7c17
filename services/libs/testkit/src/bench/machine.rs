//! What the machine itself does: the disk, and starting processes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BLOCK: [u8; 4096] = [0x5a; 4096];
/// About as long as what is written down of a short task.
const RECORD: [u8; 300] = [b'x'; 300];

/// How often a second 4 KiB can be appended to a growing file and made durable.
pub fn disk_rate(dir: &Path, time: Duration) -> io::Result<f64> {
    let path = dir.join("disk-rate");
    let mut file = File::create(&path)?;
    let begin = Instant::now();
    let mut writes = 0u32;
    while begin.elapsed() < time {
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        writes += 1;
    }
    let rate = f64::from(writes) / begin.elapsed().as_secs_f64();
    fs::remove_file(&path)?;
    Ok(rate)
}

/// A disk that is asked now and then, by a growing file of its own.
#[derive(Debug)]
pub struct IdleDisk {
    path: PathBuf,
    file: File,
}

impl IdleDisk {
    pub fn new(dir: &Path) -> io::Result<Self> {
        let path = dir.join("idle-disk");
        Ok(Self { file: File::create(&path)?, path })
    }

    /// How long it takes to append 4 KiB and make them durable.
    pub fn write(&mut self) -> io::Result<Duration> {
        let begin = Instant::now();
        self.file.write_all(&BLOCK)?;
        self.file.sync_data()?;
        Ok(begin.elapsed())
    }
}

impl Drop for IdleDisk {
    fn drop(&mut self) {
        // The folder that it is in is removed in the end.
        let _gone = fs::remove_file(&self.path);
    }
}

/// How often a second `/bin/true` can be started and waited for, by so many threads. The standard library starts it with
/// `posix_spawn` here.
pub fn spawn_rate(parallel: usize, time: Duration) -> io::Result<f64> {
    rate(parallel, time, |_, _| spawn_true())
}

/// The same with the folders and files of a run made before and after it: what the machine leaves for anything else.
pub fn run_rate(dir: &Path, parallel: usize, time: Duration) -> io::Result<f64> {
    let dir = dir.join("run-rate");
    fs::create_dir_all(dir.join("tasks"))?;
    fs::create_dir_all(dir.join("private"))?;
    let rate = rate(parallel, time, |thread, count| {
        let name = format!("{thread}-{count}");
        let (task, private) = (dir.join("tasks").join(&name), dir.join("private").join(&name));
        for folder in [&task, &private] {
            fs::create_dir(folder)?;
        }
        for folder in ["work", "attempts", "attempts/1"] {
            fs::create_dir(task.join(folder))?;
        }
        for folder in ["home", "tmp"] {
            fs::create_dir(private.join(folder))?;
        }
        fs::write(task.join("task.json"), RECORD)?;
        spawn_true()?;
        fs::write(task.join("attempts/1/result.json"), RECORD)
    });
    fs::remove_dir_all(&dir)?;
    rate
}

fn spawn_true() -> io::Result<()> {
    Command::new("/bin/true").stdin(Stdio::inherit()).status().map(drop)
}

/// How often a second so many threads together get something done.
fn rate(
    parallel: usize,
    time: Duration,
    once: impl Fn(usize, u32) -> io::Result<()> + Sync,
) -> io::Result<f64> {
    let begin = Instant::now();
    let once = &once;
    let counts: Vec<io::Result<u32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..parallel)
            .map(|thread| {
                scope.spawn(move || {
                    let mut count = 0;
                    while begin.elapsed() < time {
                        once(thread, count)?;
                        count += 1;
                    }
                    Ok(count)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("the loop does not panic")).collect()
    });
    let mut all = 0;
    for count in counts {
        all += count?;
    }
    Ok(f64::from(all) / begin.elapsed().as_secs_f64())
}

/// The load average of the last minute.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().next().unwrap_or("?").to_owned()
}
