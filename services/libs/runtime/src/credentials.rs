//! The secrets by which programs know each other and people know themselves: the keys made at each start, and the
//! admin token made at the first.

mod file;
mod kept_key;
mod secret_kind;
mod start_key;
mod token;

use std::fmt;
use std::io;
use std::path::PathBuf;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub(crate) use file::replace as replace_file;
pub use kept_key::{attempt_key, webhook_key};
pub use secret_kind::{SecretKind, new_secret};
pub use start_key::StartKey;
pub use token::{AdminToken, Origin, admin_token, read_token, shown_token};

/// The environment variable of a server's first admin token.
pub const ADMIN_TOKEN_ENV: &str = "CONDUCTOR_ADMIN_TOKEN";
/// The environment variable that names the file of a server's first admin token.
pub const ADMIN_TOKEN_FILE_ENV: &str = "CONDUCTOR_ADMIN_TOKEN_FILE";
/// The environment variable of a client's token.
pub const TOKEN_ENV: &str = "CONDUCTOR_TOKEN";

/// Why a credential could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the key in {path} is not 64 hexadecimal digits")]
    BadKey { path: PathBuf },
    #[error("the token in {origin} {problem}")]
    BadToken { origin: String, problem: &'static str },
    #[error("both {ADMIN_TOKEN_ENV} and {ADMIN_TOKEN_FILE_ENV} are set; set one")]
    BothSet,
    #[error("there is no token yet: {path} is made when a server starts for the first time")]
    NoToken { path: PathBuf },
    #[error("the system gave no random bytes: {0}")]
    Random(getrandom::Error),
}

/// A text that is never shown by Debug, and whose memory is wiped when it goes.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }

    /// Gives the text to who really needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Tells whether `offered` is this secret, in a time that does not depend on where they differ.
    pub fn matches(&self, offered: &str) -> bool {
        self.0.as_bytes().ct_eq(offered.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Makes a text of 64 hexadecimal digits from 32 random bytes.
fn random_hex() -> Result<String, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_matches_itself_alone_and_is_not_shown() {
        let secret = Secret::new("cdr_abc");
        assert!(secret.matches("cdr_abc"));
        for other in ["", "cdr_abd", "cdr_ab", "cdr_abcd"] {
            assert!(!secret.matches(other), "{other:?}");
        }
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn random_texts_differ() {
        let (a, b) = (random_hex().unwrap(), random_hex().unwrap());
        assert_eq!(a.len(), 64);
        assert_ne!(a, b);
    }
}
