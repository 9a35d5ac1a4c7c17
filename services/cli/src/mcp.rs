//! `conductor mcp`: the tools of the queue on stdin and stdout, for a coding agent that starts this as its MCP server.

use conductor_api::mcp::{self, Way};

use crate::context::Context;
use crate::exit::{Exit, Failure, chain};
use crate::server::{Need, Server};

/// `mcp`: serves until the client goes away or a signal comes. Nothing but MCP goes to stdout.
pub async fn run(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let shutdown = context.signals()?;
    let server = Server::find(context, Need::Work).await?;
    let way = Way::over(server.link.another(server.link.options().clone()));
    let served = tokio::select! {
        served = mcp::serve(way, tokio::io::stdin(), tokio::io::stdout()) => served,
        () = shutdown.draining() => Ok(()),
    };
    // A server of this command's own ends with what was submitted through it.
    server.close(context, &[]).await?;
    served.map_err(|error| Failure::Failed(chain(&error)))?;
    Ok(Exit::Succeeded)
}
