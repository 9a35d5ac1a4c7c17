//! Kinds of failures, by what programs and services say.

/// What kind of failure it is, which says what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runner) enum Class {
    /// The credential is at its limit.
    Limit,
    /// The service is overloaded, broken or out of reach.
    Overload,
    /// The credential is refused, or has nothing left to spend.
    Auth,
    /// The request can never be served: an unknown model, an argument that is wrong.
    InvalidRequest,
    /// The session has grown too long for the model.
    ContextOverflow,
    /// The most turns were taken.
    MaxTurns,
    /// The budget is spent.
    Budget,
    /// The session that was to go on is not there.
    NoSession,
    /// Anything else.
    Other,
}

/// Phrases in lower case, the more telling classes first: a quota that is used up is also told with 429.
const PHRASES: [(Class, &[&str]); 7] = [
    (
        Class::NoSession,
        &[
            "no conversation found with session id",
            "no rollout found",
            "error resuming session",
            "no previous sessions found",
            "invalid session identifier",
        ],
    ),
    (
        Class::ContextOverflow,
        &[
            "prompt is too long",
            "context_length_exceeded",
            "ran out of room in the model's context window",
            "exceeds the context window",
            "maximum context length",
            "exceeds the maximum number of tokens",
        ],
    ),
    (
        Class::Auth,
        &[
            "credit balance is too low",
            "insufficient_quota",
            "quota exceeded. check your plan and billing",
            "billing",
            "invalid api key",
            "incorrect api key",
            "invalid x-api-key",
            "api key not valid",
            "api_key_invalid",
            "authentication_error",
            "401 unauthorized",
            "403 forbidden",
            "permission_denied",
            "please run /login",
            "not logged in",
            "oauth token",
        ],
    ),
    (
        Class::Limit,
        &[
            "rate limit",
            "rate_limit",
            "usage limit",
            "too many requests",
            "status: 429",
            "(429)",
            "resource_exhausted",
            "exhausted your",
            "exhausted your daily quota",
            "hit your",
        ],
    ),
    (
        Class::InvalidRequest,
        &[
            "model_not_found",
            "does not exist",
            "issue with the selected model",
            "is not found",
            "invalid_request_error",
            "invalid_argument",
            "400 bad request",
            "404 not found",
        ],
    ),
    (
        Class::Overload,
        &[
            "overloaded",
            "server error",
            "service unavailable",
            "internal server error",
            "bad gateway",
            "gateway timeout",
            "stream disconnected",
            "stream closed",
            "connection lost",
            "connection error",
            "connection refused",
            "connection reset",
            "error sending request",
            "fetch failed",
            "timed out",
            "econnrefused",
            "econnreset",
            "enotfound",
            "eai_again",
        ],
    ),
    (Class::MaxTurns, &["maximum number of turns", "max session turns"]),
];

/// What kind of failure a message tells, with the status of the service's answer where that is known.
pub(in crate::runner) fn of(message: &str, status: Option<u64>) -> Class {
    let message = message.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    let by_words = PHRASES.iter().find(|(_, phrases)| says(phrases)).map(|(class, _)| *class);
    let by_status = match status {
        Some(401..=403) => Some(Class::Auth),
        Some(429) => Some(Class::Limit),
        Some(400 | 404 | 405 | 422) => Some(Class::InvalidRequest),
        Some(408 | 409 | 500..=599) => Some(Class::Overload),
        Some(_) | None => None,
    };
    match (by_words, by_status) {
        // Words tell these apart from the status that they come with.
        (Some(class @ (Class::NoSession | Class::ContextOverflow | Class::Auth | Class::MaxTurns)), _) => {
            class
        }
        (_, Some(class)) | (Some(class), None) => class,
        (None, None) => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_services_say_has_its_class() {
        for (message, status, class) in [
            ("API Error: 529 Overloaded. Try again", Some(529), Class::Overload),
            ("unexpected status 503 Service Unavailable: overloaded, url: http://x", None, Class::Overload),
            ("exceeded retry limit, last status: 429 Too Many Requests", None, Class::Limit),
            ("You've hit your usage limit. Try again at 8:43 AM.", None, Class::Limit),
            ("Quota exceeded. Check your plan and billing details.", None, Class::Auth),
            ("Credit balance is too low", Some(400), Class::Auth),
            ("unexpected status 401 Unauthorized: Incorrect API key provided", None, Class::Auth),
            (
                "[API Error: {\"error\":{\"code\":400,\"message\":\"API key not valid.\"}}]",
                Some(400),
                Class::Auth,
            ),
            ("[API Error: You have exhausted your daily quota on this model.]", None, Class::Limit),
            ("[API Error: models/nope is not found]", None, Class::InvalidRequest),
            ("The model nope does not exist", None, Class::InvalidRequest),
            ("Prompt is too long · the request is ~250000 tokens", Some(400), Class::ContextOverflow),
            ("Codex ran out of room in the model's context window.", None, Class::ContextOverflow),
            ("stream disconnected before completion: stream closed", None, Class::Overload),
            ("No conversation found with session ID: x", None, Class::NoSession),
            ("thread/resume failed: no rollout found for thread id x", None, Class::NoSession),
            ("something else", None, Class::Other),
            ("something else", Some(500), Class::Overload),
        ] {
            assert_eq!(of(message, status), class, "{message}");
        }
    }
}
