//! Uploads, deliveries and numbers over time.

use conductor_core::{TaskId, Wall};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text;

/// Begin an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateUpload {
    /// What the bytes are.
    #[serde(default)]
    pub kind: UploadKind,
    /// How many there will be, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The SHA-256 of them in hex, when known; checked at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether a complete upload of the caller's with the same kind, length and SHA-256 may stand in for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse: bool,
}

/// What an upload's bytes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UploadKind {
    /// One file.
    #[default]
    Raw,
    /// A folder as a tar archive.
    Tar,
    /// A git repository as a bundle, which the work folder starts from.
    Bundle,
}

/// Names an upload.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct UploadRef {
    /// The upload.
    pub id: Uuid,
}

/// More bytes of an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppendUpload {
    /// The upload.
    pub id: Uuid,
    /// Where the bytes begin, which is where the upload ends so far.
    pub offset: u64,
    /// The bytes.
    pub base64: String,
    /// Whether these are the last.
    #[serde(default)]
    pub last: bool,
}

/// An upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct UploadView {
    pub id: Uuid,
    pub kind: UploadKind,
    /// How many bytes are there; the next begins here.
    pub offset: u64,
    pub bytes: Option<u64>,
    pub complete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// When it goes if no task has taken it.
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub expires_at: Wall,
}

/// One try to deliver a webhook or a notice.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct DeliveryView {
    #[serde(with = "text::display")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Uuid))]
    pub task: TaskId,
    /// `webhook`, `slack`, `ntfy`, `email`.
    pub channel: String,
    /// Where it went, without what is secret in it.
    pub to: String,
    /// What it tells of: `task.finished`, `task.failed`, `task.waiting` and others.
    pub event: String,
    pub tries: u32,
    /// `pending`, `delivered` or `given_up`.
    pub state: String,
    /// The last answer's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub last_at: Wall,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional_instant")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub next_at: Option<Wall>,
}

/// Numbers over time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrendsCall {
    /// How far back.
    pub seconds: u64,
    /// How long each step is.
    pub step_seconds: u64,
}

/// Numbers over time, oldest first, one entry for each step.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TrendsView {
    /// The steps; those in which nothing happened are there too.
    pub steps: Vec<TrendStep>,
}

/// What happened in a step of time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct TrendStep {
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Wall,
    pub submitted: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// The mean time in the queue of what started then.
    pub mean_wait_seconds: Option<f64>,
    pub tokens: u64,
    pub cost_usd: f64,
    /// What of that attempts cost that failed or crashed.
    #[serde(default)]
    pub failed_cost_usd: f64,
}

/// A runner that tasks can name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct RunnerOffer {
    pub name: String,
    /// The connected agents that offer it.
    pub agents: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The free slots of those agents.
    pub free: u64,
}
