//! Errors as users see them: RFC 9457 problems with a closed set of codes.

use serde::{Deserialize, Serialize};

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's and speak for themselves")]
pub enum Code {
    InvalidRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    Conflict,
    IdempotencyConflict,
    Gone,
    PayloadTooLarge,
    QueueFull,
    RateLimited,
    StorageFull,
    NotLeader,
    Unavailable,
    Internal,
}

impl Code {
    /// The HTTP status that goes with it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict | Self::IdempotencyConflict => 409,
            Self::Gone => 410,
            Self::PayloadTooLarge => 413,
            Self::QueueFull | Self::RateLimited => 429,
            Self::StorageFull | Self::NotLeader | Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    /// The words on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::Gone => "gone",
            Self::PayloadTooLarge => "payload_too_large",
            Self::QueueFull => "queue_full",
            Self::RateLimited => "rate_limited",
            Self::StorageFull => "storage_full",
            Self::NotLeader => "not_leader",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// What it means, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::Unauthorized => "A token is needed",
            Self::Forbidden => "The token may not do this",
            Self::NotFound => "There is no such thing",
            Self::Conflict => "The state does not allow this",
            Self::IdempotencyConflict => "The key was used for another request",
            Self::Gone => "This is not kept any more",
            Self::PayloadTooLarge => "The request is too large",
            Self::QueueFull => "The queue is full",
            Self::RateLimited => "Too many requests",
            Self::StorageFull => "The storage is full",
            Self::NotLeader => "Another orchestrator leads",
            Self::Unavailable => "This is not available",
            Self::Internal => "Something went wrong",
        }
    }
}

/// One fault in a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

/// An error as users see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind it is.
    pub code: Code,
    /// What happened, for people.
    pub detail: String,
    /// The faults of a body, where it has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// When to try again, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

impl Problem {
    /// A problem with nothing but its kind and what happened.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after_seconds: None }
    }

    /// A bad body, with its faults.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [] => "the request is not valid".to_owned(),
            [one] if one.pointer.is_empty() => one.detail.clone(),
            [one] => format!("{}: {}", one.pointer, one.detail),
            [first, rest @ ..] => format!("{}: {} (and {} more)", first.pointer, first.detail, rest.len()),
        };
        Self { code: Code::InvalidRequest, detail, errors, retry_after_seconds: None }
    }

    /// A bad value at one place.
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    /// Something that a later release brings.
    #[must_use]
    pub fn unavailable(what: &str) -> Self {
        Self::new(Code::Unavailable, format!("{what} is not available in this release"))
    }

    /// The same, to be tried again after some seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Problem {}
