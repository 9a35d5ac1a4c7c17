//! `drill --security`: tries by tasks, on the deployment as it is, whether runs are held.

mod place;

use std::collections::BTreeMap;

use conductor_agent::sandbox::escapes::{
    DAEMON_IS_GONE, ESCAPED, ESCAPES, Escape, HELD, Hog, NETWORK, OTHER_FILE, REFUSED, UNTRIED, hogs,
};
use conductor_protocol::agent::{Egress, SandboxView};
use conductor_protocol::control::{AgentView, Call, Output, Submit};
use conductor_protocol::submit::SubmitTask;
use conductor_protocol::task::{TaskView, reason_text};
use serde::Serialize;

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::{Screen, Table, bytes, clean};
use crate::server::{Need, Server};

/// What marks the tasks of a drill.
const LABEL: (&str, &str) = ("drill", "security");
/// How long a try may run, and wait for a place.
const RUN_SECONDS: u64 = 120;
const QUEUE_SECONDS: u64 = 600;
/// Runs that take more than this are only tried where that is asked for.
const MOST_TAKEN: u64 = 1_200 << 20;
const MOST_PROCESSES: u64 = 5_000;
/// The end of an output that is looked at for what a try says.
const MAX_SAID_BYTES: usize = 4 << 10;
/// What the file of the other run has in it.
const MINE: &[u8] = b"mine\n";
/// How a try came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Held,
    Escaped,
    NotTried,
    /// The configuration does not ask for it to be held.
    Open,
}

/// One try.
#[derive(Debug, Serialize)]
struct Tried {
    name: &'static str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
}

/// `drill --security`: exits with 1 where something came through.
pub async fn run(context: &mut Context<'_>, args: &args::Drill) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::Work).await?;
    let tried = try_all(context, &mut server, args).await;
    let tried = match tried {
        Ok(tried) => tried,
        Err(failure) => {
            server.close_at_once().await;
            return Err(failure);
        }
    };
    let escaped = tried.iter().filter(|it| it.outcome == Outcome::Escaped).count();
    report(context.screen, &tried, escaped)?;
    server.close(context, &[]).await?;
    Ok(if escaped == 0 { Exit::Succeeded } else { Exit::Failed })
}

fn report(screen: &mut Screen, tried: &[Tried], escaped: usize) -> Result<(), Failure> {
    if screen.is_json() {
        return screen.json(&serde_json::json!({ "ok": escaped == 0, "escaped": escaped, "tries": tried }));
    }
    let mut table = Table::new(&["TRY", "OUTCOME", "AGENT", "DETAIL"]);
    for it in tried {
        let outcome = match it.outcome {
            Outcome::Held => "held",
            Outcome::Escaped => "ESCAPED",
            Outcome::NotTried => "not tried",
            Outcome::Open => "open",
        };
        table.row([
            it.name.to_owned(),
            outcome.to_owned(),
            clean(it.agent.as_deref().unwrap_or("-")),
            clean(&it.detail),
        ]);
    }
    table
        .lines(screen.is_terminal().then(|| screen.size().0))
        .into_iter()
        .try_for_each(|line| screen.line(line))?;
    let count = |outcome| tried.iter().filter(|it| it.outcome == outcome).count();
    screen.line(format!(
        "{} held, {escaped} escaped, {} not tried, {} left open by the configuration",
        count(Outcome::Held),
        count(Outcome::NotTried),
        count(Outcome::Open)
    ))
}

