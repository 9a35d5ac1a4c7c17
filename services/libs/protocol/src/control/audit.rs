//! The audit and its digests.

use serde::{Deserialize, Serialize};

use crate::text;

/// Read the audit.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct AuditCall {
    /// Entries before this seq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of the audit, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditEntry>,
}

/// Who did what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct AuditEntry {
    pub seq: u64,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: conductor_core::Wall,
    pub action: String,
    pub subject: String,
    pub by: String,
    pub role: String,
    pub via: String,
    #[serde(default)]
    pub address: Option<String>,
}

/// Check a stretch of the audit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VerifyAudit {
    /// Records after this one; from the first on where it is 0.
    #[serde(default)]
    pub after: u64,
    /// The digest of that one, as an earlier answer had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Up to this one; to the end where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// What was found of a stretch of the audit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditVerified {
    /// How many records are as they were written.
    pub records: u64,
    /// How many come before the first that has a digest.
    pub undigested: u64,
    /// The last record that was looked at.
    pub through: u64,
    /// Its digest, in hexadecimal digits.
    #[serde(default)]
    pub digest: Option<String>,
    /// Whether there is more to look at.
    pub more: bool,
    /// The first record that is not as it was written.
    #[serde(default)]
    pub fault: Option<AuditFault>,
}

/// A record that is not as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditFault {
    /// Its number.
    pub seq: u64,
    /// What is wrong with it.
    pub what: String,
}
