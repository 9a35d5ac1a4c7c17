//! Secrets that Conductor makes for people and programs.

use super::{Error, Secret, random_hex};

/// What a secret is for. Each kind begins with letters of its own, so that people and scanners for leaked secrets know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A token.
    Token,
    /// A browser's session.
    Session,
    /// A code that opens one session.
    Login,
    /// The token of a running attempt.
    Attempt,
}

impl SecretKind {
    /// What such a secret begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Token => "cnd_",
            Self::Session => "cns_",
            Self::Login => "cnl_",
            Self::Attempt => "cna_",
        }
    }
}

/// Makes a secret of 256 random bits.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_secret(kind: SecretKind) -> Result<Secret, Error> {
    Ok(Secret::new(format!("{}{}", kind.prefix(), random_hex()?)))
}
