//! Bodies: one JSON value each, no deeper than it may be.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use conductor_protocol::{Code, Problem, json};
use conductor_web::{Refusal, Site, Whole};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::server::App;

/// The deepest that objects and lists may nest in a body.
const MAX_DEPTH: usize = 64;

/// A body as it was sent: one JSON value.
#[derive(Debug)]
pub(crate) struct Sent(pub(crate) Box<RawValue>);

/// A body that was read. An empty one counts as an empty object.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

/// The body of a request that has nothing to say: none, or an empty object. What a route would not heed is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl FromRequest<App> for Nothing {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        Json::from_request(request, app).await.map(|Json(nothing)| nothing)
    }
}

impl FromRequest<App> for Sent {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        Ok(Self(accepted(&whole(request, &app.site).await?)?))
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let bytes = whole(request, &app.site).await?;
        let raw = if bytes.is_empty() { accepted(b"{}")? } else { accepted(&bytes)? };
        Ok(Self(json::read(raw.get(), "")?))
    }
}

async fn whole(request: Request, site: &Site) -> Result<Bytes, Refusal> {
    let kind = is_json(request.headers());
    let bytes = Whole::from_request(request, site).await?.0;
    // Nothing is of no kind, whatever a client says of it by habit.
    if !bytes.is_empty() {
        kind?;
    }
    Ok(bytes)
}

/// Closed as the list of codes is, another kind of body is an invalid request.
fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = kind.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail = format!("the body is sent as {essence:?}; send it as application/json");
    Err(Problem::new(Code::InvalidRequest, detail))
}

/// Takes bytes as one JSON value.
///
/// # Errors
/// When they are none, or nest too deep.
pub(crate) fn accepted(bytes: &[u8]) -> Result<Box<RawValue>, Problem> {
    if is_too_deep(bytes) {
        return Err(Problem::at("", format!("objects and lists nest more than {MAX_DEPTH} deep")));
    }
    match serde_json::from_slice::<Box<RawValue>>(bytes) {
        Ok(value) => Ok(value),
        Err(error) => Err(match std::str::from_utf8(bytes) {
            Ok("") => Problem::at("", "the body is empty; a JSON object is expected"),
            Ok(_) => Problem::at("", format!("the body is not JSON: {error}")),
            Err(error) => Problem::at("", format!("the body is not UTF-8: {error}")),
        }),
    }
}

/// Whether objects and lists nest deeper than they may. Of what is not JSON it may say anything.
fn is_too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match (in_text, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, _, b'"') => in_text = !in_text,
            (true, _, _) => {}
            (false, _, b'{' | b'[') => depth += 1,
            (false, _, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, _, _) => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_told_from_what_is_no_text() {
        let detail = |bytes: &[u8]| accepted(bytes).expect_err("refused").detail;
        assert!(detail(b"").contains("empty"));
        assert!(detail(b"{\"prompt\":").contains("not JSON"));
        assert!(detail(b"{} {}").contains("not JSON"));
        assert!(detail(b"{\"prompt\":\"\xff\"}").contains("not UTF-8"));
        assert_eq!(accepted(b" {\"a\": 1}\n").expect("one value").get(), "{\"a\": 1}");
    }

    #[test]
    fn brackets_count_only_outside_of_texts() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(accepted(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(accepted(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(accepted(nested(100_000).as_bytes()).is_err());
        let text = format!("\"\\\"{}\"", "{".repeat(100));
        assert!(accepted(text.as_bytes()).is_ok(), "{text}");
    }

    #[test]
    fn another_kind_of_body_is_refused() {
        let sent = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().expect("a header"));
            is_json(&headers).is_ok()
        };
        assert!(sent("application/json") && sent("Application/JSON; charset=utf-8"));
        assert!(sent("application/merge-patch+json"));
        assert!(!sent("text/plain") && !sent("application/x-www-form-urlencoded"));
        assert!(is_json(&HeaderMap::new()).is_ok());
    }
}
