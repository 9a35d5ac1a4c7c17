//! The style sheet, the scripts and the icon: in the program, under an address that changes with them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use conductor_web::not_found;
use sha2::{Digest, Sha256};

/// A file of the page.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal: $kind:literal,)*) => {
        const ASSETS: &[Asset] = &[$(Asset { name: $name, kind: $kind, bytes: include_bytes!(concat!("../assets/", $name)) },)*];
    };
}

assets! {
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "app.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "keys.js": "text/javascript; charset=utf-8",
    "list.js": "text/javascript; charset=utf-8",
    "new.js": "text/javascript; charset=utf-8",
    "output.js": "text/javascript; charset=utf-8",
    "regions.js": "text/javascript; charset=utf-8",
    "times.js": "text/javascript; charset=utf-8",
}

/// Names the contents of all of them: scripts name each other by relative paths, so they share one.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in ASSETS {
        hash.update(asset.name.as_bytes());
        hash.update(asset.bytes);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
});

/// The path of a file of the page.
#[must_use]
pub fn path(name: &str) -> String {
    format!("/assets/{}/{name}", *HASH)
}

/// Serves a file of the page. One of another release is served too, but not kept.
pub async fn serve(Path((hash, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else { return not_found().await };
    let tag = format!("\"{}\"", *HASH);
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let cache = if hash == *HASH { "public, max-age=31536000, immutable" } else { "no-cache" };
    let head =
        [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, cache), (header::CONTENT_TYPE, asset.kind)];
    match is_known {
        true => (StatusCode::NOT_MODIFIED, head).into_response(),
        false => (head, asset.bytes).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_take_nothing_from_elsewhere_and_make_no_markup() {
        for asset in ASSETS {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            for refused in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "https://",
                "style=",
            ] {
                assert!(!text.contains(refused), "{} holds {refused}", asset.name);
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(ASSETS.iter().any(|asset| asset.name == name), "{name}");
        }
    }
}
