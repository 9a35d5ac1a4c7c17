//! The small records that the run folder and its users share.

use conductor_protocol::agent::AssignedUpload;

/// One file that a task brought with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Relative to `work/`, parted by `/`.
    pub path: String,
    pub content: Vec<u8>,
    /// Whether it may be executed.
    pub executable: bool,
}

/// A file or folder that a task brought as an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputUpload {
    /// Relative to `work/`; of a folder, where it is unpacked, and `.` is `work/` itself.
    pub path: String,
    /// Whether a file may be executed.
    pub executable: bool,
    pub upload: AssignedUpload,
}

/// The files that a run left in `work/`, bounded, in the order of their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct FileList {
    pub files: Vec<ResultFile>,
    /// How many there are, listed or not.
    pub total: u64,
    /// What is not listed, counted by reason.
    pub left_out: Vec<LeftOut>,
}

/// One file that a run left.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ResultFile {
    /// Relative to `work/`, parted by `/`.
    pub path: String,
    pub bytes: u64,
    /// Lowercase hex; none when the file was too large to read.
    pub sha256: Option<String>,
}

/// How many entries were left out of a list, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    pub reason: &'static str,
    pub count: u64,
}
