//! The files that a task left, and a preview of one.

use conductor_client::Control;
use conductor_core::TaskId;
use conductor_protocol::control::FileCall;
use conductor_web::Refusal;

use crate::format;
use crate::frame::Frame;
use crate::highlight::{self, Span};
use crate::served::is_image;

/// The most bytes of a file that are previewed.
const MAX_PREVIEW_BYTES: u64 = 128 << 10;

/// The files that a task left.
#[derive(Debug)]
pub struct Files {
    /// As many as are listed.
    pub list: Vec<Item>,
    /// How many there are.
    pub total: u64,
    /// The one that is previewed.
    pub shown: Option<Shown>,
}

/// A file in the list.
#[derive(Debug)]
pub struct Item {
    pub path: String,
    pub query: String,
    pub size: String,
    pub is_shown: bool,
}

/// A file and its preview.
#[derive(Debug)]
pub struct Shown {
    pub path: String,
    pub size: String,
    pub link: String,
    pub view: FileShown,
}

/// How a file is previewed.
#[derive(Debug)]
pub enum FileShown {
    /// As text.
    Text(Text),
    /// As a picture.
    Image,
    /// Not at all.
    Other,
}

/// The beginning of a file of text.
#[derive(Debug)]
pub struct Text {
    /// Its lines.
    pub lines: Vec<Vec<Span>>,
    /// Whether there is more.
    pub is_cut: bool,
}

/// Reads the files of a task, and the beginning of the one that is asked for.
pub async fn read(f: &Frame, control: &Control, id: TaskId, asked: Option<&str>) -> Result<Files, Refusal> {
    let view = control.files(id).await?;
    let shown = match asked {
        Some(path) => Some(shown(f, control, id, path).await?),
        None => None,
    };
    let item = |file: &conductor_protocol::task::FileView| Item {
        path: file.path.clone(),
        query: format::escape_url(&file.path),
        size: format::bytes(file.bytes),
        is_shown: asked == Some(&file.path),
    };
    Ok(Files { list: view.files.iter().map(item).collect(), total: view.files_total, shown })
}

async fn shown(f: &Frame, control: &Control, id: TaskId, path: &str) -> Result<Shown, Refusal> {
    let part = FileCall { id, path: path.to_owned(), offset: 0, limit: Some(MAX_PREVIEW_BYTES) };
    let mut chunks = control.file_part(part).await?;
    let mut raw = Vec::new();
    while let Some(chunk) = chunks.next().await? {
        raw.extend_from_slice(&chunk.bytes);
    }
    let bytes = chunks.end().map_or(raw.len() as u64, |end| end.bytes);
    let view = match text(raw) {
        _ if is_image(path) => FileShown::Image,
        Some(text) => {
            FileShown::Text(Text { lines: highlight::lines(path, &text), is_cut: bytes > MAX_PREVIEW_BYTES })
        }
        None => FileShown::Other,
    };
    let link = f.url(&format!("/tasks/{id}/files/{}", format::escape_path(path)));
    Ok(Shown { path: path.to_owned(), size: format::bytes(bytes), link, view })
}

/// Bytes as text; nothing when they are none. The last character may be cut off.
fn text(raw: Vec<u8>) -> Option<String> {
    if raw.contains(&0) {
        return None;
    }
    match String::from_utf8(raw) {
        Ok(text) => Some(text),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let is_cut_off = error.utf8_error().error_len().is_none();
            let mut raw = error.into_bytes();
            raw.truncate(valid);
            String::from_utf8(raw).ok().filter(|_| is_cut_off)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_bytes_even_when_cut_within_a_character() {
        assert_eq!(text("漢字".as_bytes()[..5].to_vec()).as_deref(), Some("漢"));
        assert_eq!(text(vec![0x89, b'P', 0]), None);
        assert_eq!(text(vec![b'a', 0xff, b'b']), None);
    }
}
