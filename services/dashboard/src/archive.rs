//! The files of a task as one archive, made while it is sent.

use bytes::Bytes;
use conductor_client::{Control, Error};
use conductor_core::TaskId;
use conductor_protocol::control::FileCall;
use conductor_protocol::task::FileView;
use futures_util::{Stream, stream};

use crate::parts::{Parts, Source};

/// The size of a tar block.
const BLOCK: u64 = 512;
/// Paths longer than this have a header of their own.
const MAX_SHORT_PATH_BYTES: usize = 100;

/// What is written next.
enum Next {
    Header(std::vec::IntoIter<FileView>),
    /// The bytes of a file: how many are still owed to its header, and how much follows to fill its last block.
    Bytes {
        parts: Box<Parts>,
        owed: u64,
        fill: u64,
        rest: std::vec::IntoIter<FileView>,
    },
    End,
}

/// Makes an archive. A file that has another length by then is cut or filled: its header was sent.
pub fn tar(
    control: Control,
    id: TaskId,
    files: Vec<FileView>,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
    stream::unfold((Next::Header(files.into_iter()), control), move |(next, control)| async move {
        match step(next, &control, id).await {
            Ok(Some((bytes, next))) => Some((Ok(bytes), (next, control))),
            Ok(None) => None,
            Err(error) => Some((Err(error), (Next::End, control))),
        }
    })
}

async fn step(next: Next, control: &Control, id: TaskId) -> Result<Option<(Bytes, Next)>, Error> {
    match next {
        Next::Header(mut rest) => match rest.next() {
            Some(file) => {
                let source = Source::File(FileCall { id, path: file.path.clone(), offset: 0, limit: None });
                let parts = Box::new(Parts::new(control.clone(), source));
                let fill = (BLOCK - file.bytes % BLOCK) % BLOCK;
                let next = Next::Bytes { parts, owed: file.bytes, fill, rest };
                Ok(Some((headers(&file.path, file.bytes), next)))
            }
            None => Ok(Some((zeros(2 * BLOCK), Next::End))),
        },
        Next::Bytes { owed: 0, fill, rest, .. } => Ok(Some((zeros(fill), Next::Header(rest)))),
        Next::Bytes { mut parts, owed, fill, rest } => {
            let bytes = match parts.next().await? {
                Some(mut bytes) => {
                    bytes.truncate(usize::try_from(owed).unwrap_or(usize::MAX).min(bytes.len()));
                    bytes
                }
                None => zeros(owed.min(64 << 10)),
            };
            let owed = owed - bytes.len() as u64;
            Ok(Some((bytes, Next::Bytes { parts, owed, fill, rest })))
        }
        Next::End => Ok(None),
    }
}

fn zeros(count: u64) -> Bytes {
    Bytes::from(vec![0; usize::try_from(count).unwrap_or(0)])
}

/// The header of a file, and before it one for its path when that is long.
fn headers(path: &str, bytes: u64) -> Bytes {
    let mut written = Vec::new();
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_mtime(0);
    if path.len() > MAX_SHORT_PATH_BYTES || header.set_path(path).is_err() {
        let mut long = tar::Header::new_gnu();
        long.set_entry_type(tar::EntryType::GNULongName);
        long.as_gnu_mut().expect("it was made one").name[..13].copy_from_slice(b"././@LongLink");
        let size = path.len() as u64 + 1;
        long.set_size(size);
        long.set_mode(0o644);
        long.set_cksum();
        written.extend_from_slice(long.as_bytes());
        written.extend_from_slice(path.as_bytes());
        written.resize(written.len() + 1 + usize::try_from((BLOCK - size % BLOCK) % BLOCK).unwrap_or(0), 0);
        header.as_gnu_mut().expect("it was made one").name[..4].copy_from_slice(b"file");
    }
    header.set_size(bytes);
    header.set_cksum();
    written.extend_from_slice(header.as_bytes());
    written.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn headers_are_read_by_others() {
        let long = format!("{}/x.txt", "d".repeat(150));
        let mut archive = Vec::new();
        for path in ["a.txt", long.as_str(), "漢/字.md"] {
            archive.extend_from_slice(&headers(path, 3));
            archive.extend_from_slice(b"abc");
            archive.extend_from_slice(&zeros(BLOCK - 3));
        }
        archive.extend_from_slice(&zeros(2 * BLOCK));
        let mut read = tar::Archive::new(archive.as_slice());
        let mut paths = Vec::new();
        for entry in read.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!(text, "abc");
            paths.push(entry.path().unwrap().to_str().unwrap().to_owned());
        }
        assert_eq!(paths, ["a.txt", &long, "漢/字.md"]);
    }
}
