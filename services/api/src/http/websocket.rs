//! Requests for a WebSocket.

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use conductor_protocol::Code;
use conductor_web::Refusal;

/// The upgrade that a request asks for.
///
/// # Errors
/// `invalid_request` when it asks for none.
pub(crate) fn upgrade(
    asked: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<WebSocketUpgrade, Refusal> {
    asked.map_err(|why| {
        Refusal::new(Code::InvalidRequest, format!("this path speaks WebSocket only: {}", why.body_text()))
    })
}
