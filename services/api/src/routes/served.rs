//! Bytes that a task made, served so that they harm nobody's browser.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use conductor_web::{Caller, Refusal, range_not_satisfiable};

use super::output::{ATTEMPT, OFFSET};
use crate::http::{Part, part};
use crate::live::{Reading, Source, body};
use crate::server::App;

/// What bytes are said to be.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    media: &'static str,
    /// The name to save it as, for what a browser is not to show.
    attachment: Option<String>,
}

/// Raster images, by how a name ends.
const IMAGES: [(&str, &str); 7] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("bmp", "image/bmp"),
    ("avif", "image/avif"),
];
/// Text that is shown as text, by how a name ends. What a browser would run is text, too: it is never shown as itself.
const TEXTS: [&str; 40] = [
    "txt", "md", "log", "csv", "tsv", "json", "ndjson", "yaml", "yml", "toml", "ini", "cfg", "conf", "rs",
    "py", "js", "ts", "tsx", "jsx", "go", "c", "h", "cc", "cpp", "hpp", "java", "kt", "rb", "php", "sh",
    "bash", "sql", "html", "htm", "css", "xml", "svg", "diff", "patch", "lock",
];

impl Kind {
    /// Text of any kind.
    pub(crate) fn text() -> Self {
        Self { media: "text/plain; charset=utf-8", attachment: None }
    }

    /// A patch.
    pub(crate) fn diff() -> Self {
        Self { media: "text/x-diff; charset=utf-8", attachment: None }
    }

    /// A file, by its name.
    pub(crate) fn file(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
        if let Some((_, media)) = IMAGES.iter().find(|(known, _)| *known == end) {
            return Self { media, attachment: None };
        }
        let plain = ["README", "LICENSE", "Makefile", "Dockerfile", "CHANGELOG"].contains(&name);
        if plain || TEXTS.contains(&end.as_str()) {
            return Self::text();
        }
        Self { media: "application/octet-stream", attachment: Some(name.to_owned()) }
    }
}

/// A header that has a browser save a file under its name.
pub(crate) fn attachment(name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !"\"\\%;".contains(c) || c == ' ' { c } else { '_' })
        .collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    HeaderValue::try_from(format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

/// Lets a browser do nothing with the bytes but show or save them.
pub(crate) fn guard(headers: &mut HeaderMap, kind: &Kind) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind.media));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Some(name) = &kind.attachment {
        headers.insert(CONTENT_DISPOSITION, attachment(name));
    }
}

/// Answers with the bytes of a source from an offset on, or with the range of them that is asked for.
pub(crate) async fn served(
    app: &App,
    caller: &Caller,
    source: Source,
    headers: &HeaderMap,
    offset: u64,
    kind: Kind,
) -> Result<Response, Refusal> {
    let whole = source.whole(&caller.control(&app.site).await?).await?;
    let (status, from, to) = match part(headers, whole.bytes) {
        Part::Whole => (StatusCode::OK, offset.min(whole.bytes), whole.bytes),
        Part::Between(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Part::Nothing => return Ok(range_not_satisfiable(whole.bytes)),
    };
    let reading = Reading::new(source.of(whole.attempt), &app.lines, caller, from, to);
    let mut response = if from == to { Body::empty().into_response() } else { body(reading).into_response() };
    *response.status_mut() = status;
    let answered = response.headers_mut();
    guard(answered, &kind);
    answered.insert(CONTENT_LENGTH, (to - from).into());
    answered.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answered.insert(ATTEMPT, whole.attempt.into());
    answered.insert(OFFSET, from.into());
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {from}-{}/{}", to - 1, whole.bytes);
        answered.insert(CONTENT_RANGE, HeaderValue::try_from(range).expect("numbers"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_would_run_is_shown_as_text_or_saved() {
        assert_eq!(Kind::file("a/page.html").media, "text/plain; charset=utf-8");
        assert_eq!(Kind::file("a/picture.svg").media, "text/plain; charset=utf-8");
        assert_eq!(Kind::file("a/picture.PNG").media, "image/png");
        let other = Kind::file("a/b.pdf");
        assert_eq!((other.media, other.attachment.as_deref()), ("application/octet-stream", Some("b.pdf")));
        assert_eq!(Kind::file("noend").attachment.as_deref(), Some("noend"));
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        let value = attachment("a\"b\r\nSet-Cookie: é.bin");
        assert_eq!(
            value.to_str().expect("ASCII"),
            "attachment; filename=\"a_b__Set-Cookie: _.bin\"; filename*=UTF-8''a%22b%0D%0ASet-Cookie%3A%20%C3%A9.bin"
        );
    }
}
