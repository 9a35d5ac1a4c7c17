//! Panics go to the log files too. The lines of other events pass through a thread of their own, which may never write again
//! when the program ends with the panic; a panic's line is written at once.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::panic::{self, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::files;
use crate::clock::Clock;

/// How many panics of one process are written.
const MAX_PANICS: u32 = 1_000;
/// How much of a panic's message is written.
const MAX_MESSAGE_BYTES: usize = 8_192;

/// Writes every further panic of the process to the program's log files, and then does what was done before.
pub(super) fn log_to(folder: &Path, program: &'static str) {
    let log = Log { folder: folder.to_owned(), program, written: AtomicU32::new(0) };
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        log.write(panic);
        before(panic);
    }));
}

struct Log {
    folder: PathBuf,
    program: &'static str,
    written: AtomicU32,
}

impl Log {
    fn write(&self, panic: &PanicHookInfo<'_>) {
        if self.written.fetch_add(1, Ordering::Relaxed) >= MAX_PANICS {
            return;
        }
        let message = panic.payload_as_str().unwrap_or("it gave no message");
        let message = &message[..message.floor_char_boundary(MAX_MESSAGE_BYTES)];
        let at = Clock::System.now().wall_ms;
        let line = json!({
            "timestamp": jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string(),
            "level": "ERROR",
            "message": format!("panicked: {message}"),
            "location": panic.location().map(ToString::to_string),
            "thread": std::thread::current().name(),
            "process": std::process::id(),
        });
        let path = self.folder.join(files::name_of(self.program, at));
        let opened = OpenOptions::new().append(true).create(true).open(path);
        // What was done before tells of the panic elsewhere, also when the disk is full.
        let _written = opened.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    }
}
