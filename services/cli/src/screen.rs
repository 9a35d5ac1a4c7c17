//! What is shown: results on stdout, progress and notes on stderr.
//!
//! What tasks wrote is never obeyed by a terminal: it goes through [`escape`] there, and as it is into a pipe or a file.

mod escape;
mod pieces;
mod table;
mod words;

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::args::Format;
use crate::exit::Failure;
use escape::Filter;
use pieces::Pieces;

pub use escape::clean;
pub use table::Table;
pub use words::{ago, bytes, elapsed, elapsed_between, first_line, now};

/// Columns of a terminal that does not say how many it has.
const DEFAULT_COLUMNS: usize = 80;

/// Where everything is shown.
#[derive(Debug)]
pub struct Screen {
    format: Format,
    quiet: bool,
    out_is_terminal: bool,
    err_is_terminal: bool,
    filter: Filter,
    pieces: Pieces,
    /// Whether a progress line stands on the terminal.
    progress_stands: bool,
    /// Whether the last byte of output ended a line.
    at_line_start: bool,
}

impl Screen {
    /// Makes the screen of this process.
    pub fn new(format: Format, quiet: bool) -> Self {
        let out_is_terminal = io::stdout().is_terminal();
        Self {
            format,
            quiet,
            out_is_terminal,
            err_is_terminal: io::stderr().is_terminal(),
            filter: Filter::for_output(),
            pieces: Pieces::default(),
            progress_stands: false,
            at_line_start: true,
        }
    }

    /// Whether results are printed as JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether results are read by a person at a terminal.
    pub fn is_terminal(&self) -> bool {
        self.out_is_terminal
    }

    /// How wide the terminal is, and how high.
    pub fn size(&self) -> (usize, usize) {
        match rustix::termios::tcgetwinsize(io::stdout())
            .or_else(|_| rustix::termios::tcgetwinsize(io::stderr()))
        {
            Ok(size) if size.ws_col > 0 => (size.ws_col.into(), size.ws_row.into()),
            Ok(_) | Err(_) => (DEFAULT_COLUMNS, 24),
        }
    }

    /// Prints a value as one line of JSON.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string(value).map_err(|error| Failure::Failed(error.to_string()))?;
        text.push('\n');
        self.write(text.as_bytes())
    }

    /// Prints a line of a result. The text is ours: what came from elsewhere was cleaned.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.write(format!("{}\n", text.as_ref()).as_bytes())
    }

    /// Prints bytes that a task wrote: as they are, or each piece as one line of JSON.
    pub fn output(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(last) = bytes.last() else { return Ok(()) };
        if self.is_json() {
            return self.pieces.take(bytes).map_or(Ok(()), |piece| self.json(&piece));
        }
        self.at_line_start = *last == b'\n';
        if !self.out_is_terminal {
            return self.write(bytes);
        }
        let mut shown = Vec::with_capacity(bytes.len());
        self.filter.push(bytes, &mut shown);
        self.write(&shown)
    }

    /// Ends an output: what was held back is shown, colours end, and what follows begins on a line of its own.
    pub fn end_output(&mut self) -> Result<(), Failure> {
        if let Some(piece) = self.pieces.rest() {
            return self.json(&piece);
        }
        if !self.out_is_terminal {
            return Ok(());
        }
        let mut shown = Vec::new();
        self.filter.finish(&mut shown);
        if !std::mem::replace(&mut self.at_line_start, true) {
            shown.push(b'\n');
        }
        self.write(&shown)
    }

    /// Tells something on stderr, on lines of its own.
    pub fn note(&mut self, text: impl AsRef<str>) {
        self.clear_progress();
        // Who reads no stderr misses notes and nothing else.
        let _unread = writeln!(io::stderr(), "{}", text.as_ref());
    }

    /// Shows how far things are, on one line that the next one replaces; on a terminal alone.
    pub fn progress(&mut self, text: impl AsRef<str>) {
        if self.quiet || !self.err_is_terminal || self.is_json() {
            return;
        }
        let columns = self.size().0.saturating_sub(1);
        let text = table::cut(text.as_ref(), columns);
        let _unread = write!(io::stderr(), "\r\x1b[2K{text}");
        self.progress_stands = true;
    }

    /// Takes the progress line away.
    pub fn clear_progress(&mut self) {
        if std::mem::take(&mut self.progress_stands) {
            let _unread = write!(io::stderr(), "\r\x1b[2K");
        }
    }

    /// Draws a page of our own on the terminal.
    pub fn draw(&mut self, page: &str) -> Result<(), Failure> {
        self.write(page.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.clear_progress();
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }
}
