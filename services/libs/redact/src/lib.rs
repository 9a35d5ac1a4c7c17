//! Keeps secrets out of what passes.
//!
//! A secret is found plainly, in base64 (at each of its three alignments, in both alphabets, however it is wrapped), in
//! hexadecimal, with URL encoding, with JSON escapes at any depth of nesting, and when it comes in pieces. Two looks are
//! taken at the same bytes: as they are, and in a plain form ([`plain`]) in which all these spellings fall together. What
//! else a program can make of a secret, as its letters backwards, is not found.

mod pattern;
mod plain;
mod redactor;
mod stream;

pub use pattern::{MAX_SECRETS, MAX_TOTAL_BYTES, MIN_SECRET_BYTES, Unfit};
pub use redactor::{MARK, Redactor};
pub use stream::Stream;
