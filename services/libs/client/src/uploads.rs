//! The calls about uploads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conductor_protocol::control::{AppendUpload, Call, CreateUpload, UploadRef, UploadView};
use uuid::Uuid;

use crate::control::Control;
use crate::error::Error;

/// The calls. Each fails as [`Control::call`] does.
impl Control {
    /// Begins an upload.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn create_upload(&self, upload: CreateUpload) -> Result<UploadView, Error> {
        self.ask(Call::CreateUpload(upload)).await
    }

    /// Sends more bytes of an upload, which begin where it ends so far.
    ///
    /// # Errors
    /// As [`Control::ask`]; `conflict` when the offset is another.
    pub async fn append_upload(
        &self,
        id: Uuid,
        offset: u64,
        bytes: &[u8],
        last: bool,
    ) -> Result<UploadView, Error> {
        self.ask(Call::AppendUpload(AppendUpload { id, offset, base64: STANDARD.encode(bytes), last })).await
    }

    /// Asks how far an upload is.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn upload(&self, id: Uuid) -> Result<UploadView, Error> {
        self.ask(Call::Upload(UploadRef { id })).await
    }
}
