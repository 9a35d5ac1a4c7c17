//! `raw.ndjson`: what a program printed, line by line, and beside it when each line came, so that the run can be replayed.

use std::fs::File;
use std::io::{self, Write as _};

use crate::run::Folder;

/// The lines.
pub(in crate::runner) const NAME: &str = "raw.ndjson";
/// The milliseconds since the attempt began, one number for each line.
pub(in crate::runner) const TIMES: &str = "raw.times";
/// The most bytes that are kept; what comes later is not.
const MAX_BYTES: u64 = 64 << 20;

/// Keeps the lines of one attempt. The files are made with the first line.
#[derive(Debug, Default)]
pub(super) struct Raw {
    files: Option<(File, File)>,
    written: u64,
}

impl Raw {
    pub fn push(&mut self, folder: &Folder, ms: u64, line: &str) -> io::Result<()> {
        if self.written > MAX_BYTES {
            return Ok(());
        }
        let (lines, times) = match &mut self.files {
            Some(files) => files,
            files @ None => files.insert((folder.create(NAME)?, folder.create(TIMES)?)),
        };
        lines.write_all(format!("{line}\n").as_bytes())?;
        times.write_all(format!("{ms}\n").as_bytes())?;
        self.written += line.len() as u64 + 1;
        Ok(())
    }
}
