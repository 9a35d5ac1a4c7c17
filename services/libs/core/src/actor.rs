//! Who is behind a command.

use crate::name::Name;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the contract's and speak for themselves")]
pub enum Role {
    Viewer,
    Operator,
    Admin,
    Agent,
}

/// Who is behind a command, for the audit and for `created_by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The token's name.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// How the command came: `cli`, `http`, `web`, `mcp`, `schedule`.
    pub via: Name,
    /// From where, when it came over a network.
    pub address: Option<Box<str>>,
}
