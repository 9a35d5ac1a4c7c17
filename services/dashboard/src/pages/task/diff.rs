//! What an attempt changed.

use conductor_client::{Control, Error};
use conductor_core::TaskId;
use conductor_protocol::Code;
use conductor_protocol::control::Output as OutputCall;
use conductor_protocol::task::TaskView;
use conductor_web::Refusal;

use crate::diff::{self, Patch};
use crate::words::Words;

/// The most bytes of a patch that are shown.
const MAX_BYTES: u64 = 1 << 20;

/// What an attempt changed, as it is shown.
#[derive(Debug)]
pub struct DiffView {
    /// The patch.
    pub patch: Patch,
    /// Whether it is shown in two columns.
    pub is_split: bool,
    /// How much it is, for people.
    pub summary: String,
    /// What is said when there is nothing.
    pub nothing: &'static str,
}

/// Reads what a task changed.
pub async fn read(
    w: &'static Words,
    control: &Control,
    task: &TaskView,
    is_split: bool,
) -> Result<DiffView, Refusal> {
    let patch = patch(control, task.id).await?;
    let nothing = if task.state.is_terminal() { w.no_changes } else { w.no_changes_yet };
    let patch = patch.unwrap_or_default();
    let (added, removed) =
        patch.files.iter().fold((0, 0), |sum, file| (sum.0 + file.added, sum.1 + file.removed));
    let files = w.counted(patch.files.len() as u64, w.changed_files);
    let summary =
        if patch.files.is_empty() { String::new() } else { format!("{files} · +{added} −{removed}") };
    Ok(DiffView { patch, is_split, summary, nothing })
}

/// The patch of a task; nothing when it has none.
///
/// # Errors
/// When the orchestrator does not tell.
pub async fn patch(control: &Control, id: TaskId) -> Result<Option<Patch>, Refusal> {
    let call = OutputCall { id, attempt: None, offset: 0, follow: false, limit: Some(MAX_BYTES) };
    let mut chunks = control.diff(call).await?;
    let mut raw = Vec::new();
    loop {
        match chunks.next().await {
            Ok(Some(chunk)) => raw.extend_from_slice(&chunk.bytes),
            Ok(None) => break,
            Err(Error::Refused(problem)) if problem.code == Code::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    let mut patch = diff::parse(&String::from_utf8_lossy(&raw));
    patch.is_cut |= raw.len() as u64 >= MAX_BYTES;
    Ok(Some(patch))
}
