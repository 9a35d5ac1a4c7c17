//! Output as JSON: pieces of text, cut between characters, and what is no text as base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// One line of JSON. What all lines hold, one after the other, is what was written, byte for byte.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Piece {
    Text(String),
    Base64(String),
}

/// Holds back the beginning of a character until the rest of it comes.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    torn: Vec<u8>,
}

impl Pieces {
    /// The next piece, if more came than the beginning of a character.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<Piece> {
        let mut bytes = [&std::mem::take(&mut self.torn), bytes].concat();
        if let Err(error) = std::str::from_utf8(&bytes)
            && error.error_len().is_none()
        {
            self.torn = bytes.split_off(error.valid_up_to());
        }
        piece(bytes)
    }

    /// What is left at the end.
    pub(super) fn rest(&mut self) -> Option<Piece> {
        piece(std::mem::take(&mut self.torn))
    }
}

fn piece(bytes: Vec<u8>) -> Option<Piece> {
    if bytes.is_empty() {
        return None;
    }
    Some(match String::from_utf8(bytes) {
        Ok(text) => Piece::Text(text),
        Err(error) => Piece::Base64(STANDARD.encode(error.as_bytes())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_comes_in_two_parts_is_told_whole() {
        let mut pieces = Pieces::default();
        let word = "grün".as_bytes();
        assert_eq!(pieces.take(&word[..3]), Some(Piece::Text("gr".to_owned())));
        assert_eq!(pieces.take(&word[3..]), Some(Piece::Text("ün".to_owned())));
        assert_eq!(pieces.rest(), None);
    }

    #[test]
    fn what_is_no_text_is_told_as_base64() {
        let mut pieces = Pieces::default();
        let line = |piece: Option<Piece>| serde_json::to_string(&piece.expect("a piece")).expect("JSON");
        assert_eq!(line(pieces.take(b"\xff\x00a")), r#"{"base64":"/wBh"}"#);
        assert_eq!(pieces.take(b"\xe2\x82"), None);
        assert_eq!(line(pieces.rest()), r#"{"base64":"4oI="}"#);
    }
}
