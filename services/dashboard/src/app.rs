//! The program's state, and the answers that are pages.

use std::sync::Arc;

use askama::Template;
use axum::extract::FromRef;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use conductor_client::Beginnings;
use conductor_protocol::{Code, Problem};
use conductor_web::{Refusal, Site};
use url::Url;

use crate::frame::Frame;
use crate::words::Words;

/// What a page may load and where its forms may lead: from here, and nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The program's state.
#[derive(Debug, Clone)]
pub struct App {
    /// Its HTTP side.
    pub site: Site,
    /// How tasks without a name begin.
    pub beginnings: Arc<Beginnings>,
    /// Where the file server is, when there is one.
    pub files: Option<Url>,
}

impl FromRef<App> for Site {
    fn from_ref(app: &App) -> Self {
        app.site.clone()
    }
}

/// The same where a form may lead to another origin of ours, besides.
#[must_use]
pub fn policy_for_forms_to(url: &str) -> Option<HeaderValue> {
    let origin = url.parse::<Url>().ok()?.origin().ascii_serialization();
    HeaderValue::try_from(POLICY.replace("form-action 'self'", &format!("form-action 'self' {origin}"))).ok()
}

/// A template as an answer.
///
/// # Errors
/// `internal` when it cannot be rendered.
pub fn page(status: StatusCode, template: &impl Template) -> Result<Response, Refusal> {
    let html = template.render().map_err(|error| {
        tracing::error!(%error, "a page cannot be rendered");
        Refusal::new(Code::Internal, "the page cannot be rendered")
    })?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        // Without a referrer a browser sends forms with no origin that could be checked.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::VARY, HeaderValue::from_static("accept-language, cookie")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    Ok((status, headers, html).into_response())
}

/// Sends the browser to another page of this server. The path is escaped and begins with the site's prefix.
#[must_use]
pub fn see(path: &str) -> Response {
    // Two slashes would be the beginning of another host.
    let is_ours = path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/\\");
    let value = HeaderValue::from_str(path).ok().filter(|_| is_ours).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, value)]).into_response()
}

/// What went wrong, as a page.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    f: Frame,
    w: &'static Words,
    status: u16,
    title: &'static str,
    detail: String,
    is_away: bool,
}

/// Tells on a page what went wrong.
#[must_use]
pub fn problem(f: Frame, problem: Problem) -> Response {
    let w = f.words();
    let title = match problem.code {
        Code::NotFound | Code::Gone => w.no_such_thing,
        Code::Forbidden | Code::Unauthorized => w.not_allowed,
        Code::Unavailable | Code::NotLeader => w.orchestrator_is_away,
        Code::InvalidRequest
        | Code::Conflict
        | Code::IdempotencyConflict
        | Code::PayloadTooLarge
        | Code::QueueFull
        | Code::RateLimited
        | Code::StorageFull
        | Code::Internal => w.went_wrong,
    };
    let status = problem.code.status();
    let is_away = matches!(problem.code, Code::Unavailable | Code::NotLeader);
    let view = ProblemPage { f, w, status, title, detail: problem.detail, is_away };
    let status = StatusCode::from_u16(status).expect("a code's status is one of HTTP's");
    page(status, &view).unwrap_or_else(IntoResponse::into_response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_host() {
        let location = |path: &str| see(path).headers()[header::LOCATION].to_str().unwrap().to_owned();
        assert_eq!(location("/tasks?a=b"), "/tasks?a=b");
        for path in ["//evil.example", "/\\evil.example", "https://evil.example", "x", "/a\r\nb"] {
            assert_eq!(location(path), "/", "{path}");
        }
    }
}
