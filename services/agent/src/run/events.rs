//! `events.ndjson`: what a runner reported, in one schema for all runners.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use conductor_redact::Redactor;
use serde::Serialize;

use super::beneath;

/// The most bytes of an event file; what comes later is dropped, save the last event.
const MAX_BYTES: u64 = 64 << 20;

/// One thing that a run did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    Message {
        text: String,
    },
    Thinking {
        text: String,
    },
    ToolCall {
        id: String,
        name: String,
        input: String,
    },
    ToolResult {
        id: String,
        output: String,
        is_error: bool,
    },
    Usage {
        input_tokens: u64,
        output_tokens: u64,
        cached_input_tokens: u64,
    },
    Retry {
        text: String,
    },
    Limit {
        text: String,
        /// When it ends, in seconds since 1970, where that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        resets_at: Option<i64>,
    },
    Question {
        request: u32,
        text: String,
    },
    Answer {
        request: u32,
        text: String,
    },
    /// It wants no answer to that question any more.
    Withdrawn {
        request: u32,
    },
    /// What a person told it while it ran.
    Told {
        text: String,
    },
    Error {
        message: String,
    },
    /// Of a kind that is not known here, as it came.
    Other {
        name: String,
        raw: serde_json::Value,
    },
    Finished {
        outcome: &'static str,
        summary: String,
    },
}

/// The name of the file in the attempt's folder.
const NAME: &str = "events.ndjson";

/// Appends the events of one attempt, each with the milliseconds since the attempt began.
///
/// The file is made with the first event, and the end alone is none: a command reports nothing, and many short
/// ones would each pay for an empty file.
#[derive(Debug)]
pub struct EventFile {
    attempt: OwnedFd,
    file: Option<File>,
    written: u64,
    redactor: Arc<Redactor>,
}

impl EventFile {
    /// Writes to the folder of an attempt, without secrets.
    #[must_use]
    pub fn new(attempt: OwnedFd, redactor: Arc<Redactor>) -> Self {
        Self { attempt, file: None, written: 0, redactor }
    }

    /// Appends an event as one line.
    ///
    /// # Errors
    ///
    /// Fails when the file cannot be written.
    pub fn push(&mut self, ms: u64, event: &Event) -> io::Result<()> {
        let is_end = matches!(event, Event::Finished { .. });
        let is_dropped = if is_end { self.file.is_none() } else { self.written > MAX_BYTES };
        if is_dropped {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            file @ None => file.insert(beneath::create(self.attempt.as_fd(), NAME)?),
        };
        let json = serde_json::to_string(event).map_err(io::Error::other)?;
        let fields = json.strip_prefix('{').expect("a tagged enum is written as an object");
        let line = format!("{{\"ms\":{ms},{fields}\n");
        let line = self.redactor.bytes(line.as_bytes());
        file.write_all(&line)?;
        self.written += line.len() as u64;
        Ok(())
    }

    /// Returns the length of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_a_line_with_its_time_and_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mut events = EventFile::new(File::open(folder.path()).unwrap().into(), Arc::default());
        events.push(7, &Event::Message { text: "two\nlines".into() }).unwrap();
        events.push(9, &Event::Finished { outcome: "succeeded", summary: String::new() }).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            text,
            "{\"ms\":7,\"type\":\"message\",\"text\":\"two\\nlines\"}\n\
             {\"ms\":9,\"type\":\"finished\",\"outcome\":\"succeeded\",\"summary\":\"\"}\n"
        );
        assert_eq!(events.bytes(), text.len() as u64);
    }

    #[test]
    fn an_end_without_events_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::new(File::open(folder.path()).unwrap().into(), Arc::default());
        events.push(7, &Event::Finished { outcome: "succeeded", summary: String::new() }).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
