//! Files, outputs and diffs, read part by part at the reader's pace, so that a slow one holds nobody up.

use bytes::Bytes;
use conductor_client::{Chunks, Control, Error};
use conductor_protocol::control::{FileCall, Output};
use futures_util::{Stream, stream};

/// The bytes that are asked for together; a connection keeps so many for a stream that nobody reads.
const PART_BYTES: u64 = 256 << 10;

/// What is read.
#[derive(Debug, Clone)]
pub enum Source {
    /// What an attempt printed.
    Output(Output),
    /// What an attempt changed.
    Diff(Output),
    /// A file of the work folder.
    File(FileCall),
}

/// A reader of one of them.
#[derive(Debug)]
pub struct Parts {
    control: Control,
    source: Source,
    offset: u64,
    /// The part that is being read.
    part: Option<Chunks>,
    /// Where the part ends if there are bytes enough.
    until: u64,
}

impl Parts {
    /// Begins to read.
    #[must_use]
    pub fn new(control: Control, source: Source) -> Self {
        Self { control, source, offset: 0, part: None, until: 0 }
    }

    /// Waits for the next bytes; nothing at the end.
    ///
    /// # Errors
    /// When the orchestrator refuses or the connection ends.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let part = match &mut self.part {
                Some(part) => part,
                None => {
                    self.until = self.offset + PART_BYTES;
                    let part = self.ask().await?;
                    self.part.insert(part)
                }
            };
            match part.next().await? {
                Some(chunk) => {
                    self.offset = chunk.offset + chunk.bytes.len() as u64;
                    return Ok(Some(chunk.bytes));
                }
                None if self.offset < self.until => return Ok(None),
                None => self.part = None,
            }
        }
    }

    async fn ask(&self) -> Result<Chunks, Error> {
        let (offset, limit) = (self.offset, Some(PART_BYTES));
        match self.source.clone() {
            Source::Output(call) => self.control.output(Output { offset, limit, ..call }).await,
            Source::Diff(call) => self.control.diff(Output { offset, limit, ..call }).await,
            Source::File(call) => self.control.file_part(FileCall { offset, limit, ..call }).await,
        }
    }

    /// The rest as a stream.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        stream::unfold(Some(self), |parts| async move {
            let mut parts = parts?;
            match parts.next().await {
                Ok(bytes) => bytes.map(|bytes| (Ok(bytes), Some(parts))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}
