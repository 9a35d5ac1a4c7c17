//! From the bytes of a pipe to lines, without secrets in them.

use std::sync::Arc;

use conductor_redact::Redactor;

/// The longest line that is read; what is longer is no event.
const MAX_LINE_BYTES: usize = 8 << 20;

/// One line, or a mark that one was too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Text(String),
    TooLong,
}

/// Cuts bytes into lines.
#[derive(Debug)]
pub(super) struct Lines {
    redactor: Arc<Redactor>,
    held: Vec<u8>,
    /// Whether the rest of a line that was too long is being skipped.
    skips: bool,
}

impl Lines {
    pub fn new(redactor: Arc<Redactor>) -> Self {
        Self { redactor, held: Vec::new(), skips: false }
    }

    /// Takes bytes and gives the lines that ended in them.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = &after[1..];
            if std::mem::take(&mut self.skips) {
                continue;
            }
            self.held.extend_from_slice(line);
            let line = std::mem::take(&mut self.held);
            lines.push(self.line(&line));
        }
        if !self.skips {
            self.held.extend_from_slice(rest);
            if self.held.len() > MAX_LINE_BYTES {
                self.held = Vec::new();
                self.skips = true;
                lines.push(Line::TooLong);
            }
        }
        lines
    }

    /// Gives the last line when it has no end.
    pub fn finish(&mut self) -> Option<Line> {
        let line = std::mem::take(&mut self.held);
        (!line.is_empty()).then(|| self.line(&line))
    }

    fn line(&self, line: &[u8]) -> Line {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        Line::Text(self.redactor.text(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Line {
        Line::Text(text.into())
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let mut lines = Lines::new(Arc::default());
        assert_eq!(lines.push(b"on"), []);
        assert_eq!(lines.push(b"e\ntwo\r\n\nth"), [text("one"), text("two"), text("")]);
        assert_eq!(lines.finish(), Some(text("th")));
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn a_line_that_is_too_long_is_marked_and_skipped() {
        let mut lines = Lines::new(Arc::default());
        assert_eq!(lines.push(&vec![b'x'; MAX_LINE_BYTES + 1]), [Line::TooLong]);
        assert_eq!(lines.push(b"still the same"), []);
        assert_eq!(lines.push(b"\nnext\n"), [text("next")]);
    }

    #[test]
    fn a_credential_is_in_no_line_even_when_it_comes_in_pieces() {
        let redactor = Redactor::new([b"sk-secret-value".as_slice()]).unwrap();
        let mut lines = Lines::new(Arc::new(redactor));
        assert_eq!(lines.push(b"key=sk-sec"), []);
        assert_eq!(lines.push(b"ret-value!\n"), [text("key=[redacted]!")]);
    }
}
