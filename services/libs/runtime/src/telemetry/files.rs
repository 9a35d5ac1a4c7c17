//! Log files, one a day for each program: `<program>.<date>.log`, and `<program>.log` that leads to the newest.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tracing_appender::rolling::{RollingFileAppender, Rotation};

use crate::clock::Clock;

/// The most that is written on one day; a program that logs in a loop must not fill the disk.
const MAX_DAY_BYTES: u64 = 256 << 20;
const DAY_MS: i64 = 86_400_000;

/// Writes whole lines to the file of the day, keeps the newest files and removes the others.
#[derive(Debug)]
pub(super) struct Writer {
    appender: RollingFileAppender,
    folder: PathBuf,
    program: String,
    keep: usize,
    clock: Clock,
    day: i64,
    written_bytes: u64,
    max_bytes: u64,
    full: bool,
}

impl Writer {
    /// Opens the file of the day, and keeps at most `keep` files.
    pub(super) fn open(folder: &Path, program: &str, keep: usize) -> io::Result<Self> {
        Self::open_with(folder, program, keep, Clock::System, MAX_DAY_BYTES)
    }

    fn open_with(
        folder: &Path,
        program: &str,
        keep: usize,
        clock: Clock,
        max_bytes: u64,
    ) -> io::Result<Self> {
        // The appender's own tidying and its link know names only by how they begin, and programs' names do begin
        // alike; both are done here.
        let appender = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix(program)
            .filename_suffix("log")
            .build(folder)
            .map_err(io::Error::other)?;
        let day = day_of(&clock);
        let mut writer = Writer {
            appender,
            folder: folder.to_owned(),
            program: program.to_owned(),
            keep,
            clock,
            day,
            written_bytes: 0,
            max_bytes,
            full: false,
        };
        writer.written_bytes =
            fs::metadata(folder.join(writer.name_of(day))).map_or(0, |metadata| metadata.len());
        writer.tidy();
        Ok(writer)
    }

    fn name_of(&self, day: i64) -> String {
        name_of(&self.program, day * DAY_MS)
    }

    /// Removes the oldest files and sets the link. Logging goes on when either fails.
    fn tidy(&self) {
        let mut names: Vec<String> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| self.is_ours(name))
            .collect();
        names.sort_unstable();
        for name in names.iter().take(names.len().saturating_sub(self.keep)) {
            if let Err(error) = fs::remove_file(self.folder.join(name)) {
                complain(&format!("cannot remove the old log file {name}: {error}"));
            }
        }
        let (link, new) =
            (format!("{}.log", self.program), format!(".{}.{}.new", self.program, std::process::id()));
        let linked = symlink(self.name_of(self.day), self.folder.join(&new))
            .and_then(|()| fs::rename(self.folder.join(&new), self.folder.join(&link)));
        if let Err(error) = linked {
            complain(&format!("cannot link {link} to the newest log file: {error}"));
        }
    }

    fn is_ours(&self, name: &str) -> bool {
        let date = name
            .strip_prefix(&self.program)
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|rest| rest.strip_suffix(".log"));
        date.is_some_and(|date| date.len() == 10 && date.parse::<jiff::civil::Date>().is_ok())
    }
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let day = day_of(&self.clock);
        let new_day = day != self.day;
        if new_day {
            (self.day, self.written_bytes, self.full) = (day, 0, false);
        }
        let after = self.written_bytes + line.len() as u64;
        if after > self.max_bytes {
            if !self.full {
                self.full = true;
                self.appender.write_all(
                    b"{\"level\":\"WARN\",\"message\":\"this day's log file is full; the rest of the day is not in it\"}\n",
                )?;
            }
        } else {
            self.appender.write_all(line)?;
            self.written_bytes = after;
        }
        if new_day {
            self.tidy();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.appender.flush()
    }
}

/// The name of a program's file at an instant.
pub(super) fn name_of(program: &str, wall_ms: i64) -> String {
    let date = jiff::Timestamp::from_millisecond(wall_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{program}.{}.log", date.strftime("%Y-%m-%d"))
}

fn day_of(clock: &Clock) -> i64 {
    clock.now().wall_ms.div_euclid(DAY_MS)
}

/// The logs cannot tell of their own trouble.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{ManualClock, Reading};

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_newest_files_are_kept_and_other_programs_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let others =
            ["agent-b.2020-01-01.log", "agent.notes.log", "agent.2020-01-01.log.gz", "agentx.2020-01-01.log"];
        for name in
            others.iter().chain(&["agent.2020-01-01.log", "agent.2020-01-02.log", "agent.2020-01-03.log"])
        {
            fs::write(folder.path().join(name), "old").unwrap();
        }
        let mut writer = Writer::open(folder.path(), "agent", 2).unwrap();
        writer.write_all(b"line\n").unwrap();
        let names = names(folder.path());
        for name in others {
            assert!(names.contains(&name.to_owned()), "{name} was removed: {names:?}");
        }
        assert!(names.contains(&"agent.2020-01-03.log".to_owned()), "{names:?}");
        assert!(!names.contains(&"agent.2020-01-02.log".to_owned()), "{names:?}");
        assert_eq!(fs::read_to_string(folder.path().join("agent.log")).unwrap(), "line\n");
    }

    #[test]
    fn a_restart_on_the_same_day_goes_on_in_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        for line in ["first\n", "second\n"] {
            Writer::open(folder.path(), "agent", 1).unwrap().write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(folder.path().join("agent.log")).unwrap(), "first\nsecond\n");
    }

    #[test]
    fn a_day_has_a_bound_that_is_said_once_and_the_next_day_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Clock::System.now());
        let mut writer =
            Writer::open_with(folder.path(), "agent", 3, Clock::Manual(clock.clone()), 10).unwrap();
        let first = folder.path().join(writer.name_of(writer.day));
        for line in ["12345\n", "67890\n", "more\n"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        let text = fs::read_to_string(&first).unwrap();
        assert_eq!(text.matches("is full").count(), 1, "{text}");
        assert!(text.starts_with("12345\n") && !text.contains("67890") && !text.contains("more"), "{text}");
        clock.advance(Duration::from_millis(DAY_MS.unsigned_abs()));
        writer.write_all(b"next\n").unwrap();
        // The appender has the machine's clock, so the line is in the same file; what counts is that it was written.
        assert!(fs::read_to_string(&first).unwrap().ends_with("next\n"));
    }

    #[test]
    fn what_an_earlier_start_wrote_counts() {
        let folder = tempfile::tempdir().unwrap();
        let clock = || Clock::Manual(ManualClock::new(Reading { ..Clock::System.now() }));
        let mut writer = Writer::open_with(folder.path(), "agent", 3, clock(), 10).unwrap();
        writer.write_all(b"12345678\n").unwrap();
        let mut writer = Writer::open_with(folder.path(), "agent", 3, clock(), 10).unwrap();
        writer.write_all(b"more\n").unwrap();
        assert!(!fs::read_to_string(folder.path().join("agent.log")).unwrap().contains("more"));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error() {
        assert!(Writer::open(Path::new("/proc/self"), "agent", 1).is_err());
    }
}
