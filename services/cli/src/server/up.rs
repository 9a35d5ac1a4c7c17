//! `up`: everything on this machine, until Ctrl-C.

use std::time::Duration;

use conductor_agent::sandbox::{self, Kernel, Kind};
use conductor_orchestrator::{Config, Running};
use conductor_runtime::clock::Clock;
use conductor_runtime::credentials;
use conductor_runtime::lifecycle::{Ended, Lifecycle, Shutdown};

use super::agent::Agents;
use super::http::Http;
use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure, chain};

/// How long the orchestrator has to close after the agents have ended.
const CLOSE: Duration = Duration::from_secs(10);

/// `up`
pub async fn up(context: &mut Context<'_>, args: &args::Up) -> Result<Exit, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::Failed(chain(error));
    let home = context.loaded.home.clone();
    home.create().map_err(|error| failed(&error))?;
    context.start_logs("warn").map_err(|error| failed(&error))?;
    let loaded = &context.loaded;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let drain = loaded.config.orchestrator.drain;
    let lifecycle = Lifecycle::start(drain)?;
    let signalled = lifecycle.shutdown();
    credentials::admin_token(&home).map_err(|error| failed(&error))?;
    let mut config = Config::new(&loaded.config, home).map_err(|error| failed(&error))?;
    config.effective = loaded.shown_json();
    // Not a part of the life of this process: it ends after the agents, so that it takes what they report.
    let orchestrator = Shutdown::new();
    let running = conductor_orchestrator::start(config, Clock::System, &orchestrator)
        .await
        .map_err(|error| failed(&error))?;
    let http = match Http::start(loaded, &running).await {
        Ok(http) => http,
        Err(failure) => {
            orchestrator.finish(CLOSE).await;
            running.finish().await.map_err(|error| failed(&error))?;
            return Err(failure);
        }
    };
    let mut agents = Agents::none("warn", loaded);
    agents.serve(&http.api_url, loaded);
    let started = agents.start(args.agents.into());
    let mut told = match started {
        Ok(()) => match tell(context, args, &http) {
            // It serves whoever asks, not who reads this.
            Err(Failure::NobodyReads) => Ok(()),
            told => told,
        },
        Err(error) => Err(Failure::Failed(format!("cannot start an agent: {error}"))),
    };
    if told.is_ok() {
        tokio::select! {
            () = signalled.draining() => {}
            () = orchestrator.draining() => {}
            () = http.failed() => {}
            // Whoever starts it without agents of its own asks for that: it would take tasks that nobody runs.
            () = agents.unfit() => {
                told = Err(Failure::Failed(
                    "no agent of this server can work, and it said why above; conductor up --agents 0 serves without one"
                        .to_owned(),
                ));
            }
        }
        if told.is_ok() {
            let seconds = drain.as_secs();
            let note = format!("stopping: what runs has {seconds} s to end; Ctrl-C again stops it at once");
            context.screen.note(note);
        }
    }
    let ended = end(Parts { running, orchestrator, agents, http }, &signalled, drain).await;
    told.and(ended)
}

/// Everything that runs.
struct Parts {
    running: Running,
    orchestrator: Shutdown,
    agents: Agents,
    http: Http,
}

/// Ends the agents, then the API and the dashboard, which show until then what ends, and then the orchestrator. A second
/// signal does not wait for what runs.
async fn end(parts: Parts, told: &Shutdown, drain: Duration) -> Result<Exit, Failure> {
    let Parts { running, orchestrator, agents, http } = parts;
    // Half a second more than the agents give themselves.
    let mut ending = Box::pin(agents.end(drain + Duration::from_millis(500)));
    tokio::select! {
        () = &mut ending => {}
        () = told.killed() => {
            agents.kill();
            ending.await;
        }
    }
    let served = http.end(told.is_killed()).await;
    let ended = orchestrator.finish(CLOSE).await;
    if let Err(error) = running.finish().await {
        return Err(Failure::Failed(chain(&error)));
    }
    let ended = match served {
        panicked @ Ended::Panicked { .. } => panicked,
        // A connection that had to be cut is no failure of the server.
        Ended::Drained | Ended::Killed { .. } => ended,
    };
    match ended {
        Ended::Drained if told.is_killed() => Ok(Exit::Cancelled),
        Ended::Drained => Ok(Exit::Succeeded),
        Ended::Killed { tasks } => Err(Failure::Failed(format!("ended before {tasks:?} had"))),
        Ended::Panicked { task } => Err(Failure::Failed(format!("{task} panicked; the logs say more"))),
    }
}

fn tell(context: &mut Context<'_>, args: &args::Up, http: &Http) -> Result<(), Failure> {
    let (home, config) = (&context.loaded.home, &context.loaded.config);
    let (control, agent) = (home.control_socket(), home.agent_socket());
    if context.screen.is_json() {
        return context.screen.json(&serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(), "control_socket": control,
            "agent_socket": agent, "workspace": home.workspace, "logs": home.logs, "agents": args.agents,
            "api": http.api_url, "dashboard": http.dashboard_url, "login": http.login_url,
        }));
    }
    let slots = config.agent.slots();
    let sandbox =
        sandbox::held((config.sandbox.mode, config.sandbox.egress), Kernel::probe(), Kind::Command).text();
    let login = match &http.login_url {
        Some(url) => format!("  log in          {url} (once, within 15 minutes)"),
        None => {
            "  log in          not needed: auth.mode is none, so anyone on this machine may do everything"
                .to_owned()
        }
    };
    for line in [
        format!("conductor {} is up", env!("CARGO_PKG_VERSION")),
        format!("  dashboard       {}", http.dashboard_url),
        login,
        format!("  API             {}", http.api_url),
        format!("  workspace       {}", home.workspace.display()),
        format!("  logs            {}", home.logs.display()),
        format!("  control socket  {}", control.display()),
        format!("  agent socket    {}", agent.display()),
        format!("  agents          {}, each with {slots} slots", args.agents),
        format!("  sandbox         {sandbox}"),
        "try: conductor run \"Say hello\"; Ctrl-C drains, a second one ends at once".to_owned(),
    ] {
        context.screen.line(line)?;
    }
    Ok(())
}
