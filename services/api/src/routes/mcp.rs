//! MCP over HTTP: every request stands for itself, and is served on behalf of who shows its token.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest as _, Request, State};
use axum::response::Response;
use conductor_protocol::Code;
use conductor_web::{Caller, Refusal, Whole};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

use crate::mcp::{Tools, Way};
use crate::server::App;

/// Serves MCP, by the streamable HTTP transport without sessions. `docs/mcp.md` says how clients are told of it.
#[utoipa::path(
    method(get, post, delete), path = "/mcp", tag = "mcp",
    responses(
        (status = 200, description = "To a POST: the answer to the message, as JSON."),
        (status = 202, description = "To a POST: a message that asks nothing was taken."),
        (status = 405, description = "There are no sessions and no streams: MCP comes by POST."),
        (status = 406, description = "To a POST: the client does not take both JSON and an event stream."),
    ),
    extensions(("x-problems" = json!([413]))),
)]
pub(crate) async fn mcp(
    caller: Caller,
    State(app): State<App>,
    request: Request,
) -> Result<Response, Refusal> {
    let caller = caller.by_way_of("mcp");
    let (parts, body) = request.into_parts();
    let Whole(bytes) = Whole::from_request(Request::from_parts(parts.clone(), body), &app).await?;
    let control = caller.control(&app.site).await?;
    let tools = Tools::new(Way::Connection(control));
    // Host and origin were checked before the router, by the names that this server answers to.
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(app.site.limits().body_bytes);
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(tools.clone()), sessions, config);
    // What is dropped here is cancelled there: nobody who lost the right waits on.
    tokio::select! {
        response = service.handle(Request::from_parts(parts, Body::from(bytes))) => Ok(response.map(Body::new)),
        () = caller.alive(&app.site) => {
            Err(Refusal::new(Code::Unavailable, "the token does not hold any more, or the server is ending"))
        }
    }
}
