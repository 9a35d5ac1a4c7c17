//! Files that are named by the SHA-256 of what is in them.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

/// How much is read at once.
const READ_BYTES: usize = 1 << 20;

/// Copies all that there is; gives how much that was, and its digest.
pub(super) fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<(u64, String)> {
    let (mut hasher, mut buffer, mut bytes) = (Sha256::new(), vec![0; READ_BYTES], 0);
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok((bytes, hex(hasher)));
        }
        bytes += count as u64;
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
    }
}

/// The digest as lowercase hexadecimal digits.
pub(super) fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
