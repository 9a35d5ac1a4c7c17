//! Terminal output as pieces of text with classes: colours pass, everything else that a terminal would obey does not.

use serde::{Serialize, Serializer};

/// The longest escape sequence that is waited for; a longer one is passed over as text.
const MAX_SEQUENCE_BYTES: usize = 4_096;

/// How text looks. Colours are the sixteen of a terminal, so that both themes can show them readably.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    foreground: Option<u8>,
    background: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    strike: bool,
    inverse: bool,
}

impl Style {
    /// The classes of the style sheet, parted by blanks; empty for plain text.
    #[must_use]
    pub fn classes(&self) -> String {
        let (front, back) = match self.inverse {
            false => (self.foreground, self.background),
            true => (self.background, self.foreground),
        };
        let mut classes = Vec::new();
        classes.extend(front.map(|colour| format!("f{colour}")));
        classes.extend(back.map(|colour| format!("b{colour}")));
        let flags = [
            (self.bold, "bo"),
            (self.dim, "di"),
            (self.italic, "it"),
            (self.underline, "un"),
            (self.strike, "st"),
            (self.inverse && front.is_none() && back.is_none(), "in"),
        ];
        classes.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, class)| class.to_owned()));
        classes.join(" ")
    }

    /// The parameters that bring about this style from the plain one.
    #[must_use]
    pub fn parameters(&self) -> String {
        let colour = |base: u8, bright: u8, colour: u8| match colour {
            0..=7 => base + colour,
            _ => bright + colour.min(15) - 8,
        };
        let mut numbers = Vec::new();
        let flags = [
            (self.bold, 1),
            (self.dim, 2),
            (self.italic, 3),
            (self.underline, 4),
            (self.inverse, 7),
            (self.strike, 9),
        ];
        numbers.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, number)| number));
        numbers.extend(self.foreground.map(|it| colour(30, 90, it)));
        numbers.extend(self.background.map(|it| colour(40, 100, it)));
        numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(";")
    }

    /// Applies the parameters of a "select graphic rendition" sequence.
    pub fn apply(&mut self, parameters: &str) {
        let mut numbers = parameters.split([';', ':']).map(|number| number.parse::<u16>().unwrap_or(0));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 | 21 => self.underline = true,
                7 => self.inverse = true,
                9 => self.strike = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                27 => self.inverse = false,
                29 => self.strike = false,
                30..=37 => self.foreground = Some(low(number - 30)),
                38 => self.foreground = extended(&mut numbers).or(self.foreground),
                39 => self.foreground = None,
                40..=47 => self.background = Some(low(number - 40)),
                48 => self.background = extended(&mut numbers).or(self.background),
                49 => self.background = None,
                90..=97 => self.foreground = Some(low(number - 82)),
                100..=107 => self.background = Some(low(number - 92)),
                _ => {}
            }
        }
    }
}

fn low(number: u16) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// Reads `5;N` or `2;R;G;B` as the nearest of the sixteen colours.
fn extended(numbers: &mut impl Iterator<Item = u16>) -> Option<u8> {
    match numbers.next()? {
        5 => match numbers.next()? {
            number @ 0..=15 => Some(low(number)),
            number @ 16..=231 => {
                let (cube, level) = (number - 16, |step: u16| if step == 0 { 0 } else { 55 + step * 40 });
                Some(nearest(level(cube / 36), level(cube / 6 % 6), level(cube % 6)))
            }
            number @ 232..=255 => {
                let grey = 8 + (number - 232) * 10;
                Some(nearest(grey, grey, grey))
            }
            _ => None,
        },
        2 => Some(nearest(numbers.next()?, numbers.next()?, numbers.next()?)),
        _ => None,
    }
}

fn nearest(red: u16, green: u16, blue: u16) -> u8 {
    let most = red.max(green).max(blue);
    let least = red.min(green).min(blue);
    if most - least < 32 {
        return match most {
            0..=63 => 0,
            64..=149 => 8,
            150..=219 => 7,
            _ => 15,
        };
    }
    let half = (most / 2).max(least + (most - least) / 2);
    let bit = |level: u16, bit: u8| if level > half { bit } else { 0 };
    bit(red, 1) + bit(green, 2) + bit(blue, 4) + if most > 205 { 8 } else { 0 }
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text of one look, without line ends.
    Text {
        /// How it looks.
        style: Style,
        /// What it says.
        text: String,
    },
    /// The end of a line.
    Newline,
    /// Back to the beginning of the line, which is written anew.
    Return,
}

impl Serialize for Piece {
    /// `["classes", "text"]`, `0` for the end of a line and `1` for a return: it is sent for every line of every viewer.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text { style, text } => (style.classes(), text).serialize(serializer),
            Self::Newline => serializer.serialize_u8(0),
            Self::Return => serializer.serialize_u8(1),
        }
    }
}

/// Reads output as it comes, in any cuts.
#[derive(Debug, Default)]
pub struct Reader {
    style: Style,
    /// The beginning of a character or sequence whose end has not come yet.
    pending: Vec<u8>,
}

/// What the bytes at the front of the input are.
enum Front {
    Char(char, usize),
    Invalid(usize),
    Sequence(String, usize),
    Passed(usize),
    Incomplete,
}

