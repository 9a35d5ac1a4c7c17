//! What the runner of an attempt reported, some lines after the other: who reads slowly holds few of them.

use std::fmt;
use std::str::FromStr;

use conductor_client::{Error, Items};
use conductor_core::TaskId;
use conductor_protocol::control::{Output, OutputEnd};
use conductor_web::{Caller, Refusal};
use futures_util::FutureExt as _;
use serde_json::value::RawValue;

use super::lines::{self, Lines, is_passing};
use super::window::{PAUSE, TRIES};

/// What is asked for at a time, in bytes of the file.
const WINDOW_BYTES: u64 = 16 << 10;

/// The lines that an attempt's runner reported.
#[derive(Debug)]
pub(crate) struct Reports {
    asked: Output,
    lines: Lines,
    caller: Caller,
    window: Option<(Items<Box<RawValue>>, lines::Place)>,
    /// Lines of the window that were handed on: they are passed over when it is read again.
    handed_on: usize,
    passed_over: usize,
    failed: u32,
    over: bool,
}

/// Where to go on: so many lines after an offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    offset: u64,
    lines: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.offset, self.lines)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (offset, lines) = text.split_once('-').ok_or(())?;
        Ok(Self { offset: offset.parse().map_err(drop)?, lines: lines.parse().map_err(drop)? })
    }
}

/// Some lines, and where to go on when these and all before were read.
pub(crate) type Reported = (Place, Vec<Box<RawValue>>);

impl Reports {
    /// Begins to read at a place.
    pub(crate) fn new(
        id: TaskId,
        attempt: u32,
        follow: bool,
        from: Place,
        lines: &Lines,
        caller: &Caller,
    ) -> Self {
        let (offset, handed_on) = (from.offset, from.lines);
        let asked = Output { id, attempt: Some(attempt), offset, follow, limit: Some(WINDOW_BYTES) };
        let (lines, caller) = (lines.clone(), caller.clone());
        Self { asked, lines, caller, window: None, handed_on, passed_over: 0, failed: 0, over: false }
    }

    /// Waits for the next lines; nothing at the end. Cancel safe.
    ///
    /// # Errors
    /// When they cannot be read, or the caller may not.
    pub(crate) async fn next(&mut self) -> Result<Option<Reported>, Refusal> {
        while !self.over {
            match self.step().await {
                Ok(lines) if lines.is_empty() => {}
                Ok(lines) => {
                    self.failed = 0;
                    let place = Place { offset: self.asked.offset, lines: self.handed_on };
                    return Ok(Some((place, lines)));
                }
                Err(error) if is_passing(&error) && self.failed < TRIES => {
                    self.failed += 1;
                    (self.window, self.passed_over) = (None, 0);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Reads on in the window, or opens the next.
    async fn step(&mut self) -> Result<Vec<Box<RawValue>>, Error> {
        let Some((items, _place)) = &mut self.window else {
            let place = self.lines.place(&self.caller).await?;
            let items = place.control().run_events(self.asked).await?;
            self.window = Some((items, place));
            return Ok(Vec::new());
        };
        let mut lines = Vec::new();
        let mut next = Some(items.next().await?);
        // What is there already goes along.
        while let Some(Some(line)) = next.take() {
            if self.passed_over < self.handed_on {
                self.passed_over += 1;
            } else {
                lines.push(line);
            }
            next = match items.next().now_or_never() {
                Some(Ok(item)) => Some(item),
                Some(Err(error)) if lines.is_empty() => return Err(error),
                // Told by the next call, which reads the window again.
                Some(Err(_)) => {
                    self.handed_on += lines.len();
                    (self.window, self.passed_over) = (None, 0);
                    return Ok(lines);
                }
                None => break,
            };
            if let Some(None) = next {
                break;
            }
        }
        if !matches!(next, Some(None)) && !lines.is_empty() {
            self.handed_on += lines.len();
            self.passed_over += lines.len();
            return Ok(lines);
        }
        let end: Option<OutputEnd> = items.end()?;
        let Some(end) = end else { return Ok(lines) };
        // A window that is not full ends with the file, or with the attempt where it is followed.
        self.over = end.offset < self.asked.offset.saturating_add(WINDOW_BYTES);
        self.asked.offset = end.offset;
        (self.window, self.handed_on, self.passed_over) = (None, 0, 0);
        Ok(lines)
    }
}
