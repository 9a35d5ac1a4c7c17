//! Bytes of a run, one window after the other: who reads slowly holds one window and nothing else.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use conductor_client::{Chunks, Control, Error};
use conductor_core::TaskId;
use conductor_protocol::control::{FileCall, Output};
use conductor_web::{Caller, Refusal};
use futures_util::stream;

use super::cut::Cutter;
use super::lines::{Lines, Place, is_passing};

/// What is asked for and held at a time.
const WINDOW_BYTES: u64 = 256 << 10;
/// How often a window is asked for anew when connections are lost.
pub(super) const TRIES: u32 = 40;
/// The pause between two tries.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// Where bytes come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// What an attempt printed.
    Output { id: TaskId, attempt: Option<u32>, follow: bool },
    /// What an attempt changed.
    Diff { id: TaskId, attempt: Option<u32> },
    /// A file of the work folder.
    File { id: TaskId, path: String },
}

/// What a whole is, before any of it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole {
    /// The attempt it is of.
    pub(crate) attempt: u32,
    /// How many bytes it has.
    pub(crate) bytes: u64,
}

impl Source {
    async fn ask(&self, control: &Control, offset: u64, limit: u64) -> Result<Chunks, Error> {
        let limit = Some(limit);
        match self.clone() {
            Self::Output { id, attempt, follow } => {
                control.output(Output { id, attempt, offset, follow, limit }).await
            }
            Self::Diff { id, attempt } => {
                control.diff(Output { id, attempt, offset, follow: false, limit }).await
            }
            Self::File { id, path } => control.file_part(FileCall { id, path, offset, limit }).await,
        }
    }

    /// Asks how long it is.
    ///
    /// # Errors
    /// As the calls do.
    pub(crate) async fn whole(&self, control: &Control) -> Result<Whole, Error> {
        let mut chunks = self.ask(control, 0, 0).await?;
        while chunks.next().await?.is_some() {}
        let (attempt, bytes) = chunks.end().map_or((0, 0), |end| (end.attempt, end.bytes));
        Ok(Whole { attempt, bytes })
    }

    /// The same, of one attempt.
    pub(crate) fn of(mut self, number: u32) -> Self {
        match &mut self {
            Self::Output { attempt, .. } | Self::Diff { attempt, .. } if number > 0 => {
                *attempt = Some(number)
            }
            Self::Output { .. } | Self::Diff { .. } | Self::File { .. } => {}
        }
        self
    }
}

/// Where the reading of a source stands.
#[derive(Debug)]
pub(crate) struct Reading {
    source: Source,
    lines: Lines,
    caller: Caller,
    window: Option<Window>,
    offset: u64,
    end: u64,
    failed: u32,
    over: bool,
}

/// A window that is being read.
#[derive(Debug)]
struct Window {
    chunks: Chunks,
    until: u64,
    _place: Place,
}

impl Reading {
    /// Begins to read the bytes between two offsets.
    pub(crate) fn new(source: Source, lines: &Lines, caller: &Caller, offset: u64, end: u64) -> Self {
        let (lines, caller) = (lines.clone(), caller.clone());
        Self { source, lines, caller, window: None, offset, end, failed: 0, over: false }
    }

    /// The next bytes; nothing at the end. Cancel safe.
    ///
    /// # Errors
    /// When they cannot be read, or the caller may not.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        while !self.over && self.offset < self.end {
            match self.step().await {
                Ok(Some(bytes)) => {
                    self.failed = 0;
                    self.offset += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Ok(None) => {}
                Err(error) if is_passing(&error) && self.failed < TRIES => {
                    self.failed += 1;
                    self.window = None;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Reads on in the window, or opens the next.
    async fn step(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(window) = &mut self.window else {
            let asked = (self.end - self.offset).min(WINDOW_BYTES);
            let place = self.lines.place(&self.caller).await?;
            let chunks = self.source.ask(place.control(), self.offset, asked).await?;
            self.window = Some(Window { chunks, until: self.offset + asked, _place: place });
            return Ok(None);
        };
        if let Some(chunk) = window.chunks.next().await? {
            return Ok(Some(chunk.bytes));
        }
        // A window that is not full ends with the file, or with the attempt where it is followed.
        self.over = self.offset < window.until;
        self.window = None;
        Ok(None)
    }
}

/// What a reading brings, as a body. It ends early when the file does or the caller is nobody any more, and with an error
/// when the file cannot be read.
pub(crate) fn body(reading: Reading) -> Body {
    let (site, keeper) = (reading.lines.site().clone(), reading.caller.clone());
    let alive = Box::pin(async move { keeper.alive(&site).await });
    Body::from_stream(stream::unfold(Some((reading, alive)), async |state| {
        let (mut reading, mut alive) = state?;
        let next = tokio::select! {
            next = reading.next() => next,
            () = &mut alive => return None,
        };
        match next {
            Ok(Some(bytes)) => Some((Ok(bytes), Some((reading, alive)))),
            Ok(None) => None,
            Err(refusal) => Some((Err(io::Error::other(refusal.0)), None)),
        }
    }))
}

/// Output as text, cut between characters.
#[derive(Debug)]
pub(crate) struct Text {
    reading: Reading,
    cutter: Cutter,
    ended: bool,
}

/// A piece of text, and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) offset: u64,
    pub(crate) next_offset: u64,
    pub(crate) text: String,
}

impl Text {
    /// Begins to read text at an offset. Where that lies within a character, it begins after that one.
    pub(crate) fn new(source: Source, lines: &Lines, caller: &Caller, offset: u64) -> Self {
        let cutter = Cutter::new(offset);
        let reading = Reading::new(source, lines, caller, cutter.reads_from(), u64::MAX);
        Self { reading, cutter, ended: false }
    }

    /// The next piece; nothing at the end. Cancel safe.
    ///
    /// # Errors
    /// When it cannot be read, or the caller may not.
    pub(crate) async fn next(&mut self) -> Result<Option<Told>, Refusal> {
        while !self.ended {
            let piece = match self.reading.next().await? {
                Some(bytes) => self.cutter.take(&bytes),
                None => {
                    self.ended = true;
                    self.cutter.rest()
                }
            };
            if let Some((offset, text)) = piece {
                return Ok(Some(Told { offset, next_offset: self.cutter.offset(), text }));
            }
        }
        Ok(None)
    }

    /// The offset after what was told.
    pub(crate) fn offset(&self) -> u64 {
        self.cutter.offset()
    }
}
