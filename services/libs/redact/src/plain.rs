//! The plain form of bytes, in which the spellings of a secret fall together.
//!
//! White space, backslashes, `+` and `-` are left out, and so are the letters of an escaped line end or tab; `_` becomes
//! `/`; `%41` and `\u0041` become what they stand for. So base64 in both alphabets is one, wrapped or not, in a diff or
//! not; URL encoding and JSON escapes, also of JSON in JSON, are undone.

/// The longest spelling of one character: two escapes of six bytes, and a few backslashes from nesting.
const MAX_RUN: usize = 32;

/// Where each byte of a plain form comes from.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The first raw byte of what became it.
    pub starts: Vec<u32>,
    /// The raw byte behind it.
    pub ends: Vec<u32>,
}

impl Places {
    /// The raw range of a plain range that is not empty.
    pub fn raw(&self, start: usize, end: usize) -> (usize, usize) {
        (self.starts[start] as usize, self.ends[end - 1] as usize)
    }
}

/// What a byte is to the plain form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Itself,
    Dropped,
    Underscore,
    Percent,
    Backslash,
}

const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Itself; 256];
    let mut at = 0;
    let dropped = b" \t\r\n+-";
    while at < dropped.len() {
        kinds[dropped[at] as usize] = Kind::Dropped;
        at += 1;
    }
    kinds[b'_' as usize] = Kind::Underscore;
    kinds[b'%' as usize] = Kind::Percent;
    kinds[b'\\' as usize] = Kind::Backslash;
    kinds
};

/// What stands at a place.
enum Unit {
    /// Bytes that become these.
    Bytes { length: usize, bytes: [u8; 4], count: usize },
    /// Bytes that become nothing.
    Nothing { length: usize },
    /// An escape whose end is not there yet.
    Cut,
}

/// Writes the plain form of `raw` into `out`; gives where an escape begins whose end is not there, else the length.
pub(crate) fn plain(raw: &[u8], out: &mut Vec<u8>) -> usize {
    walk(raw, |_, _, bytes| out.extend_from_slice(bytes))
}

/// Says where each byte of the plain form comes from.
pub(crate) fn places(raw: &[u8]) -> Places {
    let mut places = Places::default();
    walk(raw, |start, end, bytes| {
        // A stream looks at far less than 4 GiB at once.
        places.starts.extend((0..bytes.len()).map(|_| start as u32));
        places.ends.extend((0..bytes.len()).map(|_| end as u32));
    });
    places
}

fn walk(raw: &[u8], mut take: impl FnMut(usize, usize, &[u8])) -> usize {
    let mut at = 0;
    while at < raw.len() {
        // Most bytes are themselves, and are taken as they stand.
        match KINDS[raw[at] as usize] {
            Kind::Itself => {
                take(at, at + 1, &raw[at..=at]);
                at += 1;
            }
            Kind::Dropped => at += 1,
            Kind::Underscore => {
                take(at, at + 1, b"/");
                at += 1;
            }
            Kind::Percent | Kind::Backslash => match escape(&raw[at..]) {
                Unit::Bytes { length, bytes, count } => {
                    take(at, at + length, &bytes[..count]);
                    at += length;
                }
                Unit::Nothing { length } => at += length,
                Unit::Cut => return at,
            },
        }
    }
    raw.len()
}

fn escape(raw: &[u8]) -> Unit {
    if raw[0] == b'%' {
        return percent(raw);
    }
    let slashes = raw.iter().take(MAX_RUN).take_while(|byte| **byte == b'\\').count();
    match raw.get(slashes) {
        None => Unit::Cut,
        Some(b'n' | b'r' | b't') => Unit::Nothing { length: slashes + 1 },
        Some(b'u') => unicode(&raw[slashes..], slashes),
        // The backslash belongs to what it escapes, so that no half escape is left beside a mark.
        Some(byte @ (b'"' | b'/')) => Unit::Bytes { length: slashes + 1, bytes: [*byte, 0, 0, 0], count: 1 },
        Some(_) => Unit::Nothing { length: slashes },
    }
}

