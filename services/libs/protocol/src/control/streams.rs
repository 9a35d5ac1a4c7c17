//! What comes bit by bit: events, outputs and files.

use conductor_core::TaskId;
use serde::{Deserialize, Serialize};

use crate::text;

/// Follow state changes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Events {
    /// The last event seen; `gone` when the next one is not kept any more. None for new ones only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Whether to go on when all known are sent.
    pub follow: bool,
}

/// Read or follow a file of an attempt.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Output {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// The attempt; the latest when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Where to begin.
    #[serde(default)]
    pub offset: u64,
    /// Whether to wait for more until the attempt is over.
    #[serde(default)]
    pub follow: bool,
    /// How many bytes at most; the stream ends there, also when it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Where a stream of bytes ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OutputEnd {
    /// The attempt that was read.
    pub attempt: u32,
    /// The offset after the last byte.
    pub offset: u64,
    /// How many bytes the file had then.
    #[serde(default)]
    pub bytes: u64,
}

/// Read a file of the work folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileCall {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// The path, relative to the work folder.
    pub path: String,
    /// Where to begin.
    #[serde(default)]
    pub offset: u64,
    /// How many bytes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// What a run left.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FilesView {
    /// The files.
    pub files: Vec<crate::task::FileView>,
    /// How many there are, also beyond the list.
    pub files_total: u64,
    /// The folder, for people on the same host.
    pub folder: String,
}

/// Ends a stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct StopStream {
    /// The id of the streaming request.
    pub request: u64,
}
