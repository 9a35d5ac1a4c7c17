//! `support-bundle`: what helps to find a fault, in one file that says what is in it. No prompts, outputs, environments or
//! secrets, but for what `--with-tasks` asks for.

mod redact;
mod tails;

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use conductor_protocol::control::{
    Call, Filter, ListRequest, MetricsView, Page, QueueView, StatsView, StatusView,
};
use conductor_protocol::task::{FailureView, State, TaskView};
use conductor_protocol::text::rfc3339;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args;
use crate::context::Context;
use crate::doctor;
use crate::exit::{Exit, Failure};
use crate::screen::{bytes, now};
use crate::server::{Need, Server};
use redact::Redactor;

/// Tasks that failed lately, at most.
const MAX_FAILURES: u32 = 50;
/// Bytes of the end of an output, where outputs are asked for.
const MAX_OUTPUT_BYTES: u64 = 64 << 10;

/// What stands in the bundle about itself.
const ABOUT: &str = "\
about.txt        this page
version.json     versions of the command, the server and the system
doctor.json      what conductor doctor found
config.json      the configuration, secrets redacted
state.json       how large the files of the state and of the logs are, and the room on their volumes
server/*.json    status, queue, statistics, metrics and agents, where a server runs
failures.json    the tasks that failed lately: runner, agent, times, reason; no prompt, message, output or environment
logs/*           the end of each program's newest log, redacted
";

const ABOUT_TASKS: &str = "\
tasks/*          asked for by --with-tasks: the same tasks with prompts and messages, and the end of their outputs. Read them
                 before you hand this on
";

/// A bundle that is being written.
struct Bundle {
    tar: tar::Builder<GzEncoder<File>>,
    redactor: Redactor,
    names: Vec<String>,
}

impl Bundle {
    fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        header.set_mtime(u64::try_from(now().0 / 1_000).unwrap_or_default());
        self.names.push(name.to_owned());
        self.tar.append_data(&mut header, format!("conductor-support/{name}"), content)
    }

    fn json(&mut self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        self.add(name, self.redactor.text(&text).as_bytes())
    }
}

/// `support-bundle`
pub async fn run(context: &mut Context<'_>, args: &args::SupportBundle) -> Result<Exit, Failure> {
    let name = || {
        let digits = rfc3339(now()).replace(['-', ':'], "");
        PathBuf::from(format!(
            "conductor-support-{}Z.tar.gz",
            digits.split(['.', 'Z']).next().unwrap_or("now")
        ))
    };
    let file = args.file.clone().unwrap_or_else(name);
    let out = File::options().write(true).create_new(true).mode(0o600).open(&file);
    let out =
        out.map_err(|error| Failure::Usage(format!("{} cannot be written: {error}", file.display())))?;
    let redactor = Redactor::new(&context.loaded);
    let tar = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    let mut bundle = Bundle { tar, redactor, names: Vec::new() };
    let filled = fill(context, args, &mut bundle).await;
    let Bundle { tar, names, .. } = bundle;
    let closed = filled.and_then(|()| Ok(tar.into_inner()?.finish()?.sync_all()?));
    closed.inspect_err(|_| drop(std::fs::remove_file(&file)))?;
    if context.screen.is_json() {
        context.screen.json(&json!({ "file": file, "contents": names, "with_tasks": args.with_tasks }))?;
    } else {
        context.screen.line(file.display().to_string())?;
        let size = std::fs::metadata(&file).map_or(0, |found| found.len());
        context.screen.note(format!("{} in it:", bytes(size)));
        names.iter().for_each(|name| context.screen.note(format!("  {name}")));
        context.screen.note(match args.with_tasks {
            true => "prompts, messages and outputs are in it, as asked; read it before you hand it on",
            false => "no prompts, outputs, environments or secrets are in it",
        });
    }
    Ok(Exit::Succeeded)
}

async fn fill(
    context: &mut Context<'_>,
    args: &args::SupportBundle,
    bundle: &mut Bundle,
) -> Result<(), Failure> {
    let about = if args.with_tasks { format!("{ABOUT}{ABOUT_TASKS}") } else { ABOUT.to_owned() };
    bundle.add("about.txt", about.as_bytes())?;
    let system = rustix::system::uname();
    let server = server(context, bundle).await?;
    bundle.json(
        "version.json",
        &json!({
            "command": env!("CARGO_PKG_VERSION"),
            "server": server.as_ref().map(|(status, _)| &status.version),
            "system": system.sysname().to_string_lossy(),
            "release": system.release().to_string_lossy(),
            "machine": system.machine().to_string_lossy(),
            "made_at": rfc3339(now()),
        }),
    )?;
    bundle.json("doctor.json", &doctor::look().await)?;
    bundle.json("config.json", &context.loaded.shown_json())?;
    bundle.json("state.json", &tails::sizes(&context.loaded.home))?;
    let failed = server.map(|(_, failed)| failed).unwrap_or_default();
    bundle.json("failures.json", &failed.iter().map(failure).collect::<Vec<_>>())?;
    if args.with_tasks {
        for task in &failed {
            bundle.json(&format!("tasks/{}.json", task.id), task)?;
            let folder = context.loaded.home.tasks().join(task.id.to_string());
            let output = folder.join(format!("attempts/{}/output.log", task.attempt));
            if let Some(end) = tails::end(&output, MAX_OUTPUT_BYTES) {
                let text = bundle.redactor.text(&String::from_utf8_lossy(&end));
                bundle.add(&format!("tasks/{}.output.log", task.id), text.as_bytes())?;
            }
        }
    }
    for (name, end) in tails::logs(&context.loaded.home.logs) {
        let text = bundle.redactor.text(&String::from_utf8_lossy(&end));
        bundle.add(&format!("logs/{name}"), text.as_bytes())?;
    }
    Ok(())
}

/// Asks the server, where one runs, and answers how it is and what failed.
async fn server(
    context: &mut Context<'_>,
    bundle: &mut Bundle,
) -> Result<Option<(StatusView, Vec<TaskView>)>, Failure> {
    let mut server = match Server::find(context, Need::Running).await {
        Ok(server) => server,
        Err(failure) => {
            bundle.add("server/none.txt", failure.to_string().as_bytes())?;
            return Ok(None);
        }
    };
    let status: StatusView = server.link.ask(&Call::Status).await?;
    bundle.json("server/status.json", &status)?;
    bundle.json("server/queue.json", &server.link.ask::<QueueView>(&Call::Queue).await?)?;
    bundle.json("server/stats.json", &server.link.ask::<StatsView>(&Call::Stats).await?)?;
    bundle.json("server/metrics.json", &server.link.ask::<MetricsView>(&Call::Metrics).await?)?;
    let agents: Value = server.link.ask(&Call::Agents).await?;
    bundle.json("server/agents.json", &agents)?;
    let filter = Filter { state: vec![State::Failed], ..Filter::default() };
    let request = ListRequest { filter, limit: Some(MAX_FAILURES), ..ListRequest::default() };
    let page: Page = server.link.ask(&Call::List(Box::new(request))).await?;
    server.close(context, &[]).await?;
    Ok(Some((status, page.items)))
}

/// What of a failed task tells nothing of what it was about.
fn failure(task: &TaskView) -> Value {
    let attempts: Vec<Value> = task
        .attempts
        .iter()
        .map(|attempt| {
            json!({
                "number": attempt.number, "agent": attempt.agent, "state": attempt.state,
                "exit_code": attempt.exit_code,
            })
        })
        .collect();
    json!({
        "id": task.id.to_string(), "state": task.state, "runner": task.runner, "agent": task.agent,
        "failure": task.failure.as_ref().map(|failure| FailureView {
            reason: failure.reason,
            message: String::new(),
            hint: None,
        }),
        "created_at": rfc3339(task.created_at), "finished_at": task.finished_at.map(rfc3339),
        "attempts": attempts,
    })
}