fn percent(raw: &[u8]) -> Unit {
    let literal = Unit::Bytes { length: 1, bytes: [b'%', 0, 0, 0], count: 1 };
    match (raw.get(1).map(|byte| hex(*byte)), raw.get(2).map(|byte| hex(*byte))) {
        (None, _) | (Some(Some(_)), None) => Unit::Cut,
        (Some(Some(high)), Some(Some(low))) => folded(high << 4 | low, 3),
        (Some(_), _) => literal,
    }
}

/// One byte that was written as an escape, in its plain form.
fn folded(byte: u8, length: usize) -> Unit {
    let bytes = |byte| Unit::Bytes { length, bytes: [byte, 0, 0, 0], count: 1 };
    match KINDS[byte as usize] {
        Kind::Itself | Kind::Percent => bytes(byte),
        Kind::Underscore => bytes(b'/'),
        Kind::Dropped | Kind::Backslash => Unit::Nothing { length },
    }
}

/// `u` and four digits behind backslashes, and a second such escape where the first is half of a character.
fn unicode(raw: &[u8], slashes: usize) -> Unit {
    let first = match unit(raw) {
        Ok(Some(first)) => first,
        Ok(None) => return Unit::Nothing { length: slashes },
        Err(Short) => return Unit::Cut,
    };
    let length = slashes + 5;
    if let Some(char) = char::from_u32(first) {
        return encoded(char, length);
    }
    let rest = &raw[5..];
    let more = rest.iter().take(MAX_RUN).take_while(|byte| **byte == b'\\').count();
    if more == 0 && !rest.is_empty() {
        return Unit::Nothing { length };
    }
    let second = match rest.get(more) {
        None => return Unit::Cut,
        Some(b'u') => match unit(&rest[more..]) {
            Ok(second) => second,
            Err(Short) => return Unit::Cut,
        },
        Some(_) => None,
    };
    let pair = second.filter(|second| (0xdc00..0xe000).contains(second) && first < 0xdc00);
    let char = pair.and_then(|second| char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
    match char {
        Some(char) => encoded(char, length + more + 5),
        None => Unit::Nothing { length },
    }
}

fn encoded(char: char, length: usize) -> Unit {
    match u8::try_from(u32::from(char)) {
        Ok(byte) if byte.is_ascii() => folded(byte, length),
        _ => {
            let mut bytes = [0; 4];
            let count = char.encode_utf8(&mut bytes).len();
            Unit::Bytes { length, bytes, count }
        }
    }
}

/// The rest of an escape is not there.
struct Short;

/// Reads `u` and four hexadecimal digits; none when they are not.
fn unit(raw: &[u8]) -> Result<Option<u32>, Short> {
    let mut value = 0;
    for at in 1..5 {
        match raw.get(at).map(|byte| hex(*byte)) {
            None => return Err(Short),
            Some(None) => return Ok(None),
            Some(Some(digit)) => value = value << 4 | u32::from(digit),
        }
    }
    Ok(Some(value))
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> String {
        let mut out = Vec::new();
        plain(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn spellings_fall_together() {
        for (text, wanted) in [
            ("a b\n+c-d_e", "abcd/e"),
            ("100%", "100"),
            ("100% of", "100%of"),
            ("%41%2f%2F%5f%20", "A////".get(..4).unwrap()),
            (r#"\"x\\\"\/"#, "\"x\"/"),
            (r"line\nline\\nline\\\r\t", "linelineline"),
            (r"\u0041\\u00e9\ud83d\ude00\ud83dx", "Aé😀x"),
            (r"\x41 C:\dir", "x41C:dir"),
        ] {
            assert_eq!(form(text), wanted, "{text}");
        }
    }

    #[test]
    fn an_escape_without_its_end_is_told_by_where_it_begins() {
        for (text, at) in [
            ("ab%", 2),
            ("ab%4", 2),
            ("ab%x", 4),
            ("ab\\", 2),
            (r"ab\u00", 2),
            (r"a\ud83d\", 1),
            ("ab\\x", 4),
        ] {
            assert_eq!(plain(text.as_bytes(), &mut Vec::new()), at, "{text}");
        }
    }

    #[test]
    fn every_plain_byte_has_its_place() {
        let text = br"a %41\u00e9b";
        let places = places(text);
        assert_eq!(places.starts, [0, 2, 5, 5, 11]);
        assert_eq!(places.raw(1, 4), (2, 11));
    }
}
