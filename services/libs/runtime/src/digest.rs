//! Naming content by its SHA-256, in lowercase hexadecimal digits.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// Reads, and digests what was read.
#[derive(Debug)]
pub struct Digesting<R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
}

impl<R: Read> Digesting<R> {
    /// Digests what is read from here on.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// How much was read, and its digest.
    #[must_use]
    pub fn finish(self) -> (u64, String) {
        (self.bytes, hex::encode(self.hasher.finalize()))
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Copies all that there is, and gives how much that was and its digest.
///
/// # Errors
/// When it cannot be read or written.
pub fn copy(from: impl Read, mut to: impl Write) -> io::Result<(u64, String)> {
    let mut from = Digesting::new(from);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(from.finish()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_counted_and_named() {
        let mut to = Vec::new();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(copy(&b"abc"[..], &mut to).unwrap(), (3, sha256.to_owned()));
        assert_eq!(to, b"abc");
        let long = vec![7; READ_BYTES + 1];
        let (bytes, digest) = copy(&long[..], io::sink()).unwrap();
        assert_eq!((bytes, digest), (long.len() as u64, hex::encode(Sha256::digest(&long))));
    }
}
