//! What a task made, as it is served: nothing of it runs in the viewer's session.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use conductor_client::Error;
use conductor_web::Refusal;
use futures_util::{Stream, StreamExt as _, stream};

use crate::format::escape_url;
use crate::parts::Parts;

/// Whatever a task made is looked at in a place of its own, without scripts, forms and the viewer's session.
const POLICY: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";
/// The raster images that browsers show, by extension.
const IMAGES: [(&str, &str); 7] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("bmp", "image/bmp"),
    ("avif", "image/avif"),
];
/// Text that is shown as it is. What a browser would take for a document is not among it.
const TEXTS: [&str; 37] = [
    "txt", "log", "md", "rs", "py", "js", "mjs", "ts", "tsx", "jsx", "json", "ndjson", "yaml", "yml", "toml",
    "ini", "conf", "cfg", "c", "h", "cc", "cpp", "hpp", "java", "go", "kt", "rb", "sh", "bash", "sql", "css",
    "csv", "tsv", "diff", "patch", "lock", "env",
];

fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
}

/// Whether a file is a raster image, by its name.
#[must_use]
pub fn is_image(path: &str) -> bool {
    let extension = extension(path);
    IMAGES.iter().any(|(known, _)| *known == extension)
}

/// The type that a file is served as, and whether a browser may show it.
fn kind(path: &str) -> (&'static str, bool) {
    let extension = extension(path);
    if let Some((_, kind)) = IMAGES.iter().find(|(known, _)| *known == extension) {
        return (kind, true);
    }
    match TEXTS.contains(&extension.as_str()) {
        true => ("text/plain; charset=utf-8", true),
        false => ("application/octet-stream", false),
    }
}

/// The headers of what a task made.
fn headers(path: &str, kind: &'static str, is_shown: bool) -> HeaderMap {
    let name = path.rsplit('/').next().unwrap_or(path);
    let how = if is_shown { "inline" } else { "attachment" };
    let disposition = format!("{how}; filename*=UTF-8''{}", escape_url(name));
    let fixed = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CACHE_CONTROL, "private, no-cache"),
    ];
    let mut headers: HeaderMap =
        fixed.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
    let disposition = HeaderValue::from_str(&disposition).expect("an escaped name is ASCII");
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    headers
}

/// Serves a file that a task made.
///
/// # Errors
/// When it cannot be read.
pub async fn file(path: &str, parts: Parts) -> Result<Response, Refusal> {
    let (kind, is_shown) = kind(path);
    stream_of(headers(path, kind, is_shown), parts).await
}

/// Serves what a task printed or changed.
///
/// # Errors
/// When it cannot be read.
pub async fn text(name: &str, parts: Parts) -> Result<Response, Refusal> {
    stream_of(headers(name, "text/plain; charset=utf-8", true), parts).await
}

/// Serves bytes that are made piece by piece, as a download.
#[must_use]
pub fn download<S>(name: &str, bytes: S) -> Response
where
    S: Stream<Item = Result<Bytes, Error>> + Send + 'static,
{
    (headers(name, "application/octet-stream", false), Body::from_stream(bytes)).into_response()
}

/// Sends the bytes on as they come. The first is waited for, so that a refusal is an answer and not a broken body.
async fn stream_of(headers: HeaderMap, mut parts: Parts) -> Result<Response, Refusal> {
    let first = parts.next().await?.map(Ok::<_, Error>);
    let body = Body::from_stream(stream::iter(first).chain(parts.stream()));
    Ok((headers, body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_and_raster_images_are_shown() {
        for (path, shown) in [
            ("a.png", true),
            ("x/a.JPG", true),
            ("a.rs", true),
            ("a.html", false),
            ("a.svg", false),
            ("a.pdf", false),
            ("a.xml", false),
            ("png", false),
            ("a", false),
        ] {
            assert_eq!(kind(path).1, shown, "{path}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        let headers = headers("x/a\"\r\nSet-Cookie: b; 漢.txt", "text/plain", true);
        let disposition = headers[header::CONTENT_DISPOSITION].to_str().unwrap();
        assert_eq!(disposition, "inline; filename*=UTF-8''a%22%0D%0ASet-Cookie%3A%20b%3B%20%E6%BC%A2.txt");
    }
}
