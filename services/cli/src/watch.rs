//! Commands about the server: what it does and how it is.

mod audit;
mod top;

use std::time::Duration;

use conductor_protocol::control::{
    AgentName, Call, Done, DrainAgent, Events, Gc, GcKind, GcView, Pause, StatsView, StatusView,
};

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::{Table, ago, bytes, clean, now};
use crate::server::{Need, Server};
use crate::show;

pub use audit::audit;
pub use top::top;

/// `agents`
pub async fn agents(
    context: &mut Context<'_>,
    command: Option<args::AgentsCommand>,
) -> Result<Exit, Failure> {
    let need = if command.is_some() { Need::State } else { Need::Running };
    let mut server = Server::find(context, need).await?;
    let call = match command {
        None => {
            let agents: Vec<conductor_protocol::control::AgentView> = server.link.ask(&Call::Agents).await?;
            if context.screen.is_json() {
                context.screen.json(&agents)?;
            } else {
                let columns = context.screen.is_terminal().then(|| context.screen.size().0);
                let mut lines = show::agents(&agents).lines(columns);
                if agents.iter().any(|agent| !agent.runners.is_empty()) {
                    lines.push(String::new());
                    lines.extend(show::runners(&agents).lines(columns));
                }
                lines.into_iter().try_for_each(|line| context.screen.line(line))?;
            }
            return Ok(Exit::Succeeded);
        }
        Some(args::AgentsCommand::Drain(agent)) => {
            Call::DrainAgent(DrainAgent { name: agent.name, draining: true })
        }
        Some(args::AgentsCommand::Resume(agent)) => {
            Call::DrainAgent(DrainAgent { name: agent.name, draining: false })
        }
        Some(args::AgentsCommand::Revoke(agent)) => Call::RevokeAgent(AgentName { name: agent.name }),
    };
    let _done: Done = server.link.ask(&call).await?;
    done(context)?;
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

/// `pause` and `resume`
pub async fn pause(context: &mut Context<'_>, paused: bool) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    let _done: Done = server.link.ask(&Call::Pause(Pause { paused })).await?;
    done(context)?;
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

fn done(context: &mut Context<'_>) -> Result<(), Failure> {
    match context.screen.is_json() {
        true => context.screen.json(&Done {}),
        false => Ok(()),
    }
}

/// `stats`
pub async fn stats(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    let stats: StatsView = server.link.ask(&Call::Stats).await?;
    if context.screen.is_json() {
        context.screen.json(&stats)?;
    } else {
        let seconds =
            |seconds: Option<f64>| seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.2} s"));
        let mut table = Table::bare();
        for (name, value) in [
            ("tasks", show::counts(&stats.by_state)),
            ("finished in the last hour", stats.finished_last_hour.to_string()),
            ("finished today", stats.today.finished.to_string()),
            ("tokens today", stats.today.tokens.to_string()),
            ("cost today", format!("${:.2}", stats.today.cost_usd)),
            ("of that on failed attempts", format!("${:.2}", stats.today.failed_cost_usd)),
            ("more so far in what runs", format!("${:.2}", stats.today.running.cost_usd.unwrap_or_default())),
            ("finished in the last day", stats.finished_last_day.to_string()),
            ("failed in the last day", stats.failed_last_day.to_string()),
            ("mean wait", seconds(stats.mean_wait_seconds)),
            ("mean run", seconds(stats.mean_run_seconds)),
            ("tokens in the last day", stats.tokens_last_day.to_string()),
            ("cost in the last day", format!("${:.2}", stats.cost_usd_last_day)),
        ] {
            table.row([name.to_owned(), value]);
        }
        table.lines(None).into_iter().try_for_each(|line| context.screen.line(line))?;
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

/// `status`
pub async fn status(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::Running).await?;
    let status: StatusView = server.link.ask(&Call::Status).await?;
    if context.screen.is_json() {
        context.screen.json(&status)?;
    } else {
        status_lines(&status).into_iter().try_for_each(|line| context.screen.line(line))?;
    }
    Ok(Exit::Succeeded)
}

fn status_lines(status: &StatusView) -> Vec<String> {
    let mut table = Table::bare();
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("version", clean(&status.version));
    row("process", status.pid.to_string());
    row("up for", ago(status.started_at, now()));
    let flags = [
        (status.paused, "paused"),
        (status.draining, "stopping"),
        (status.storage_full, "storage full: submits are refused"),
        (status.embedded, "serves one command and ends with it"),
    ];
    let flags: Vec<&str> = flags.into_iter().filter_map(|(is, what)| is.then_some(what)).collect();
    row("state", if flags.is_empty() { "serving".to_owned() } else { flags.join(", ") });
    row("workspace", clean(&status.workspace));
    row("state folder", format!("{} ({} free)", clean(&status.state_dir), bytes(status.state_free_bytes)));
    let (first, last) = (status.first_event, status.log.seq);
    row("events", format!("{last} (kept from {first} on; history is {} behind)", status.history_lag));
    let counters = &status.counters;
    row("leases expired", counters.leases_expired.to_string());
    row("stale reports refused", counters.stale_reports_refused.to_string());
    table.lines(None)
}

/// `events`
pub async fn events(context: &mut Context<'_>, args: &args::Events) -> Result<Exit, Failure> {
    let need = if args.follow { Need::Running } else { Need::State };
    let mut server = Server::find(context, need).await?;
    let mut since = match args.since {
        None if !args.follow => {
            let status: StatusView = server.link.ask(&Call::Status).await?;
            Some(status.first_event.saturating_sub(1))
        }
        asked => asked,
    };
    loop {
        let control = server.link.control().await?;
        let mut events = match control.events(Events { since, follow: args.follow }).await {
            Ok(events) => events,
            // It let us in and was about to end.
            Err(error) if error.is_of_the_connection() => {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let lost = loop {
            match events.next().await {
                Ok(Some(event)) => {
                    since = Some(event.seq);
                    match context.screen.is_json() {
                        true => context.screen.json(&event)?,
                        false => context.screen.line(show::events_line(&event))?,
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        match lost {
            None if !args.follow => break,
            // The server went away: it goes on after the last event that was seen.
            None => {}
            Some(error) if error.is_of_the_connection() || matches!(error, conductor_client::Error::Slow) => {
            }
            Some(error) => return Err(error.into()),
        }
        if since.is_none() {
            // New ones only, and none came: what came meanwhile counts as new.
            since = Some(control.welcome().log.seq);
        }
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

/// Pause before a follower turns again to a server that let it in and then ended.
const AGAIN: Duration = Duration::from_millis(100);

/// `gc`
pub async fn gc(context: &mut Context<'_>, dry_run: bool) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    let view: GcView = server.link.ask(&Call::Gc(Gc { dry_run })).await?;
    if context.screen.is_json() {
        context.screen.json(&view)?;
    } else {
        let verb = if view.dry_run { "would delete" } else { "deleted" };
        let mut table = Table::new(&["TASK", "WHAT", "WHY"]);
        for item in &view.items {
            let what = match item.what {
                GcKind::Run => "the run",
                GcKind::RunUntilRoom => "the run, until there is room",
                GcKind::WorkFolder => "its work folder",
            };
            table.row([item.id.to_string(), what.to_owned(), item.why.clone()]);
        }
        if !view.items.is_empty() {
            table.lines(None).into_iter().try_for_each(|line| context.screen.line(line))?;
        }
        let kept =
            if view.pinned > 0 { format!("; {} are pinned and stay", view.pinned) } else { String::new() };
        let more = if view.more { ", the first of them above" } else { "" };
        context
            .screen
            .line(format!("{verb} {} runs and {} work folders{more}{kept}", view.runs, view.work_folders))?;
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

/// How long a healthy orchestrator takes to answer at most.
const HEALTH_PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two looks for an orchestrator that is waited for.
const HEALTH_PAUSE: Duration = Duration::from_millis(50);

/// `healthcheck`
pub async fn healthcheck(context: &mut Context<'_>, wait: Duration) -> Result<Exit, Failure> {
    let begin = tokio::time::Instant::now();
    loop {
        match look_at_health(context).await {
            Err(Failure::NotReachable(_)) if begin.elapsed() < wait => tokio::time::sleep(HEALTH_PAUSE).await,
            told => return told,
        }
    }
}

async fn look_at_health(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let look = async {
        let mut server = Server::find(context, Need::Running).await?;
        Ok(server.link.ask::<StatusView>(&Call::Status).await?)
    };
    let late = |_| Err(Failure::NotReachable("the orchestrator does not answer".to_owned()));
    let status = tokio::time::timeout(HEALTH_PATIENCE, look).await.unwrap_or_else(late)?;
    if context.screen.is_json() {
        context.screen.json(&serde_json::json!({"ok": true, "storage_full": status.storage_full}))?;
    }
    // A full disk is no reason to end a program: whoever restarts what is unhealthy would take the reads away too.
    if status.storage_full && !context.screen.is_json() {
        context
            .screen
            .line("the storage is full: submits are refused and nothing starts; reads are served")?;
    }
    Ok(Exit::Succeeded)
}
