//! What it means that the audit is as it was written.

use conductor_core::Seq;

/// The most records that one call looks at.
pub const MAX_AUDIT_VERIFIED: u64 = 20_000;

/// A SHA-256 over a record and the digest of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditDigest(pub [u8; 32]);

/// Which records to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditStretch {
    /// Those after this one; from the first on where it is 0.
    pub after: Seq,
    /// The digest of that one, as an earlier call found it.
    pub digest: Option<AuditDigest>,
    /// Up to this one; to the end where there is none, and then the end is checked as well.
    pub until: Option<Seq>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditVerified {
    /// How many records are as they were written.
    pub records: u64,
    /// How many come before the first that has a digest: an earlier build wrote them.
    pub undigested: u64,
    /// The last record that was looked at.
    pub through: Seq,
    /// Its digest; goes into the next call.
    pub digest: Option<AuditDigest>,
    /// Whether there is more to look at.
    pub more: bool,
    /// The first record that is not as it was written. Nothing after it was looked at.
    pub fault: Option<AuditFault>,
}

/// A record that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFault {
    /// Its number.
    pub seq: Seq,
    /// What is wrong with it.
    pub what: String,
}
