//! Tokens, sessions and who may do what.

use conductor_core::{Lease, TaskId, Wall};
use serde::{Deserialize, Serialize};

use crate::text;

mod groups;

pub use groups::Groups;

/// What a token may do; each may do what the one before may, but an agent, which only works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Joins as an agent, and nothing else.
    Agent,
    /// Sees.
    Viewer,
    /// Submits, cancels, answers.
    Operator,
    /// Everything, tokens among it.
    Admin,
}

/// Names a secret without telling it: the SHA-256 of a token, session or login code, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presented {
    /// 64 hex digits.
    pub digest: String,
    /// From where it was presented, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Who a token or session stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Identity {
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where.
    #[serde(default)]
    pub groups: Groups,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional_instant")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Wall>,
    /// What was presented.
    pub kind: TokenKind,
    /// The attempt whose token it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptRef>,
}

/// A running attempt, which may submit below its task and see what is there, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AttemptRef {
    /// The task that runs.
    #[serde(with = "text::display")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Uuid))]
    pub task: TaskId,
    /// The lease under which it does; the token ends with it.
    #[serde(with = "text::display")]
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub lease: Lease,
}

/// Where a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// The admin token of the home.
    Home,
    /// From `auth.tokens_file`.
    File,
    /// Made while running.
    Runtime,
    /// A browser's session.
    Session,
    /// Of a running attempt.
    Attempt,
}

/// A browser's session that was opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewSession {
    /// What the cookie holds; told this once.
    pub secret: String,
    /// Who it stands for.
    pub identity: Identity,
}

/// A code that opens one session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoginCode {
    /// The code.
    pub code: String,
    /// Until when it may be used.
    #[serde(with = "text::instant")]
    pub expires_at: Wall,
}

/// Make a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Its name, which no living token has.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where; everywhere when not given.
    #[serde(default)]
    pub groups: Groups,
    /// For how long; for ever when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// A token that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NewToken {
    /// The secret; told this once.
    pub secret: String,
    /// The token.
    pub token: TokenView,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct TokenView {
    pub name: String,
    pub role: Role,
    #[serde(default)]
    pub groups: Groups,
    pub kind: TokenKind,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional_instant")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub created_at: Option<Wall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional_instant")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Wall>,
}

/// Names a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenName {
    /// The token.
    pub name: String,
}
