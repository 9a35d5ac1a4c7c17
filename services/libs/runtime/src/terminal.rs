//! What may reach a terminal: colours at most. Other control sequences are shown instead of obeyed.

use std::borrow::Cow;
use std::io::{self, Write};

/// Gives a text in which every control character is shown, but for line ends, tabs and, where `colours` pass, the
/// sequences that set them.
pub fn visible(text: &str, colours: bool) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match colour_length(rest) {
            Some(length) if colours => length,
            Some(_) | None => c.len_utf8(),
        };
        let (taken, after) = rest.split_at(length);
        match is_control(c) && length == c.len_utf8() {
            true => shown.extend(c.escape_default()),
            false => shown.push_str(taken),
        }
        rest = after;
    }
    Cow::Owned(shown)
}

/// Tells whether a terminal could obey the character; it includes the second form of the control characters (C1).
fn is_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

/// Gives the length of the colour sequence that the text begins with.
fn colour_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    parameters[end..].starts_with('m').then_some("\u{1b}[".len() + end + 1)
}

/// Writes to a terminal what [`visible`] gives. Each write should be of whole sequences, as a log event is.
#[derive(Debug)]
pub struct Visible<W> {
    inner: W,
    colours: bool,
}

impl<W> Visible<W> {
    /// Wraps a writer.
    pub fn new(inner: W, colours: bool) -> Self {
        Visible { inner, colours }
    }
}

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.inner.write_all(visible(&text, self.colours).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_passes_as_it_is() {
        for text in ["", "hello\n\tgröße 🎉\n"] {
            assert!(matches!(visible(text, false), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn colours_pass_where_they_may() {
        let text = "\u{1b}[1;31mred\u{1b}[0m\u{1b}[m";
        assert_eq!(visible(text, true), text);
        assert_eq!(visible(text, false), "\\u{1b}[1;31mred\\u{1b}[0m\\u{1b}[m");
    }

    #[test]
    fn every_other_control_sequence_is_shown() {
        for (text, shown) in [
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}[31", "\\u{1b}[31"),
            ("\u{1b}", "\\u{1b}"),
            ("a\rb\u{8}", "a\\rb\\u{8}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{1b}[\u{1b}[31m", "\\u{1b}[\u{1b}[31m"),
            ("\u{7f}\0", "\\u{7f}\\u{0}"),
        ] {
            assert_eq!(visible(text, true), shown);
        }
    }

    #[test]
    fn a_writer_takes_everything_even_what_is_not_text() {
        let mut written = Vec::new();
        Visible::new(&mut written, false).write_all(b"\x1b[2J \xff\n").unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "\\u{1b}[2J \u{fffd}\n");
    }
}
