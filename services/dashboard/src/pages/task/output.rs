//! The output of an attempt, as far as the first view shows it; the page's script goes on from there.

use conductor_client::Control;
use conductor_protocol::control::Output as OutputCall;
use conductor_protocol::task::TaskView;
use conductor_web::Refusal;

use crate::ansi::{self, Line};
use crate::format;
use crate::words::Words;

/// The most bytes of output in the first view: its end.
const FIRST_BYTES: u64 = 48 << 10;
/// The most bytes of output that are loaded together of what lies before.
const EARLIER_BYTES: u64 = 256 << 10;
/// The most attempts that are offered.
const MAX_ATTEMPTS: u32 = 20;

/// The output of an attempt.
#[derive(Debug, Default)]
pub struct Output {
    /// Which attempt.
    pub attempt: u32,
    /// How many there are.
    pub attempts: u32,
    /// Where the lines begin.
    pub from: u64,
    /// Says how much lies before.
    pub left_out: String,
    /// Where they end: the script goes on here.
    pub offset: u64,
    /// The look that text has there.
    pub sgr: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// Whether the last line has not ended.
    pub is_open: bool,
    /// Whether nothing more will come.
    pub is_over: bool,
    /// Whether nothing was printed.
    pub is_empty: bool,
}

impl Output {
    /// The attempts that can be looked at.
    pub fn numbers(&self) -> std::ops::RangeInclusive<u32> {
        self.attempts.saturating_sub(MAX_ATTEMPTS - 1).max(1)..=self.attempts
    }
}

/// Reads the end of what an attempt printed, or what lies before an offset that a view began at.
pub async fn read(
    w: &Words,
    control: &Control,
    task: &TaskView,
    asked: Option<u32>,
    before: Option<u64>,
) -> Result<Output, Refusal> {
    let attempt = asked.unwrap_or(task.attempt).max(1);
    let is_over = task.state.is_terminal() || attempt < task.attempt;
    let mut output = Output { attempt, attempts: task.attempt, is_over, is_empty: true, ..Output::default() };
    if task.attempt == 0 {
        return Ok(output);
    }
    let call = OutputCall { id: task.id, attempt: Some(attempt), offset: 0, follow: false, limit: Some(0) };
    let mut probe = control.output(call).await?;
    while probe.next().await?.is_some() {}
    let bytes = probe.end().map_or(0, |end| end.bytes);
    let (until, most) = match before {
        Some(before) => (before.min(bytes), EARLIER_BYTES),
        None => (bytes, FIRST_BYTES),
    };
    output.from = until.saturating_sub(most);
    // What was printed since the probe comes with what follows.
    let call = OutputCall { offset: output.from, limit: Some(until - output.from), ..call };
    let mut chunks = control.output(call).await?;
    let mut raw = Vec::new();
    while let Some(chunk) = chunks.next().await? {
        raw.extend_from_slice(&chunk.bytes);
    }
    if output.from > 0 {
        // The first line is not whole.
        let cut = raw.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        output.from += cut as u64;
        raw.drain(..cut);
        output.left_out = format!("{} {}", format::bytes(output.from), w.left_out);
    }
    let mut reader = ansi::Reader::default();
    output.lines = ansi::lines(reader.feed(&raw));
    // What begins after the last line end is a line only when it holds something.
    output.is_open = output.lines.last().is_some_and(|line| !line.spans.is_empty());
    if !output.is_open {
        output.lines.pop();
    }
    output.is_empty = output.lines.is_empty();
    output.offset = output.from + (raw.len() - reader.pending()) as u64;
    output.sgr = reader.style().parameters();
    Ok(output)
}