impl Reader {
    /// Goes on where another reader stood.
    #[must_use]
    pub fn resumed(parameters: &str) -> Self {
        let mut style = Style::default();
        style.apply(parameters);
        Self { style, pending: Vec::new() }
    }

    /// The look of what comes next.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// How many bytes at the end have been taken but not given out.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Takes more output and gives what can be told of it.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.pending.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.pending);
        let (mut pieces, mut text, mut at) = (Vec::new(), String::new(), 0);
        while at < input.len() {
            match front(&input[at..]) {
                Front::Incomplete => break,
                Front::Invalid(length) => {
                    text.push(char::REPLACEMENT_CHARACTER);
                    at += length;
                }
                Front::Passed(length) => at += length,
                Front::Sequence(parameters, length) => {
                    self.flush(&mut text, &mut pieces);
                    self.style.apply(&parameters);
                    at += length;
                }
                Front::Char('\n', length) => {
                    self.flush(&mut text, &mut pieces);
                    pieces.push(Piece::Newline);
                    at += length;
                }
                Front::Char('\r', length) => {
                    at += length;
                    self.flush(&mut text, &mut pieces);
                    pieces.push(Piece::Return);
                }
                Front::Char(char, length) => {
                    if char == '\t' || !char.is_control() {
                        text.push(char);
                    }
                    at += length;
                }
            }
        }
        self.flush(&mut text, &mut pieces);
        self.pending.extend_from_slice(&input[at..]);
        pieces
    }

    fn flush(&self, text: &mut String, pieces: &mut Vec<Piece>) {
        if !text.is_empty() {
            pieces.push(Piece::Text { style: self.style, text: std::mem::take(text) });
        }
    }
}

fn front(input: &[u8]) -> Front {
    match input {
        [b'\r'] => Front::Incomplete,
        [b'\r', b'\n', ..] => Front::Char('\n', 2),
        [0x1b, rest @ ..] => escape(rest),
        [byte, ..] if byte.is_ascii() => Front::Char(char::from(*byte), 1),
        _ => character(input),
    }
}

fn character(input: &[u8]) -> Front {
    let window = &input[..input.len().min(4)];
    let decoded = |valid: &str| {
        let char = valid.chars().next().expect("the text is not empty");
        Front::Char(char, char.len_utf8())
    };
    match std::str::from_utf8(window) {
        Ok(text) => decoded(text),
        Err(error) if error.valid_up_to() > 0 => {
            decoded(std::str::from_utf8(&window[..error.valid_up_to()]).expect("it was found valid"))
        }
        Err(error) => error.error_len().map_or(Front::Incomplete, Front::Invalid),
    }
}

/// What follows an escape character.
fn escape(rest: &[u8]) -> Front {
    match rest {
        [] => Front::Incomplete,
        [b'[', rest @ ..] => match rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) {
            Some(end) if rest[end] == b'm' => {
                let parameters = String::from_utf8_lossy(&rest[..end]).into_owned();
                // Private sequences are no colours.
                let is_plain = parameters.bytes().all(|byte| byte.is_ascii_digit() || b";:".contains(&byte));
                if is_plain { Front::Sequence(parameters, end + 3) } else { Front::Passed(end + 3) }
            }
            Some(end) => Front::Passed(end + 3),
            None if rest.len() > MAX_SEQUENCE_BYTES => Front::Passed(2),
            None => Front::Incomplete,
        },
        // Strings to the terminal: titles, links, and answers to questions. They end with BEL or ESC \.
        [b']' | b'P' | b'X' | b'^' | b'_', rest @ ..] => {
            let end = rest.iter().position(|byte| matches!(byte, 0x07 | 0x1b));
            match end.map(|end| (end, &rest[end..])) {
                Some((end, [0x07, ..])) => Front::Passed(end + 3),
                Some((end, [0x1b, b'\\', ..])) => Front::Passed(end + 4),
                Some((_, [0x1b])) | None if rest.len() <= MAX_SEQUENCE_BYTES => Front::Incomplete,
                Some((end, _)) => Front::Passed(end + 2),
                None => Front::Passed(2),
            }
        }
        [b'(' | b')' | b'*' | b'+' | b'#' | b'%', rest @ ..] => match rest {
            [] => Front::Incomplete,
            [_, ..] => Front::Passed(3),
        },
        [_, ..] => Front::Passed(2),
    }
}

/// A text as it reads without colours and anything else that a terminal would obey.
#[must_use]
pub fn plain(text: &str) -> String {
    let line = |line: Line| line.spans.into_iter().map(|(_, text)| text).collect::<String>();
    lines(Reader::default().feed(text.as_bytes())).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A line of output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Its pieces: classes and text.
    pub spans: Vec<(String, String)>,
}

/// Puts pieces together to lines; the last one has not ended yet.
#[must_use]
pub fn lines(pieces: Vec<Piece>) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    let mut returned = false;
    for piece in pieces {
        let line = lines.last_mut().expect("there is always a line");
        match piece {
            Piece::Return => returned = true,
            Piece::Newline => {
                returned = false;
                lines.push(Line::default());
            }
            Piece::Text { style, text } => {
                if std::mem::take(&mut returned) {
                    line.spans.clear();
                }
                line.spans.push((style.classes(), text));
            }
        }
    }
    lines
}

#[cfg(test)]
#[path = "ansi/tests.rs"]
mod tests;
