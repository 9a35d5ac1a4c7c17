//! What the machine itself does: the disk, and starting processes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BLOCK: [u8; 4096] = [0x5a; 4096];

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

/// How often a second `/bin/true` can be started and waited for, by so many threads. The standard library starts it with
/// `posix_spawn` here.
pub fn spawn_rate(parallel: usize, time: Duration) -> io::Result<f64> {
    let begin = Instant::now();
    let counts: Vec<io::Result<u32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..parallel)
            .map(|_| {
                scope.spawn(|| {
                    let mut count = 0;
                    while begin.elapsed() < time {
                        Command::new("/bin/true").stdin(Stdio::inherit()).status()?;
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
