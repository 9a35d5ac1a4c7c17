//! What the engine knows of the image.

use serde_json::Value;

use super::stack::docker;

/// The image under test.
pub const IMAGE: &str = "conductor:test";

/// What the engine knows of an image; nothing when it is not there.
pub fn inspected(image: &str) -> Option<Value> {
    let output = docker(&["image", "inspect", image]);
    let known: Value = output.status.success().then(|| serde_json::from_slice(&output.stdout).ok())??;
    known.get(0).cloned()
}

/// What the layers of the image under test take over its base.
pub fn own_bytes() -> Option<u64> {
    let image = inspected(IMAGE)?;
    let base = inspected(image["Config"]["Labels"]["org.opencontainers.image.base.name"].as_str()?)?;
    image["Size"].as_u64()?.checked_sub(base["Size"].as_u64()?)
}
