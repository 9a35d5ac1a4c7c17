//! Idempotency keys.

use std::sync::Arc;

use conductor_core::{Actor, BodyDigest, KeyId};
use conductor_protocol::{Code, Problem, limits};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// Names an idempotency key within its token, and digests what was asked under it.
///
/// # Errors
/// When the key is empty or too long.
pub(crate) fn key(
    key: &str,
    actor: &Arc<Actor>,
    bodies: &[Box<RawValue>],
) -> Result<(KeyId, BodyDigest), Problem> {
    if key.is_empty() || key.len() > limits::MAX_KEY_BYTES {
        let detail = format!("an idempotency key has from 1 to {} bytes", limits::MAX_KEY_BYTES);
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let mut hasher = Sha256::new();
    hasher.update(actor.name.as_str());
    hasher.update([0]);
    hasher.update(key);
    let id = KeyId(first_half(hasher));
    let mut hasher = Sha256::new();
    for body in bodies {
        // The digest is of the value, not of its spelling: keys sorted, no white space.
        let value: serde_json::Value = serde_json::from_str(body.get())
            .map_err(|_| Problem::new(Code::InvalidRequest, "the body is not JSON"))?;
        hasher.update(serde_json::to_vec(&value).expect("a value can be written"));
        hasher.update([0]);
    }
    Ok((id, BodyDigest(first_half(hasher))))
}

fn first_half(hasher: Sha256) -> u128 {
    let digest = hasher.finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(half)
}
