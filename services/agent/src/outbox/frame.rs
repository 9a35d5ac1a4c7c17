//! Frames of the journal: one for each group of results that was written together.
//!
//! A frame is a magic number, a generation, an index within it, a length, a checksum over all of these but the
//! first, and JSON. A generation begins at the start of a file with all that is live; what stands behind its last
//! frame is left over from an older one.

use std::ops::Range;

/// Begins every frame; its last byte is the version of the format.
const MAGIC: [u8; 4] = *b"CdO1";
/// Magic, generation, index, length, checksum.
const HEAD: usize = 4 + 8 + 4 + 4 + 4;

/// Where a frame stands and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub generation: u64,
    pub index: u32,
    /// Its JSON, within the file.
    pub body: Range<usize>,
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// No frame at all.
    Nothing,
    /// The frames of one generation, from its first.
    Frames(Vec<Frame>),
    /// No first frame, but later ones of this generation: it was never finished, or it is damaged.
    Headless { generation: u64 },
    /// A frame is missing before others of the same generation; those before it are good.
    Damaged { offset: usize, before: Vec<Frame> },
    /// A later release wrote it.
    Newer { version: u8 },
}

/// Writes a frame.
pub(super) fn encode(generation: u64, index: u32, json: &[u8]) -> Vec<u8> {
    let length = u32::try_from(json.len()).expect("a group of results is far smaller than 4 GiB");
    let mut frame = Vec::with_capacity(HEAD + json.len());
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&generation.to_le_bytes());
    frame.extend_from_slice(&index.to_le_bytes());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&checksum(&frame[4..20], json).to_le_bytes());
    frame.extend_from_slice(json);
    frame
}

/// Reads what a file holds.
pub(super) fn scan(bytes: &[u8]) -> Content {
    if bytes.starts_with(&MAGIC[..3]) && bytes[3] != MAGIC[3] && bytes[3].is_ascii_alphanumeric() {
        return Content::Newer { version: bytes[3] };
    }
    let Some(first) = read(bytes, 0).filter(|frame| frame.index == 0) else {
        return match later(bytes, 1).map(|frame| frame.generation).max() {
            Some(generation) => Content::Headless { generation },
            None => Content::Nothing,
        };
    };
    let generation = first.generation;
    let mut end = first.body.end;
    let mut frames = vec![first];
    while let Some(frame) = read(bytes, end).filter(|frame| {
        frame.generation == generation && usize::try_from(frame.index).is_ok_and(|at| at == frames.len())
    }) {
        end = frame.body.end;
        frames.push(frame);
    }
    match later(bytes, end + 1).any(|frame| frame.generation == generation) {
        true => Content::Damaged { offset: end, before: frames },
        false => Content::Frames(frames),
    }
}

/// Finds whole frames at or after `from`, wherever they stand.
fn later(bytes: &[u8], from: usize) -> impl Iterator<Item = Frame> {
    let last = bytes.len().saturating_sub(HEAD);
    (from..=last).filter(|at| bytes[*at..].starts_with(&MAGIC)).filter_map(|at| read(bytes, at))
}

fn read(bytes: &[u8], at: usize) -> Option<Frame> {
    let head = bytes.get(at..at.checked_add(HEAD)?)?;
    if head[..4] != MAGIC {
        return None;
    }
    let generation = u64::from_le_bytes(head[4..12].try_into().ok()?);
    let index = u32::from_le_bytes(head[12..16].try_into().ok()?);
    let length = usize::try_from(u32::from_le_bytes(head[16..20].try_into().ok()?)).ok()?;
    let expected = u32::from_le_bytes(head[20..24].try_into().ok()?);
    let body = at + HEAD..(at + HEAD).checked_add(length)?;
    let json = bytes.get(body.clone())?;
    (checksum(&head[4..20], json) == expected).then_some(Frame { generation, index, body })
}

fn checksum(head: &[u8], json: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(json);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(frames: &[(u64, u32, &str)]) -> Vec<u8> {
        let mut bytes: Vec<u8> = frames
            .iter()
            .flat_map(|(generation, index, json)| encode(*generation, *index, json.as_bytes()))
            .collect();
        bytes.resize(bytes.len() + 4096, 0);
        bytes
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        match scan(bytes) {
            Content::Frames(frames) => frames
                .into_iter()
                .map(|frame| String::from_utf8(bytes[frame.body].to_vec()).unwrap())
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn frames_of_an_older_generation_behind_the_last_are_not_read() {
        let mut bytes = file(&[(3, 0, "aaaa"), (3, 1, "bbbb"), (3, 2, "cccc")]);
        assert_eq!(texts(&bytes), ["aaaa", "bbbb", "cccc"]);
        let newer = encode(5, 0, b"dddd");
        bytes[..newer.len()].copy_from_slice(&newer);
        assert_eq!(texts(&bytes), ["dddd"]);
    }

    #[test]
    fn a_torn_last_frame_is_cut_off_at_every_length() {
        let whole = file(&[(1, 0, "aaaa"), (1, 1, "bbbb")]);
        let first = encode(1, 0, b"aaaa").len();
        let second = encode(1, 1, b"bbbb").len();
        for kept in 0..second {
            let mut bytes = whole.clone();
            bytes[first + kept..first + second].fill(0);
            assert_eq!(texts(&bytes), ["aaaa"], "{kept} bytes of the last frame were written");
        }
    }

    #[test]
    fn a_flipped_bit_before_the_last_frame_is_damage() {
        let whole = file(&[(7, 0, "aaaa"), (7, 1, "bbbb"), (7, 2, "cccc")]);
        let frame = encode(7, 0, b"aaaa").len();
        for bit in 0..frame * 8 {
            let (mut first, mut second) = (whole.clone(), whole.clone());
            first[bit / 8] ^= 1 << (bit % 8);
            second[frame + bit / 8] ^= 1 << (bit % 8);
            let first = scan(&first);
            assert!(
                matches!(first, Content::Headless { generation: 7 } | Content::Newer { .. }),
                "bit {bit}: {first:?}"
            );
            let second = scan(&second);
            assert!(
                matches!(&second, Content::Damaged { offset, before } if *offset == frame && before.len() == 1),
                "bit {bit}: {second:?}"
            );
        }
    }

    #[test]
    fn nothing_and_a_later_format_are_told_apart() {
        assert_eq!(scan(&[]), Content::Nothing);
        assert_eq!(scan(&[0; 100]), Content::Nothing);
        assert_eq!(scan(b"CdO2 whatever"), Content::Newer { version: b'2' });
    }
}
