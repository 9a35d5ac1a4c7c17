//! What is too large for a request goes ahead of it, as uploads.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use conductor_client::Link;
use conductor_protocol::Code;
use conductor_protocol::control::{AppendUpload, Call, CreateUpload, UploadKind, UploadRef, UploadView};
use conductor_protocol::submit::SubmitTask;
use conductor_runtime::digest;

use crate::context::Context;
use crate::exit::Failure;
use crate::screen::{Screen, bytes, clean};

/// The bytes that are sent together.
const PIECE_BYTES: u64 = 4 << 20;

/// A file, or a folder as an archive, that goes ahead of its task.
#[derive(Debug)]
pub struct Ahead {
    /// Its place in the work folder.
    pub path: String,
    /// What the bytes are.
    pub kind: UploadKind,
    /// The bytes.
    pub file: File,
    /// How many.
    pub length: u64,
    /// The largest of what is in it, for who has to make it smaller.
    pub largest: Vec<String>,
}

/// Sends all of them and names the uploads in their task.
///
/// # Errors
/// When one changes meanwhile, or the server refuses it.
pub async fn send(
    context: &mut Context<'_>,
    link: &mut Link,
    task: &mut SubmitTask,
    ahead: &mut Vec<Ahead>,
) -> Result<(), Failure> {
    for mut one in ahead.drain(..) {
        let sent = one.send(context.screen, link).await;
        context.screen.clear_progress();
        let upload = sent.map_err(|failure| one.explain(failure))?;
        let named = task.files.iter_mut().find(|file| file.path == one.path && file.upload.is_some());
        let named = named.ok_or_else(|| Failure::Failed(format!("{} is not in the task", one.path)))?;
        named.upload = Some(upload);
    }
    Ok(())
}

impl Ahead {
    fn what(&self) -> String {
        match self.kind {
            UploadKind::Raw => clean(&self.path),
            UploadKind::Tar => "the folder".to_owned(),
            UploadKind::Bundle => "the repository".to_owned(),
        }
    }

    /// A refusal, with what is large in it.
    fn explain(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Refused(mut problem) if problem.code == Code::PayloadTooLarge => {
                let (what, length) = (self.what(), bytes(self.length));
                problem.detail = format!("{what} has {length}: {}", problem.detail);
                if !self.largest.is_empty() {
                    let largest = self.largest.join("\n  ");
                    problem.detail =
                        format!("{}; name what is not needed in a .gitignore\n  {largest}", problem.detail);
                }
                Failure::Refused(problem)
            }
            other => other,
        }
    }

    /// Sends it, or what is missing of it, and gives the upload's id.
    async fn send(&mut self, screen: &mut Screen, link: &mut Link) -> Result<String, Failure> {
        screen.progress(format!("reading {} ({})", self.what(), bytes(self.length)));
        let create = CreateUpload {
            kind: self.kind,
            bytes: Some(self.length),
            sha256: Some(self.digest()?),
            // The same that was sent before is not sent again, and the same task stays the same under its key.
            reuse: true,
        };
        let mut upload: UploadView = link.ask(&Call::CreateUpload(create)).await?;
        while !upload.complete {
            let done = (upload.offset * 100).checked_div(self.length).unwrap_or(100);
            screen.progress(format!("sending {} ({}): {done} %", self.what(), bytes(self.length)));
            let piece = self.piece(upload.offset)?;
            let last = upload.offset + piece.len() as u64 >= self.length;
            let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &piece);
            let call = AppendUpload { id: upload.id, offset: upload.offset, base64, last };
            upload = match link.ask(&Call::AppendUpload(call)).await {
                Ok(upload) => upload,
                // A piece that was sent twice, because the first answer was lost, has come all the same.
                Err(conductor_client::Error::Refused(problem)) if problem.code == Code::Conflict => {
                    let now: UploadView = link.ask(&Call::Upload(UploadRef { id: upload.id })).await?;
                    if now.offset <= upload.offset && !now.complete {
                        return Err(Failure::Refused(problem));
                    }
                    now
                }
                Err(error) => return Err(error.into()),
            };
        }
        Ok(upload.id.to_string())
    }

    fn digest(&mut self) -> Result<String, Failure> {
        self.file.seek(SeekFrom::Start(0))?;
        let (length, sha256) = digest::copy(&self.file, io::sink())?;
        if length == self.length { Ok(sha256) } else { Err(self.changed()) }
    }

    fn piece(&mut self, offset: u64) -> Result<Vec<u8>, Failure> {
        let wanted = PIECE_BYTES.min(self.length.saturating_sub(offset));
        let mut piece = Vec::new();
        self.file.seek(SeekFrom::Start(offset))?;
        let read = io::Read::take(&self.file, wanted).read_to_end(&mut piece)? as u64;
        if read == wanted { Ok(piece) } else { Err(self.changed()) }
    }

    fn changed(&self) -> Failure {
        Failure::Failed(format!("{} changed while it was read", self.what()))
    }
}
