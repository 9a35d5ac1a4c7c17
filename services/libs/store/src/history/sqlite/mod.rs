//! History in a SQLite file.

/// The file's name in the state directory.
pub const FILE: &str = "history.db";
