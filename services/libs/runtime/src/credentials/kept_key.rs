//! Keys that are made once and kept: the one that webhooks are signed with, and the one of the tokens of attempts.

use std::io;
use std::path::Path;

use super::{Error, Secret, file, random_hex};
use crate::paths::Home;

impl Home {
    /// The file of the key that webhooks are signed with.
    pub fn webhook_key_file(&self) -> std::path::PathBuf {
        self.config.join("webhook-key")
    }

    /// The file of the key that the tokens of attempts come from.
    pub fn attempt_key_file(&self) -> std::path::PathBuf {
        self.state.join("attempt-key")
    }
}

/// Finds the key that webhooks are signed with, and makes one when there is none.
///
/// # Errors
/// When the file cannot be read or written.
pub fn webhook_key(home: &Home) -> Result<Secret, Error> {
    kept(&home.webhook_key_file())
}

/// Finds the key that the tokens of attempts come from, and makes one when there is none.
///
/// # Errors
/// When the file cannot be read or written.
pub fn attempt_key(home: &Home) -> Result<Secret, Error> {
    kept(&home.attempt_key_file())
}

fn kept(path: &Path) -> Result<Secret, Error> {
    let read = || match file::read(path) {
        Ok(text) if !text.is_empty() => Ok(Some(Secret::new(text))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    };
    if let Some(kept) = read()? {
        return Ok(kept);
    }
    // The text itself is the key; its 64 digits hold 256 random bits.
    let made = Secret::new(random_hex()?);
    if file::create_new(path, made.reveal())? {
        return Ok(made);
    }
    read()?.ok_or_else(|| Error::BadKey { path: path.to_owned() })
}
