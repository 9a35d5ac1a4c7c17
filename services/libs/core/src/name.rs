//! Short names that users choose: runners, groups, labels, agents.

use std::fmt;
use std::sync::Arc;

/// The longest name in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// A checked name, cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Says why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The text has more than [`MAX_NAME_BYTES`] bytes.
    TooLong,
    /// The text holds this character.
    Character(char),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name may not be empty"),
            Self::TooLong => write!(f, "a name has at most {MAX_NAME_BYTES} bytes"),
            Self::Character(c) => write!(f, "a name may not hold the character {c:?}"),
        }
    }
}

impl std::error::Error for NameError {}

impl Name {
    /// Checks a text: letters, digits and `._-:/@+=`, at most [`MAX_NAME_BYTES`] bytes.
    ///
    /// # Errors
    /// Says what in the text a name may not hold.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong);
        }
        let allowed = |c: char| c.is_alphanumeric() || "._-:/@+=".contains(c);
        match text.chars().find(|c| !allowed(*c)) {
            Some(c) => Err(NameError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_may_not_hold() {
        assert_eq!(Name::new("gpu/a100").map(|n| n.to_string()), Ok("gpu/a100".into()));
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new("a b"), Err(NameError::Character(' ')));
        assert_eq!(Name::new("a\u{0}b"), Err(NameError::Character('\0')));
        assert_eq!(Name::new(&"x".repeat(129)), Err(NameError::TooLong));
    }
}
