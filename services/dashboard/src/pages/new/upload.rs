//! The files of a form: small ones go with the task, large ones ahead of it.

use axum::extract::{FromRequest as _, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use conductor_client::Control;
use conductor_protocol::Code;
use conductor_protocol::control::{CreateUpload, UploadKind};
use conductor_protocol::limits::MAX_PROMPT_BYTES;
use conductor_protocol::submit::{InputFile, check_path};
use conductor_web::{Refusal, Streamed};
use futures_util::stream;
use multer::{Field, Multipart};

use crate::params::Params;
use crate::visitor::Visitor;

/// A file up to this size goes with the task, as long as all of those do not have more than [`MAX_INLINE_BYTES`].
const MAX_SMALL_BYTES: usize = 256 << 10;
/// The most bytes of files that go with a task.
const MAX_INLINE_BYTES: usize = 4 << 20;
/// The most bytes of an upload that are sent on together.
const PIECE_BYTES: usize = 1 << 20;
/// The most files of a form.
const MAX_FORM_FILES: usize = 1_000;
/// The most fields of a form.
const MAX_FIELDS: usize = 200;

/// What a form brought.
#[derive(Debug, Default)]
pub struct Sent {
    /// Its fields.
    pub params: Params,
    /// Its files.
    pub files: Vec<InputFile>,
}

/// Reads a form. Its token is checked as soon as it is there, which is before its first file.
pub async fn read(
    visitor: &Visitor,
    control: &Control,
    request: Request,
    boundary: String,
) -> Result<Sent, Refusal> {
    let body = Streamed::from_request(request, &visitor.guest.site).await?;
    let pieces = stream::unfold(body, |mut body| async move {
        match body.next().await {
            Ok(piece) => piece.map(|piece| (Ok(piece), body)),
            Err(Refusal(problem)) => Some((Err(problem), body)),
        }
    });
    let mut form = Multipart::new(pieces, boundary);
    let (mut sent, mut inline, mut fields, mut is_checked) = (Sent::default(), 0, 0, false);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        match field.file_name().map(str::to_owned) {
            None => {
                fields += 1;
                if fields > MAX_FIELDS {
                    return Err(Refusal::new(
                        Code::PayloadTooLarge,
                        format!("the form has more than {MAX_FIELDS} fields"),
                    ));
                }
                let value = text(field).await?;
                if name == "csrf" {
                    visitor.caller.check_csrf(&value)?;
                    is_checked = true;
                }
                sent.params.push(name, value);
            }
            Some(path) if path.is_empty() => {}
            Some(_) if !is_checked => {
                return Err(Refusal::new(
                    Code::Forbidden,
                    "the form is not of this session; load the page again",
                ));
            }
            Some(path) => {
                check_path(&path)
                    .map_err(|detail| Refusal::new(Code::InvalidRequest, format!("{path:?}: {detail}")))?;
                if sent.files.len() >= MAX_FORM_FILES {
                    let detail = format!(
                        "the form has more than {MAX_FORM_FILES} files; send a folder with the command line"
                    );
                    return Err(Refusal::new(Code::PayloadTooLarge, detail));
                }
                sent.files.push(file(control, path, field, &mut inline).await?);
            }
        }
    }
    if !is_checked {
        visitor.caller.check_csrf("")?;
    }
    Ok(sent)
}

/// The text of a field, which is never longer than a prompt.
async fn text(mut field: Field<'_>) -> Result<String, Refusal> {
    let mut value = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(broken)? {
        value.extend_from_slice(&piece);
        if value.len() > MAX_PROMPT_BYTES + 1_024 {
            let detail = format!("at most {MAX_PROMPT_BYTES} bytes of text; give long text as a file");
            return Err(Refusal::new(Code::PayloadTooLarge, detail));
        }
    }
    // Browsers send line ends as CR LF.
    Ok(String::from_utf8_lossy(&value).replace("\r\n", "\n"))
}

/// Takes a file: into the task while it is small, else into an upload.
async fn file(
    control: &Control,
    path: String,
    mut field: Field<'_>,
    inline: &mut usize,
) -> Result<InputFile, Refusal> {
    let mut held = Vec::new();
    let room = MAX_SMALL_BYTES.min(MAX_INLINE_BYTES.saturating_sub(*inline));
    loop {
        match field.chunk().await.map_err(broken)? {
            Some(piece) => held.extend_from_slice(&piece),
            None => break,
        }
        if held.len() > room {
            let upload = Some(ahead(control, held, field).await?);
            return Ok(InputFile { path, upload, ..InputFile::default() });
        }
    }
    *inline += held.len();
    Ok(match String::from_utf8(held) {
        Ok(content) => InputFile { path, content: Some(content), ..InputFile::default() },
        Err(error) => {
            InputFile { path, base64: Some(STANDARD.encode(error.as_bytes())), ..InputFile::default() }
        }
    })
}

/// Sends a file ahead of its task; answers the upload.
async fn ahead(control: &Control, mut held: Vec<u8>, mut field: Field<'_>) -> Result<String, Refusal> {
    let create = CreateUpload { kind: UploadKind::Raw, bytes: None, sha256: None, reuse: false };
    let upload = control.create_upload(create).await?;
    let mut offset = 0;
    loop {
        let next: Option<Bytes> = field.chunk().await.map_err(broken)?;
        let is_last = next.is_none();
        held.extend_from_slice(&next.unwrap_or_default());
        while held.len() > PIECE_BYTES || is_last {
            let rest = held.split_off(held.len().min(PIECE_BYTES));
            let last = is_last && rest.is_empty();
            offset = control.append_upload(upload.id, offset, &held, last).await?.offset;
            held = rest;
            if last {
                return Ok(upload.id.to_string());
            }
        }
    }
}

fn broken(error: multer::Error) -> Refusal {
    // What the body itself refused says why.
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(found) = cause {
        if let Some(problem) = found.downcast_ref::<conductor_protocol::Problem>() {
            return Refusal(problem.clone());
        }
        cause = found.source();
    }
    Refusal::new(Code::InvalidRequest, format!("the form cannot be read: {error}"))
}
