//! Keeps what a task wrote from steering the terminal that shows it.
//!
//! Colours pass. Every other control sequence is shown and not obeyed: it could move the cursor over what was there,
//! change the title, write the clipboard or answer into the shell. So are characters that turn the direction of text.

use std::fmt::Write as _;

/// The longest colour sequence that passes, and the most bytes that are held back for their rest.
const MAX_HELD: usize = 64;
const ESC: u8 = 0x1b;

/// A filter for a stream of bytes, cut anywhere.
#[derive(Debug)]
pub struct Filter {
    /// The beginning of something whose end has not come yet.
    held: Vec<u8>,
    colours: bool,
    lines: bool,
    /// Whether a colour is on.
    is_coloured: bool,
}

/// What stands at the beginning of some bytes.
enum Token {
    /// So many bytes that pass as they are.
    Plain(usize),
    /// A sequence of so many bytes that sets colours.
    Colour(usize),
    /// A carriage return before a line's end: both are one line's end.
    LineEnd,
    /// So many bytes that are shown and not obeyed.
    Shown(usize),
    /// Its end has not come yet.
    Unfinished,
}

impl Filter {
    /// A filter for output: lines and colours pass.
    pub fn for_output() -> Self {
        Self { held: Vec::new(), colours: true, lines: true, is_coloured: false }
    }

    /// Takes bytes and gives what may be shown of them.
    pub fn push(&mut self, bytes: &[u8], shown: &mut Vec<u8>) {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let rest = self.pass(&all, shown, false);
        self.held = all.split_off(all.len() - rest);
    }

    /// Gives what was held back, and ends colours.
    pub fn finish(&mut self, shown: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        self.pass(&held, shown, true);
        if std::mem::take(&mut self.is_coloured) {
            shown.extend_from_slice(b"\x1b[0m");
        }
    }

    /// Passes what can be passed and says how many bytes are left.
    fn pass(&mut self, mut bytes: &[u8], shown: &mut Vec<u8>, is_end: bool) -> usize {
        while !bytes.is_empty() {
            let mut token = self.token(bytes);
            if matches!(token, Token::Unfinished) {
                if !is_end && bytes.len() < MAX_HELD {
                    break;
                }
                token = Token::Shown(1);
            }
            let length = match token {
                Token::Plain(length) => {
                    shown.extend_from_slice(&bytes[..length]);
                    length
                }
                Token::Colour(length) => {
                    shown.extend_from_slice(&bytes[..length]);
                    self.is_coloured = !matches!(&bytes[..length], b"\x1b[m" | b"\x1b[0m");
                    length
                }
                Token::LineEnd => {
                    shown.push(b'\n');
                    2
                }
                Token::Shown(length) => {
                    show(&bytes[..length], shown);
                    length
                }
                Token::Unfinished => 0,
            };
            bytes = &bytes[length..];
        }
        bytes.len()
    }

    fn token(&self, bytes: &[u8]) -> Token {
        let plain = bytes.iter().take_while(|byte| (0x20..0x7f).contains(*byte)).count();
        if plain > 0 {
            return Token::Plain(plain);
        }
        match bytes[0] {
            b'\n' | b'\t' if self.lines => Token::Plain(1),
            b'\r' if self.lines => match bytes.get(1) {
                Some(b'\n') => Token::LineEnd,
                Some(_) => Token::Shown(1),
                None => Token::Unfinished,
            },
            ESC if self.colours => sequence(bytes),
            0..0x80 => Token::Shown(1),
            _ => character(bytes),
        }
    }
}

/// What an escape begins.
fn sequence(bytes: &[u8]) -> Token {
    match bytes.get(1) {
        None => return Token::Unfinished,
        Some(b'[') => {}
        Some(_) => return Token::Shown(1),
    }
    let parameters = bytes[2..].iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')).count();
    match bytes.get(2 + parameters) {
        None => Token::Unfinished,
        Some(b'm') if sets_colours(&bytes[2..2 + parameters]) => Token::Colour(parameters + 3),
        Some(_) => Token::Shown(1),
    }
}

/// Whether the parameters set colours and the like, and hide nothing.
fn sets_colours(parameters: &[u8]) -> bool {
    if parameters.len() > MAX_HELD - 3 {
        return false;
    }
    let mut fields = parameters.split(|byte| *byte == b';');
    while let Some(field) = fields.next() {
        let number = field.split(|byte| *byte == b':').next().unwrap_or_default();
        match number {
            // Its own parameters follow: 5;N, or 2;R;G;B.
            b"38" | b"48" | b"58" if number.len() == field.len() => {
                let count = match fields.next() {
                    Some(b"5") => 1,
                    Some(b"2") => 3,
                    Some(_) | None => 0,
                };
                fields.by_ref().take(count).for_each(drop);
            }
            // Concealed text is there to be copied unseen.
            b"8" | b"08" => return false,
            _ => {}
        }
    }
    true
}

