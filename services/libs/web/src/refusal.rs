//! How requests are refused: RFC 9457 problems.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use conductor_client::Error;
use conductor_protocol::problem::FieldError;
use conductor_protocol::{Code, Problem};
use serde::Serialize;

/// When to come again, where a problem that passes does not say.
const RETRY_AFTER_SECONDS: u64 = 1;
/// What a 401 asks for.
const CHALLENGE: &str = "Bearer realm=\"conductor\"";

/// A problem as the answer to a request.
#[derive(Debug, Clone)]
pub struct Refusal(pub Problem);

/// A problem as it is written.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = Problem))]
pub struct Shown {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the kind means, for people.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What happened, for people.
    pub detail: String,
    /// The kind of problem, for programs.
    pub code: String,
    /// The faults of a body, each at its JSON pointer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
}

/// A fault of a body.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Fault {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

impl Refusal {
    /// A problem with nothing but its kind and what happened.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(problem_of(error))
    }
}

/// What an error of the way to the orchestrator is to a client. Where the orchestrator lies is not its business.
pub(crate) fn problem_of(error: Error) -> Problem {
    match error {
        Error::Refused(problem) => problem,
        Error::Unreachable { .. } | Error::Key { .. } => away(),
        Error::Lost(_) => Problem::new(
            Code::Unavailable,
            "the orchestrator went away before it answered; what was asked for may have been done",
        )
        .retry_after(RETRY_AFTER_SECONDS),
        Error::Slow => {
            Problem::new(Code::Unavailable, "the stream was read too slowly").retry_after(RETRY_AFTER_SECONDS)
        }
        Error::Malformed(why) => {
            tracing::error!(%why, "an answer of the orchestrator was not understood");
            Problem::new(Code::Internal, "the orchestrator's answer was not understood")
        }
    }
}

/// What is said while there is no orchestrator.
pub(crate) fn away() -> Problem {
    Problem::new(Code::Unavailable, "the orchestrator cannot be reached at the moment")
        .retry_after(RETRY_AFTER_SECONDS)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        written(self.0, None)
    }
}

/// The answer to a path that is none.
pub async fn not_found() -> Response {
    Refusal::new(Code::NotFound, "there is nothing at this path").into_response()
}

/// The answer to a path that has other methods.
pub async fn method_not_allowed() -> Response {
    let problem =
        Problem::new(Code::InvalidRequest, "this path does not have this method; Allow names those it has");
    written(problem, Some((StatusCode::METHOD_NOT_ALLOWED, "The method is not one of this path's")))
}

/// The answer to a range of which nothing is there.
pub fn range_not_satisfiable(bytes: u64) -> Response {
    let detail = format!("nothing of the range is there; the whole has {bytes} bytes");
    let problem = Problem::new(Code::InvalidRequest, detail);
    let mut response = written(problem, Some((StatusCode::RANGE_NOT_SATISFIABLE, "Nothing is there")));
    let range = HeaderValue::try_from(format!("bytes */{bytes}")).expect("a number");
    response.headers_mut().insert(header::CONTENT_RANGE, range);
    response
}

/// The status and title are the code's, but where HTTP has words of its own.
fn written(problem: Problem, other: Option<(StatusCode, &str)>) -> Response {
    let Problem { code, detail, errors, retry_after_seconds } = problem;
    let of_code = StatusCode::from_u16(code.status()).expect("a code's status is one of HTTP's");
    let (status, title) = other.unwrap_or((of_code, code.title()));
    let fault = |FieldError { pointer, detail }| Fault { pointer, detail };
    let shown = Shown {
        kind: format!("urn:conductor:problem:{}", code.as_str()),
        title: title.to_owned(),
        status: status.as_u16(),
        detail,
        code: code.as_str().to_owned(),
        errors: errors.into_iter().map(fault).collect(),
    };
    let body = serde_json::to_vec(&shown).expect("a problem is texts and numbers");
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    let passes = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if let Some(seconds) = retry_after_seconds.or(passes.then_some(RETRY_AFTER_SECONDS)) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    response
}
