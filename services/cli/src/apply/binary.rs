//! Changes of files that are no text, as `git diff --binary` writes them: the whole content or what differs, in both
//! directions. The way back shows whether a file is what the change was made for.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

/// The largest file that is changed.
const MAX_BYTES: usize = 64 << 20;
const DIGITS: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

/// What becomes of a file that is no text.
#[derive(Debug)]
pub struct Binary {
    there: Way,
    back: Way,
}

/// One direction.
#[derive(Debug)]
enum Way {
    Whole(Vec<u8>),
    Delta(Vec<u8>),
}

impl Binary {
    /// Reads what follows `GIT binary patch`, line by line; an empty line ends each direction.
    pub fn read<'a>(mut next: impl FnMut() -> Option<&'a [u8]>) -> Result<Self, String> {
        let there = Way::read(&mut next)?;
        let back = Way::read(&mut next)?;
        Ok(Self { there, back })
    }

    /// The content afterwards, when the file is what the change was made for.
    pub fn applied(&self, content: &[u8]) -> Option<Vec<u8>> {
        let changed = self.there.applied(content)?;
        (self.back.applied(&changed)? == content).then_some(changed)
    }
}

impl Way {
    fn read<'a>(next: &mut impl FnMut() -> Option<&'a [u8]>) -> Result<Self, String> {
        let unread = || "what is in it of a file that is no text cannot be read".to_owned();
        let head = std::str::from_utf8(next().ok_or_else(unread)?).map_err(|_| unread())?;
        let (kind, size) = head.split_once(' ').ok_or_else(unread)?;
        let size: usize = size.parse().map_err(|_| unread())?;
        if size > MAX_BYTES {
            return Err(format!("a file of {size} bytes is not taken"));
        }
        let mut packed = Vec::new();
        loop {
            match next() {
                None => return Err(unread()),
                Some([]) => break,
                Some(line) => decode(line, &mut packed).ok_or_else(unread)?,
            }
        }
        let mut bytes = Vec::new();
        let inflated = ZlibDecoder::new(&packed[..]).take(size as u64 + 1).read_to_end(&mut bytes);
        match (inflated, kind) {
            (Ok(found), "literal") if found == size => Ok(Self::Whole(bytes)),
            (Ok(found), "delta") if found == size => Ok(Self::Delta(bytes)),
            (Ok(_) | Err(_), _) => Err(unread()),
        }
    }

    fn applied(&self, content: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Whole(bytes) => Some(bytes.clone()),
            Self::Delta(delta) => patched(content, delta),
        }
    }
}

/// Decodes a line: its first letter says how many bytes it holds, and each five digits are four of them.
fn decode(line: &[u8], into: &mut Vec<u8>) -> Option<()> {
    let (first, digits) = line.split_first()?;
    let mut left = match first {
        b'A'..=b'Z' => usize::from(first - b'A' + 1),
        b'a'..=b'z' => usize::from(first - b'a' + 27),
        _ => return None,
    };
    if digits.len() != left.div_ceil(4) * 5 {
        return None;
    }
    for five in digits.chunks_exact(5) {
        let mut word: u32 = 0;
        for digit in five {
            let value = DIGITS.iter().position(|known| known == digit)?;
            word = word.checked_mul(85)?.checked_add(u32::try_from(value).ok()?)?;
        }
        let count = left.min(4);
        into.extend_from_slice(&word.to_be_bytes()[..count]);
        left -= count;
    }
    Some(())
}

/// Carries out a delta as git packs have them: copies of the old content, and new bytes between.
fn patched(old: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let mut rest = delta;
    if length(&mut rest)? != old.len() {
        return None;
    }
    let size = length(&mut rest)?;
    if size > MAX_BYTES {
        return None;
    }
    let mut new = Vec::with_capacity(size);
    while let Some((&op, after)) = rest.split_first() {
        rest = after;
        if op & 0x80 == 0 {
            let (bytes, after) = rest.split_at_checked(usize::from(op)).filter(|_| op != 0)?;
            new.extend_from_slice(bytes);
            rest = after;
        } else {
            let mut number = |bits: std::ops::Range<u32>| {
                let mut number = 0;
                for (place, bit) in bits.enumerate() {
                    if op & (1 << bit) != 0 {
                        let (&byte, after) = rest.split_first()?;
                        rest = after;
                        number |= usize::from(byte) << (8 * place);
                    }
                }
                Some(number)
            };
            let (offset, count) = (number(0..4)?, number(4..7)?);
            let count = if count == 0 { 0x10000 } else { count };
            new.extend_from_slice(old.get(offset..offset.checked_add(count)?)?);
        }
        if new.len() > size {
            return None;
        }
    }
    (new.len() == size).then_some(new)
}

/// A number of seven bits a byte, the lowest first.
fn length(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for place in 0..5 {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_copies_and_adds_and_is_held_to_its_lengths() {
        // Eight bytes become seven: two of the old from the third, then three new, then the old's last two.
        let delta = [8, 7, 0x91, 2, 2, 3, b'n', b'e', b'w', 0x91, 6, 2];
        assert_eq!(patched(b"abcdefgh", &delta).unwrap(), b"cdnewgh");
        assert_eq!(patched(b"abcdefg", &delta), None, "made for another length");
        assert_eq!(patched(b"abcdefgh", &delta[..9]), None, "it ends too early");
        assert_eq!(patched(b"abcdefgh", &[8, 4, 0x91, 6, 4]), None, "beyond the old");
        assert_eq!(patched(b"abcdefgh", &[8, 1, 0]), None, "an operation that git keeps free");
    }

    #[test]
    fn a_line_of_digits_is_held_to_the_length_it_says() {
        let mut bytes = Vec::new();
        decode(b"HcmV?d00001", &mut bytes).unwrap();
        assert_eq!(bytes.len(), 8);
        assert_eq!(&bytes[..2], b"\x78\x01", "the beginning of what zlib packs");
        for bad in [&b"HcmV?d0000"[..], b"1cmV?d00001", b"Dcm\"?d", b"D~~~~~"] {
            assert!(decode(bad, &mut Vec::new()).is_none(), "{bad:?}");
        }
    }
}