/// What a byte beyond ASCII begins.
fn character(bytes: &[u8]) -> Token {
    let text = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(text) {
        Ok(valid) => valid,
        Err(error) if error.valid_up_to() > 0 => {
            std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(error) => {
            return match error.error_len() {
                Some(length) => Token::Shown(length),
                None => Token::Unfinished,
            };
        }
    };
    match valid.chars().next() {
        Some(first) if deceives(first) => Token::Shown(first.len_utf8()),
        Some(first) => Token::Plain(first.len_utf8()),
        None => Token::Shown(1),
    }
}

/// Whether a character steers: controls of the upper half, marks that turn the direction, tags.
fn deceives(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' |
            '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Shows bytes in words.
fn show(bytes: &[u8], shown: &mut Vec<u8>) {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _always_fits = match (bytes, std::str::from_utf8(bytes)) {
        ([byte @ 0..0x20], _) => write!(text, "^{}", char::from(byte + 0x40)),
        ([0x7f], _) => write!(text, "^?"),
        (_, Ok(chars)) => chars.chars().try_for_each(|char| write!(text, "\\u{{{:x}}}", u32::from(char))),
        (bytes, Err(_)) => bytes.iter().try_for_each(|byte| write!(text, "\\x{byte:02x}")),
    };
    shown.extend_from_slice(text.as_bytes());
}

/// A text on one line, without anything that a terminal would obey. For names, summaries and the like.
pub fn clean(text: &str) -> String {
    let mut shown = Vec::with_capacity(text.len());
    let mut filter = Filter { held: Vec::new(), colours: false, lines: false, is_coloured: false };
    let spaced = text.trim_end().replace(['\n', '\t', '\r'], " ");
    filter.push(spaced.as_bytes(), &mut shown);
    filter.finish(&mut shown);
    String::from_utf8_lossy(&shown).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parts: &[&[u8]]) -> String {
        let mut shown = Vec::new();
        let mut filter = Filter::for_output();
        for part in parts {
            filter.push(part, &mut shown);
        }
        filter.finish(&mut shown);
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn text_lines_and_colours_pass() {
        for text in [
            "plain\n",
            "tab\tbed\n",
            "日本 é 🦀\n",
            "\u{1b}[1;31mred\u{1b}[0m\n",
            "\u{1b}[38;5;8mgrey\u{1b}[m",
        ] {
            assert_eq!(shown(&[text.as_bytes()]), text);
        }
        assert_eq!(shown(&[b"dos\r\nlines\r\n"]), "dos\nlines\n");
    }

    #[test]
    fn everything_else_is_shown_and_not_obeyed() {
        for (bytes, expected) in [
            (&b"\x1b]0;title\x07"[..], "^[]0;title^G"),
            (b"\x1b[2J", "^[[2J"),
            (b"\x1b[1A", "^[[1A"),
            (b"\x1b[?25l", "^[[?25l"),
            (b"\x1bP+q\x1b\\", "^[P+q^[\\"),
            (b"\x1b]52;c;aGk=\x07", "^[]52;c;aGk=^G"),
            (b"\x1b[8mhidden", "^[[8mhidden"),
            (b"\x1b[1;08mhidden", "^[[1;08mhidden"),
            (b"over\rwritten", "over^Mwritten"),
            (b"\x08\x00\x7f", "^H^@^?"),
            ("\u{9b}31m".as_bytes(), "\\u{9b}31m"),
            (b"\x9b31m", "\\x9b31m"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
            (b"\x1b", "^["),
            (b"\x1b[31", "^[[31"),
            (b"\xe6\x97", "\\xe6\\x97"),
        ] {
            assert_eq!(shown(&[bytes]), expected);
        }
    }

    #[test]
    fn it_does_not_matter_where_the_stream_is_cut() {
        let text = "a\u{1b}[1;32mb日\u{1b}[2Jc\r\nd\re\u{202e}\u{1b}]0;x\u{7}é\u{1b}[0m".as_bytes();
        let whole = shown(&[text]);
        for at in 0..text.len() {
            assert_eq!(shown(&[&text[..at], &text[at..]]), whole, "cut at {at}");
        }
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(shown(&single), whole);
    }

    #[test]
    fn a_colour_that_was_left_on_ends_with_the_output() {
        assert_eq!(shown(&[b"\x1b[31mred"]), "\u{1b}[31mred\u{1b}[0m");
    }

    #[test]
    fn a_sequence_without_an_end_is_not_held_back_for_good() {
        let mut filter = Filter::for_output();
        let mut out = Vec::new();
        filter.push(b"\x1b[", &mut out);
        for _ in 0..1_000 {
            filter.push(b"1", &mut out);
        }
        assert!(filter.held.len() < MAX_HELD && out.len() > 900, "{} {}", filter.held.len(), out.len());
    }

    #[test]
    fn a_name_stays_on_its_line() {
        assert_eq!(clean("a\nb\u{1b}[31mc\u{202e}\n"), "a b^[[31mc\\u{202e}");
    }
}
