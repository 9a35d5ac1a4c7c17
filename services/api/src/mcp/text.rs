//! Parts of what a task left, as texts of a bounded length.

use conductor_client::{Chunks, Control, Error};
use conductor_core::TaskId;
use conductor_protocol::control::{FileCall, Output, OutputEnd};

/// How many bytes are read when nothing is said.
const PART_BYTES: u32 = 16 << 10;
/// The most bytes that are read at once.
const MAX_PART_BYTES: u32 = 64 << 10;
/// The fewest, so that every part holds at least one character.
const MIN_PART_BYTES: u32 = 16;
/// The longest rest of a character that was cut.
const MAX_CUT: usize = 3;

/// What is read.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// What an attempt printed.
    Output { id: TaskId, attempt: Option<u32> },
    /// What an attempt changed.
    Diff { id: TaskId, attempt: Option<u32> },
    /// A file of the work folder.
    File { id: TaskId, path: String },
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// At a byte.
    At(u64),
    /// So that the end is read.
    Tail,
}

/// A part that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The text; nothing when it is no text.
    pub(super) text: Option<String>,
    /// Where the part begins.
    pub(super) offset: u64,
    /// Where the next one begins.
    pub(super) next_offset: u64,
    /// How long the whole is.
    pub(super) bytes: u64,
}

impl Source {
    async fn ask(&self, control: &Control, offset: u64, most: u64) -> Result<Chunks, Error> {
        let output = |id, attempt| Output { id, attempt, offset, follow: false, limit: Some(most) };
        match self {
            Self::Output { id, attempt } => control.output(output(*id, *attempt)).await,
            Self::Diff { id, attempt } => control.diff(output(*id, *attempt)).await,
            Self::File { id, path } => {
                control.file_part(FileCall { id: *id, path: path.clone(), offset, limit: Some(most) }).await
            }
        }
    }

    async fn bytes(&self, control: &Control, offset: u64, most: u64) -> Result<(Vec<u8>, OutputEnd), Error> {
        let mut chunks = self.ask(control, offset, most).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await? {
            bytes.extend_from_slice(&chunk.bytes);
        }
        let end = chunks.end().unwrap_or(OutputEnd { attempt: 0, offset, bytes: 0 });
        Ok((bytes, end))
    }
}

/// Reads a part.
///
/// # Errors
/// As the calls do.
pub(super) async fn read(
    control: &Control,
    source: &Source,
    begin: Begin,
    most: Option<u32>,
) -> Result<Part, Error> {
    let most = u64::from(most.unwrap_or(PART_BYTES).clamp(MIN_PART_BYTES, MAX_PART_BYTES));
    let offset = match begin {
        Begin::At(offset) => offset,
        Begin::Tail => source.bytes(control, 0, 0).await?.1.bytes.saturating_sub(most),
    };
    let (bytes, end) = source.bytes(control, offset, most).await?;
    let whole = end.bytes.max(offset.min(end.bytes) + bytes.len() as u64);
    Ok(part(bytes, offset, whole, begin == Begin::Tail))
}

/// Makes a text of bytes, and leaves out what was cut: of the last character while more follows, and of the first where
/// the beginning was not chosen by who reads.
fn part(mut bytes: Vec<u8>, mut offset: u64, whole: u64, cut_first: bool) -> Part {
    if cut_first && offset > 0 {
        let cut = bytes.iter().take(MAX_CUT).take_while(|byte| is_continuation(**byte)).count();
        bytes.drain(..cut);
        offset += cut as u64;
    }
    if offset + (bytes.len() as u64) < whole {
        bytes.truncate(last_whole(&bytes));
    }
    let next_offset = offset + bytes.len() as u64;
    let is_text = !bytes.contains(&0);
    let text = is_text.then(|| String::from_utf8_lossy(&bytes).into_owned());
    Part { text, offset, next_offset, bytes: whole }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Where the last whole character ends.
fn last_whole(bytes: &[u8]) -> usize {
    for back in 1..=MAX_CUT.min(bytes.len()) {
        let at = bytes.len() - back;
        if !is_continuation(bytes[at]) {
            let is_cut = std::str::from_utf8(&bytes[at..]).is_err_and(|error| error.error_len().is_none());
            return if is_cut && at > 0 { at } else { bytes.len() };
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_text_is_not_shown_as_one() {
        let part = part(vec![1, 0, 2], 0, 3, false);
        assert_eq!((part.text, part.next_offset), (None, 3));
    }

    #[test]
    fn the_end_begins_with_a_whole_character() {
        let bytes = "aé漢".as_bytes();
        let end = part(bytes[4..].to_vec(), 4, bytes.len() as u64, true);
        assert_eq!((end.text.as_deref(), end.offset, end.next_offset), (Some(""), 6, 6));
        let end = part(bytes[2..].to_vec(), 2, bytes.len() as u64, true);
        assert_eq!((end.text.as_deref(), end.offset), (Some("漢"), 3));
    }

    proptest! {
        #[test]
        fn parts_put_together_are_the_whole_text(text in "[a-zé漢😀]{0,60}", most in 16_usize..40) {
            let bytes = text.as_bytes();
            let (mut offset, mut read) = (0, String::new());
            while offset < bytes.len() {
                let window = bytes[offset..(offset + most).min(bytes.len())].to_vec();
                let part = part(window, offset as u64, bytes.len() as u64, false);
                prop_assert!(part.next_offset > offset as u64, "it goes on");
                offset = usize::try_from(part.next_offset).unwrap();
                read.push_str(&part.text.unwrap());
            }
            prop_assert_eq!(read, text);
        }

        #[test]
        fn any_bytes_come_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 1..80)) {
            let mut offset = 0;
            while offset < bytes.len() {
                let window = bytes[offset..(offset + 16).min(bytes.len())].to_vec();
                let part = part(window, offset as u64, bytes.len() as u64, false);
                prop_assert!(part.next_offset > offset as u64);
                offset = usize::try_from(part.next_offset).unwrap();
            }
        }
    }
}
