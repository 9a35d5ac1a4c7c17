//! Saying no in the words of each format, so that a coding agent understands it.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::super::Wire;
use super::super::meter::Exceeded;

/// Why a request does not go through.
#[derive(Debug)]
pub(in super::super) enum Refused {
    Token,
    Path(String),
    Limit(Exceeded),
    TooLarge,
    Upstream(String),
}

impl Refused {
    /// The status and the body of an answer.
    pub fn whole(&self, wire: Wire) -> (StatusCode, String) {
        let (status, kind, message) = match self {
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                Kind::Authentication,
                "Conductor: this is not the token of the run that this gateway is for".to_owned(),
            ),
            Self::Path(path) => (
                StatusCode::NOT_FOUND,
                Kind::NotFound,
                format!("Conductor: {path} is nothing that a run may ask of its model"),
            ),
            // Whoever gets it must not try again.
            Self::Limit(exceeded) => (StatusCode::BAD_REQUEST, Kind::Limit, format!("Conductor: {exceeded}")),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                Kind::Limit,
                "Conductor: the request is larger than any model takes".to_owned(),
            ),
            Self::Upstream(why) => (
                StatusCode::BAD_GATEWAY,
                Kind::Unavailable,
                format!("Conductor: the model cannot be reached: {why}"),
            ),
        };
        (status, error(wire, status, kind, &message).to_string())
    }
}

/// The last event of a stream that passed a limit.
pub(in super::super) fn event(wire: Wire, why: &str) -> String {
    let message = format!("Conductor: {why}");
    match wire {
        Wire::Anthropic => {
            let error = error(wire, StatusCode::BAD_REQUEST, Kind::Limit, &message);
            format!("event: error\ndata: {error}\n\n")
        }
        Wire::OpenAi => {
            // The kind that is not tried again.
            let error = json!({"code": "insufficient_quota", "message": message});
            let failed = json!({"type": "response.failed", "response": {
                "id": "resp_conductor", "object": "response", "status": "failed", "error": error, "output": [],
            }});
            format!("event: response.failed\ndata: {failed}\n\n")
        }
        Wire::Gemini => {
            let error = error(wire, StatusCode::BAD_REQUEST, Kind::Limit, &message);
            format!("data: {error}\r\n\r\n")
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Authentication,
    NotFound,
    Limit,
    Unavailable,
}

fn error(wire: Wire, status: StatusCode, kind: Kind, message: &str) -> Value {
    match wire {
        Wire::Anthropic => {
            let kind = match kind {
                Kind::Authentication => "authentication_error",
                Kind::NotFound => "not_found_error",
                Kind::Limit => "invalid_request_error",
                Kind::Unavailable => "api_error",
            };
            json!({"type": "error", "error": {"type": kind, "message": message}})
        }
        Wire::OpenAi => {
            let (kind, code) = match kind {
                Kind::Authentication => ("invalid_request_error", "invalid_api_key"),
                Kind::NotFound => ("invalid_request_error", "not_found"),
                Kind::Limit => ("invalid_request_error", "conductor_limit"),
                Kind::Unavailable => ("server_error", "unavailable"),
            };
            json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
        }
        Wire::Gemini => {
            let kind = match kind {
                Kind::Authentication => "UNAUTHENTICATED",
                Kind::NotFound => "NOT_FOUND",
                Kind::Limit => "INVALID_ARGUMENT",
                Kind::Unavailable => "UNAVAILABLE",
            };
            json!({"error": {"code": status.as_u16(), "message": message, "status": kind}})
        }
    }
}
