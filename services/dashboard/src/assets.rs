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
    hex::encode(&hash.finalize()[..8])
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

    /// The colours of a theme: `--name: #rgb` or `#rrggbb`, those of the first block or of the dark one.
    fn colours(css: &str, is_dark: bool) -> std::collections::BTreeMap<&str, [f64; 3]> {
        let (light, dark) = css.split_once("@media (prefers-color-scheme: dark)").unwrap();
        let block = if is_dark { dark } else { light };
        let declared = block.split('}').next().unwrap().split(['{', ';']);
        let pairs = declared.filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
        pairs
            .map(|(name, hex)| {
                let wide = match hex.len() {
                    3 => hex.chars().flat_map(|digit| [digit, digit]).collect(),
                    _ => hex.to_owned(),
                };
                let level = |at: usize| f64::from(u8::from_str_radix(&wide[at..at + 2], 16).unwrap()) / 255.0;
                (name, [level(0), level(2), level(4)])
            })
            .collect()
    }

    /// The contrast of two colours as WCAG counts it.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let luminance = |colour: [f64; 3]| {
            let linear = |level: f64| {
                if level <= 0.04045 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_can_be_read_in_both_themes() {
        let css = std::str::from_utf8(ASSETS.iter().find(|asset| asset.name == "style.css").unwrap().bytes)
            .unwrap();
        let pairs = [
            ("text", "bg"),
            ("text", "panel"),
            ("text", "sunk"),
            ("text", "off-bg"),
            ("muted", "bg"),
            ("muted", "panel"),
            ("muted", "sunk"),
            ("accent", "panel"),
            ("accent", "bg"),
            ("accent", "accent-bg"),
            ("on-accent", "accent"),
            ("ok", "ok-bg"),
            ("ok", "panel"),
            ("bad", "bad-bg"),
            ("bad", "panel"),
            ("warn", "warn-bg"),
            ("panel", "warn"),
            ("off", "off-bg"),
            ("run", "run-bg"),
            ("term-text", "term"),
            ("hk", "sunk"),
            ("hs", "sunk"),
            ("hn", "sunk"),
            ("hc", "sunk"),
            ("text", "ok-bg"),
            ("text", "bad-bg"),
        ];
        for is_dark in [false, true] {
            let colours = colours(css, is_dark);
            for (front, back) in pairs {
                let contrast = contrast(colours[front], colours[back]);
                assert!(contrast >= 4.5, "{front} on {back} has {contrast:.2}, dark: {is_dark}");
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