async fn try_all(
    context: &mut Context<'_>,
    server: &mut Server,
    args: &args::Drill,
) -> Result<Vec<Tried>, Failure> {
    let mut env = place::variables(context);
    let mut drill = Drill { context, server, requires: &args.requires, others: Vec::new() };
    let other = drill.other(&mut env).await?;
    let held = drill.held(&other).await?;
    let is_open = held.as_ref().and_then(|held| held.egress) == Some(Egress::Open);
    let mut tried = Vec::new();
    for escape in ESCAPES.iter().chain([&DAEMON_IS_GONE]) {
        let it = drill.escape(escape, &env, &other).await?;
        if it.outcome == Outcome::Escaped {
            // The next is to find what this one may have taken away.
            drill.other(&mut env).await?;
        }
        tried.push(it);
    }
    for escape in &NETWORK {
        let mut it = drill.escape(escape, &env, &other).await?;
        if is_open && it.outcome == Outcome::Escaped {
            it.outcome = Outcome::Open;
        }
        tried.push(it);
    }
    let limits = held.and_then(|held| held.limits);
    for hog in limits.map(hogs).unwrap_or_default() {
        tried.push(drill.hog(&hog, args.all).await?);
    }
    let mut unharmed = None;
    for other in std::mem::take(&mut drill.others) {
        let it = drill.is_unharmed(&other).await;
        if unharmed.as_ref().is_none_or(|known: &Tried| known.outcome == Outcome::Held) {
            unharmed = Some(it);
        }
    }
    tried.extend(unharmed);
    Ok(tried)
}

struct Drill<'a, 'b> {
    context: &'a mut Context<'b>,
    server: &'a mut Server,
    requires: &'a [String],
    /// The runs that were there to be reached.
    others: Vec<TaskView>,
}

impl Drill<'_, '_> {
    /// Has another run leave a file, and names it to the tries.
    async fn other(&mut self, env: &mut BTreeMap<String, String>) -> Result<TaskView, Failure> {
        let other = self.task("another run", words("printf 'mine\\n' > file"), &BTreeMap::new()).await?;
        env.insert(OTHER_FILE.to_owned(), format!("../../{}/work/file", other.id));
        self.others.push(other.clone());
        Ok(other)
    }

    async fn escape(
        &mut self,
        escape: &Escape,
        env: &BTreeMap<String, String>,
        other: &TaskView,
    ) -> Result<Tried, Failure> {
        let task = self.task(escape.name, escape.command(), env).await?;
        let code = task.attempts.last().and_then(|attempt| attempt.exit_code);
        let outcome = match code {
            Some(HELD) => Outcome::Held,
            Some(ESCAPED) => Outcome::Escaped,
            Some(UNTRIED) | Some(_) | None => Outcome::NotTried,
        };
        let mut tried = Tried::of(escape.name, outcome, &task);
        if task.agent != other.agent {
            tried.outcome = Outcome::NotTried;
            tried.detail =
                "it ran on another agent than the run that it was to reach; --requires names one".to_owned();
        } else if outcome != Outcome::Held {
            tried.detail = self.said(&task).await;
        }
        Ok(tried)
    }

    async fn hog(&mut self, hog: &Hog, all: bool) -> Result<Tried, Failure> {
        let most = if hog.reason == "process_limit" { MOST_PROCESSES } else { MOST_TAKEN };
        if hog.takes > most && !all {
            let what = if hog.reason == "process_limit" {
                format!("{} processes", hog.takes)
            } else {
                bytes(hog.takes)
            };
            let detail = format!("it would take {what}; --all tries it");
            return Ok(Tried { name: hog.name, outcome: Outcome::NotTried, detail, agent: None, task: None });
        }
        let task = self.task(hog.name, hog.command.clone(), &BTreeMap::new()).await?;
        let reason = task.failure.as_ref().map(|failure| reason_text(failure.reason));
        let code = task.attempts.last().and_then(|attempt| attempt.exit_code);
        let outcome = match reason {
            Some(reason) if reason == hog.reason => Outcome::Held,
            _ if code == Some(REFUSED) => Outcome::Held,
            _ if code == Some(ESCAPED) => Outcome::Escaped,
            Some(_) | None => Outcome::NotTried,
        };
        let mut tried = Tried::of(hog.name, outcome, &task);
        tried.detail = match (outcome, &task.failure) {
            (Outcome::Escaped, _) => format!("it took {} more than it may and was not ended", hog.takes),
            (Outcome::Held, _) if code == Some(REFUSED) => {
                format!("the kernel refused it: {}", self.said(&task).await)
            }
            (_, Some(failure)) => format!("{}: {}", reason_text(failure.reason), failure.message),
            (_, None) => String::new(),
        };
        Ok(tried)
    }

