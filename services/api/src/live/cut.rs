//! Cuts a stream of bytes into texts between characters.

/// The most bytes of a character before its last.
const MAX_TORN: usize = 3;
/// What stands for bytes that are no character.
const REPLACEMENT: char = '\u{fffd}';

/// Cuts a stream of bytes into texts. What ends within a character waits for the rest of it; bytes that cannot become a
/// character are replaced.
#[derive(Debug)]
pub(crate) struct Cutter {
    /// Where the next text begins.
    offset: u64,
    /// Bytes before the first offset that were asked for to see whether it lies within a character.
    before: usize,
    /// The beginning of a character.
    torn: Vec<u8>,
}

impl Cutter {
    /// Begins at an offset.
    pub(crate) fn new(offset: u64) -> Self {
        let before = usize::try_from(offset).unwrap_or(usize::MAX).min(MAX_TORN);
        Self { offset, before, torn: Vec::new() }
    }

    /// Where the bytes that it takes first begin: a little before its offset.
    pub(crate) fn reads_from(&self) -> u64 {
        self.offset - self.before as u64
    }

    /// Where the next text begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the next bytes; answers the text that they complete, and where it begins.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Option<(u64, String)> {
        self.torn.extend_from_slice(bytes);
        if self.before > 0 {
            if self.torn.len() <= self.before {
                return None;
            }
            let skip = inside(&self.torn, self.before);
            if self.torn.len() < skip {
                return None;
            }
            self.offset += (skip - self.before) as u64;
            self.before = 0;
            self.torn.drain(..skip);
        }
        let (text, used) = decoded(&self.torn);
        self.told(text, used)
    }

    /// What is left at the end: bytes that can become no character any more.
    pub(crate) fn rest(&mut self) -> Option<(u64, String)> {
        let before = std::mem::take(&mut self.before).min(self.torn.len());
        self.torn.drain(..before);
        let used = self.torn.len();
        self.told(String::from_utf8_lossy(&self.torn).into_owned(), used)
    }

    fn told(&mut self, text: String, used: usize) -> Option<(u64, String)> {
        if used == 0 {
            return None;
        }
        self.torn.drain(..used);
        let offset = self.offset;
        self.offset += used as u64;
        Some((offset, text))
    }
}

/// Where the character ends that the place `at` lies within; `at` itself when it lies between characters.
fn inside(bytes: &[u8], at: usize) -> usize {
    for start in at.saturating_sub(MAX_TORN)..at {
        let width = match bytes[start] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => continue,
        };
        let end = start + width;
        let known = &bytes[start..end.min(bytes.len())];
        let becomes = match std::str::from_utf8(known) {
            Ok(_) => true,
            Err(error) => error.valid_up_to() == 0 && error.error_len().is_none(),
        };
        if end > at && becomes {
            return end;
        }
    }
    at
}

/// The text of bytes, but for the beginning of a character at their end; and how many of them it is.
fn decoded(bytes: &[u8]) -> (String, usize) {
    let mut text = String::with_capacity(bytes.len());
    let mut used = 0;
    loop {
        match std::str::from_utf8(&bytes[used..]) {
            Ok(rest) => {
                text.push_str(rest);
                return (text, bytes.len());
            }
            Err(error) => {
                let valid = used + error.valid_up_to();
                text.push_str(std::str::from_utf8(&bytes[used..valid]).expect("it was found valid"));
                let Some(bad) = error.error_len() else { return (text, valid) };
                text.push(REPLACEMENT);
                used = valid + bad;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All texts of bytes that come in pieces of some size, from an offset on.
    fn texts(bytes: &[u8], from: u64, size: usize) -> Vec<(u64, String)> {
        let mut cutter = Cutter::new(from);
        let start = usize::try_from(cutter.reads_from()).expect("small");
        let mut texts: Vec<_> = bytes[start..].chunks(size).filter_map(|piece| cutter.take(piece)).collect();
        texts.extend(cutter.rest());
        assert_eq!(cutter.torn, Vec::<u8>::new());
        texts
    }

    #[test]
    fn a_character_is_not_torn() {
        assert_eq!(texts("aé€".as_bytes(), 0, 1), [(0, "a".into()), (1, "é".into()), (3, "€".into())]);
    }

    #[test]
    fn a_beginning_within_a_character_is_moved_behind_it() {
        let text = "a😀b".as_bytes();
        for from in 2..=5 {
            assert_eq!(texts(text, from, 1), [(5, "b".to_owned())], "{from}");
        }
        assert_eq!(texts(text, 1, 1), [(1, "😀".to_owned()), (5, "b".to_owned())]);
        assert_eq!(texts(text, 6, 3), []);
    }

    #[test]
    fn what_can_become_no_character_is_replaced() {
        assert_eq!(
            texts(b"a\xff\xc3b\xe2\x82", 0, 64),
            [(0, "a\u{fffd}\u{fffd}b".into()), (4, "\u{fffd}".into())]
        );
        assert_eq!(texts(b"\x80\x80\x80\x80", 3, 1), [(3, "\u{fffd}".to_owned())]);
    }

    proptest! {
        #[test]
        fn the_texts_are_the_same_however_the_bytes_come(
            bytes in prop::collection::vec(prop_oneof![Just(0xe2), Just(0x82), Just(0xac), Just(0xf0), Just(0x9f), any::<u8>()], 0..40),
            size in 1_usize..9,
        ) {
            let joined = |texts: Vec<(u64, String)>| texts.into_iter().map(|(_, text)| text).collect::<String>();
            prop_assert_eq!(joined(texts(&bytes, 0, size)), String::from_utf8_lossy(&bytes).into_owned());
        }

        #[test]
        fn a_text_read_again_from_any_offset_ends_the_same(text in "\\PC{0,12}", from in 0_usize..40, size in 1_usize..9) {
            let from = from.min(text.len());
            let next = (from..=text.len()).find(|at| text.is_char_boundary(*at)).expect("the end is one");
            let told: String = texts(text.as_bytes(), from as u64, size).into_iter().map(|(_, text)| text).collect();
            prop_assert_eq!(told, &text[next..]);
        }
    }
}
