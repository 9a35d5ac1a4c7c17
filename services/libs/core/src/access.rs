//! Tokens that were made while running, and the sessions that any token opened.

use crate::actor::Role;
use crate::name::Name;
use crate::time::Wall;

/// The SHA-256 of a secret. The secret itself never comes here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretDigest(pub [u8; 32]);

impl std::fmt::Debug for SecretDigest {
    /// Shows the beginning only: it is enough to tell digests apart.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, second, third, fourth, ..] = self.0;
        write!(f, "{first:02x}{second:02x}{third:02x}{fourth:02x}..")
    }
}

/// The groups that a token reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups {
    /// All of them.
    All,
    /// These alone.
    Only(Box<[Name]>),
}

impl Groups {
    /// Whether a group is among them.
    #[must_use]
    pub fn reach(&self, group: &Name) -> bool {
        match self {
            Self::All => true,
            Self::Only(groups) => groups.contains(group),
        }
    }
}

/// A token that was made while running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is called; no two living tokens share a name.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// Where.
    pub groups: Groups,
    /// What its secret hashes to.
    pub digest: SecretDigest,
    /// When it was made.
    pub created_at: Wall,
    /// By whom.
    pub created_by: Name,
    /// Until when it stands for somebody; none for ever.
    pub expires_at: Option<Wall>,
}

/// A browser's session. It stands for the token that opened it, as long as that stands for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSession {
    /// What its secret hashes to.
    pub digest: SecretDigest,
    /// The digest of the token that opened it; that token need not be one of the log's.
    pub token: SecretDigest,
    /// When it was opened.
    pub created_at: Wall,
    /// Until when it lasts at most.
    pub expires_at: Wall,
}
