//! The key that webhooks are signed with, made at the first start.

use std::io;

use super::{Error, Secret, file, random_hex};
use crate::paths::Home;

impl Home {
    /// The file of the key that webhooks are signed with.
    pub fn webhook_key_file(&self) -> std::path::PathBuf {
        self.config.join("webhook-key")
    }
}

/// Finds the key of this home, and makes one when there is none.
///
/// # Errors
/// When the file cannot be read or written.
pub fn webhook_key(home: &Home) -> Result<Secret, Error> {
    let path = home.webhook_key_file();
    let read = || match file::read(&path) {
        Ok(text) if !text.is_empty() => Ok(Some(Secret::new(text))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.clone(), source }),
    };
    if let Some(kept) = read()? {
        return Ok(kept);
    }
    // The text itself is the key; its 64 digits hold 256 random bits.
    let made = Secret::new(random_hex()?);
    if file::create_new(&path, made.reveal())? {
        return Ok(made);
    }
    read()?.ok_or_else(|| Error::BadKey { path: path.clone() })
}
