//! `top`: what goes on, refreshed every second.

use std::time::Duration;

use conductor_client::{Beginnings, Link};
use conductor_protocol::control::{AgentView, Call, Filter, ListRequest, Page, QueueView, StatusView};
use conductor_protocol::task::State;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::{ago, now};
use crate::server::{Need, Server};
use crate::show;

/// How often it is refreshed.
const REFRESH: Duration = Duration::from_secs(1);
/// Lines that are no tasks.
const HEAD_LINES: usize = 6;

/// Everything that is shown.
#[derive(Debug, Serialize)]
struct View {
    status: StatusView,
    queue: QueueView,
    agents: Vec<AgentView>,
    live: Page,
}

/// `top`: on a terminal until Ctrl-C, else once.
pub async fn top(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::Running).await?;
    let beginnings = Beginnings::default();
    loop {
        let view = look(&mut server.link, &beginnings).await?;
        if context.screen.is_json() {
            context.screen.json(&view)?;
            return Ok(Exit::Succeeded);
        }
        let (columns, rows) = context.screen.size();
        let is_terminal = context.screen.is_terminal();
        let lines = lines(&view, is_terminal.then_some(columns));
        if !is_terminal {
            lines.into_iter().try_for_each(|line| context.screen.line(line))?;
            return Ok(Exit::Succeeded);
        }
        let mut page = "\x1b[H".to_owned();
        for line in lines.into_iter().take(rows.saturating_sub(1)) {
            page.push_str(&line);
            page.push_str("\x1b[K\n");
        }
        page.push_str("\x1b[J");
        context.screen.draw(&page)?;
        tokio::time::sleep(REFRESH).await;
    }
}

async fn look(link: &mut Link, beginnings: &Beginnings) -> Result<View, Failure> {
    let state = vec![State::Running, State::Waiting];
    let request = ListRequest { filter: Filter { state, ..Filter::default() }, ..ListRequest::default() };
    let mut live: Page = link.ask(&Call::List(Box::new(request))).await?;
    beginnings.add(&link.control().await?, &mut live.items).await;
    Ok(View {
        status: link.ask(&Call::Status).await?,
        queue: link.ask(&Call::Queue).await?,
        agents: link.ask(&Call::Agents).await?,
        live,
    })
}

fn lines(view: &View, columns: Option<usize>) -> Vec<String> {
    let queue = &view.queue;
    let paused = if queue.paused { " — PAUSED" } else { "" };
    let oldest = queue.oldest_seconds.map_or(String::new(), |age| format!(", the oldest for {age:.0} s"));
    let mut lines = Vec::with_capacity(HEAD_LINES + view.live.items.len());
    lines.push(format!(
        "conductor {}, up for {}{paused}",
        view.status.version,
        ago(view.status.started_at, now())
    ));
    lines.push(format!("tasks: {}{oldest}", show::counts(&queue.by_state)));
    lines.push(format!("slots: {} of {} free", queue.free, queue.slots));
    lines.push(String::new());
    lines.extend(show::agents(&view.agents).lines(columns));
    lines.push(String::new());
    lines.extend(show::rows(&view.live.items, now()).lines(columns));
    lines
}