    /// Whether the other run still has what it left.
    async fn is_unharmed(&mut self, other: &TaskView) -> Tried {
        let read = async {
            let mut link = self.server.link.another(self.server.link.options().clone());
            let mut chunks = link.control().await?.file(other.id, "file".to_owned()).await?;
            let mut text = Vec::new();
            while let Some(chunk) = chunks.next().await? {
                text.extend_from_slice(&chunk.bytes);
            }
            Ok::<_, Failure>(text)
        };
        let read = read.await;
        let outcome =
            if read.as_ref().is_ok_and(|text| text == MINE) { Outcome::Held } else { Outcome::Escaped };
        let detail = match (outcome, read) {
            (_, Err(failure)) => failure.to_string(),
            (Outcome::Escaped, Ok(_)) => "its file is not what it left".to_owned(),
            (_, Ok(_)) => String::new(),
        };
        Tried { detail, ..Tried::of("harm another run in any way", outcome, other) }
    }

    /// How the agent of a task confines commands, where it says so.
    async fn held(&mut self, task: &TaskView) -> Result<Option<SandboxView>, Failure> {
        let agents: Vec<AgentView> = self.server.link.ask(&Call::Agents).await?;
        let agent = agents.into_iter().find(|agent| Some(&agent.name) == task.agent.as_ref());
        let runner =
            agent.and_then(|agent| agent.runners.into_iter().find(|runner| runner.name == "command"));
        Ok(runner.and_then(|runner| runner.sandbox))
    }

    /// Submits a command and waits for its end.
    async fn task(
        &mut self,
        name: &str,
        command: Vec<String>,
        env: &BTreeMap<String, String>,
    ) -> Result<TaskView, Failure> {
        self.context.screen.progress(format!("drill: {name}"));
        let task = SubmitTask {
            command: Some(command),
            runner: Some("command".to_owned()),
            name: Some(format!("drill: {name}")),
            env: env.clone(),
            requires: self.requires.to_vec(),
            labels: [(LABEL.0.to_owned(), LABEL.1.to_owned())].into(),
            timeout_seconds: Some(RUN_SECONDS),
            queue_timeout_seconds: Some(QUEUE_SECONDS),
            ..SubmitTask::default()
        };
        let body =
            serde_json::value::to_raw_value(&task).map_err(|error| Failure::Failed(error.to_string()))?;
        let submitted = self.server.submit(self.context, Submit { tasks: vec![body], key: None }).await?;
        let id = submitted.ids.first().copied();
        let id = id.ok_or_else(|| Failure::Failed("the orchestrator named no task".to_owned()))?;
        let task = self.server.link.wait(id).await?;
        self.context.screen.clear_progress();
        Ok(task)
    }

    /// The last line that a task printed, or why it failed.
    async fn said(&mut self, task: &TaskView) -> String {
        let mut end = Vec::new();
        let mut link = self.server.link.another(self.server.link.options().clone());
        let output = Output { id: task.id, attempt: None, offset: 0, follow: false, limit: None };
        let read = link.output(output, async |bytes: &[u8]| {
            end.extend_from_slice(bytes);
            let excess = end.len().saturating_sub(MAX_SAID_BYTES);
            end.drain(..excess);
            Ok::<_, Failure>(())
        });
        let read = read.await.is_ok();
        let text = String::from_utf8_lossy(&end);
        let line = text.lines().rev().find(|line| !line.trim().is_empty()).filter(|_| read);
        let failure = task.failure.as_ref().map(|failure| failure.message.clone());
        line.map(str::to_owned).or(failure).unwrap_or_default()
    }
}

impl Tried {
    fn of(name: &'static str, outcome: Outcome, task: &TaskView) -> Self {
        Self {
            name,
            outcome,
            detail: String::new(),
            agent: task.agent.clone(),
            task: Some(task.id.to_string()),
        }
    }
}

fn words(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).into()
}
