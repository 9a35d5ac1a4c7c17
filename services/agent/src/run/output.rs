//! `output.log`: what a run printed, in the order in which it came, up to a limit.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use super::beneath;

/// The name of the file in the attempt's folder.
const NAME: &str = "output.log";

/// How much of the end is remembered for the summary.
const TAIL: usize = 2_048;

/// Writes the output of one attempt.
///
/// Bytes are taken as they are: binary, endless lines, half characters. Beyond the limit they are counted and
/// dropped, and a mark in the file says so. The file is made with the first byte: many short tasks print none.
#[derive(Debug)]
pub struct Output {
    attempt: OwnedFd,
    file: Option<File>,
    max_bytes: u64,
    written: u64,
    dropped: u64,
    tail: VecDeque<u8>,
}

impl Output {
    /// Writes to the folder of an attempt. The mark comes on top of `max_bytes`.
    #[must_use]
    pub fn new(attempt: OwnedFd, max_bytes: u64) -> Self {
        Self { attempt, file: None, max_bytes, written: 0, dropped: 0, tail: VecDeque::new() }
    }

    /// Takes what the run printed.
    ///
    /// # Errors
    ///
    /// Fails when the file cannot be written, as on a full disk.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.remember(bytes);
        if self.dropped > 0 {
            self.dropped += bytes.len() as u64;
            return Ok(());
        }
        let room = usize::try_from(self.max_bytes.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let (kept, dropped) = bytes.split_at(room.min(bytes.len()));
        self.write(kept)?;
        if !dropped.is_empty() {
            self.dropped = dropped.len() as u64;
            let mark = format!("\n[output cut here: the limit of {} bytes is reached]\n", self.max_bytes);
            self.write(mark.as_bytes())?;
        }
        Ok(())
    }

    /// Returns the length of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.written
    }

    /// Returns how many bytes were dropped beyond the limit.
    #[must_use]
    pub fn dropped_bytes(&self) -> u64 {
        self.dropped
    }

    /// Returns the last line that says something, shortened, without control characters.
    #[must_use]
    pub fn last_line(&self) -> Option<String> {
        const MAX_CHARS: usize = 300;
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let tail = String::from_utf8_lossy(&tail);
        let line = tail.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        Some(line.chars().filter(|char| !char.is_control()).take(MAX_CHARS).collect())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            file @ None => file.insert(beneath::create(self.attempt.as_fd(), NAME)?),
        };
        // A partial write counts: the length that live readers are told must be true even on a full disk.
        let mut rest = bytes;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.written += count as u64;
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn remember(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(TAIL)..];
        let excess = (self.tail.len() + new.len()).saturating_sub(TAIL);
        self.tail.drain(..excess.min(self.tail.len()));
        self.tail.extend(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(max_bytes: u64, pushes: &[&[u8]]) -> (Output, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::new(File::open(folder.path()).unwrap().into(), max_bytes);
        for bytes in pushes {
            output.push(bytes).unwrap();
        }
        (output, std::fs::read(folder.path().join(NAME)).unwrap_or_default())
    }

    #[test]
    fn bytes_arrive_as_they_are() {
        let (output, written) = run(100, &[b"\xff\x00half \xe6", b"\x97\xa5", b"no newline"]);
        assert_eq!(written, b"\xff\x00half \xe6\x97\xa5no newline");
        assert_eq!((output.bytes(), output.dropped_bytes()), (written.len() as u64, 0));
    }

    #[test]
    fn output_is_cut_exactly_at_the_limit_and_marked_once() {
        let (output, written) = run(5, &[b"abc", b"defg", b"hij"]);
        assert_eq!(written, b"abcde\n[output cut here: the limit of 5 bytes is reached]\n");
        assert_eq!((output.bytes(), output.dropped_bytes()), (written.len() as u64, 5));
    }

    #[test]
    fn a_run_that_prints_nothing_has_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::new(File::open(folder.path()).unwrap().into(), 10);
        output.push(b"").unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_full_disk_is_an_error_and_the_length_stays_true() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::new(File::open(folder.path()).unwrap().into(), 10);
        output.file = Some(File::options().write(true).open("/dev/full").unwrap());
        assert_eq!(output.push(b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(output.bytes(), 0);
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), folder.path().join(NAME)).unwrap();
        let mut output = Output::new(File::open(folder.path()).unwrap().into(), 10);
        assert!(output.push(b"x").is_err());
        assert!(!folder.path().join("elsewhere").exists());
    }

    #[test]
    fn output_of_exactly_the_limit_is_whole() {
        let (output, written) = run(5, &[b"abcde", b""]);
        assert_eq!((written.as_slice(), output.dropped_bytes()), (b"abcde".as_slice(), 0));
    }

    #[test]
    fn the_last_line_is_found_behind_the_limit_and_without_controls() {
        let (output, _) = run(1, &[b"first\nsecond \x1b[1mbold\n  \n"]);
        assert_eq!(output.last_line().as_deref(), Some("second [1mbold"));
        let (output, _) = run(1, &[b" \n"]);
        assert_eq!(output.last_line(), None);
        let long = vec![b'x'; 10_000];
        let (output, _) = run(1, &[&long, &long]);
        assert_eq!(output.last_line().map(|line| line.len()), Some(300));
    }
}
