//! The worker of the lab: one connection at a time gives it attempts and hears its reports.

use std::path::Path;
use std::time::Duration;

use conductor_agent::process::{Cgroups, leftover};
use conductor_agent::run::InputFile;
use conductor_agent::runner::{
    Answer, Attempt, End, Limits, OnOutputLimit, Programs, Report, ReportBody, Run, Settings, Slots, Start,
    Submits, Verdict, What,
};
use conductor_agent::sandbox::{Kernel, Needs, Sandbox, Ways};
use conductor_gateway::Proxy;
use conductor_protocol::agent::LimitsView;
use conductor_runtime::config::{Egress, SandboxMode};
use conductor_runtime::credentials::Secret;
use conductor_runtime::lifecycle::ParentPipe;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Run(Box<Job>),
    End { slot: usize, how: How },
    Answer { slot: usize, request: u32, text: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    Cancel,
    Stop,
    Abandon,
}

#[derive(Deserialize)]
struct Job {
    slot: usize,
    task: String,
    attempt: u32,
    command: Option<Vec<String>>,
    prompt: Option<String>,
    #[serde(default)]
    files: Vec<(String, String)>,
    #[serde(default)]
    env: Vec<(String, String)>,
    #[serde(default)]
    resume: bool,
    timeout_ms: Option<u64>,
    grace_ms: Option<u64>,
    max_output_bytes: Option<u64>,
    #[serde(default)]
    end_on_output_limit: bool,
    max_processes: Option<u64>,
    max_memory_bytes: Option<u64>,
    max_workspace_bytes: Option<u64>,
    #[serde(default)]
    read_only: bool,
    /// Where the API is that it may hand work to.
    api: Option<String>,
}

pub fn run(socket: &Path, workspace: &Path, agent_id: &str, slots: usize) -> anyhow::Result<()> {
    let ended = leftover::end_agent(agent_id)?;
    let (reports, receiver) = mpsc::channel(64);
    let settings = Settings {
        at_once: u32::try_from(slots)?,
        workspace: workspace.to_owned(),
        agent_id: agent_id.to_owned(),
        keeper: crate::keeper_program()?,
        environment: std::env::vars_os().collect(),
        git: Default::default(),
        programs: Programs { sandbox: sandbox(workspace)?, ..Programs::default() },
    };
    let slots = Slots::start(&settings, slots, &reports)?;
    // Only the slots report, so that the reports end with them.
    drop(reports);
    // The old socket of a killed worker stands in the way.
    let _ = std::fs::remove_file(socket);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(socket, slots, receiver, ended))
}

/// What `LAB_SANDBOX` asks for: a mode, and the version of Landlock that this kernel is taken to have.
pub fn sandbox(workspace: &Path) -> anyhow::Result<Sandbox> {
    let Ok(asked) = std::env::var("LAB_SANDBOX") else { return Ok(Sandbox::default()) };
    let (mode, abi) = asked.split_once(':').unwrap_or((&asked, "99"));
    let mode = match mode {
        "required" => SandboxMode::Required,
        "best_effort" => SandboxMode::BestEffort,
        other => anyhow::bail!("LAB_SANDBOX has the mode {other}"),
    };
    let environment: Vec<_> = std::env::vars_os().collect();
    let needs = Needs { sealed: vec![workspace.to_owned()], environment: &environment, ..Needs::default() };
    let sandbox = Sandbox::new(Some(mode), Kernel::probe().capped(abi.parse()?), &needs)?;
    let groups: Vec<_> = variable("LAB_CGROUPS").split_terminator(':').map(Into::into).collect();
    let groups = if groups.is_empty() { None } else { Cgroups::find(&groups).map_err(anyhow::Error::msg)? };
    let limits =
        LimitsView { processes: variable("LAB_MAX_PROCESSES").parse().unwrap_or(0), ..LimitsView::default() };
    let mut sandbox = sandbox.with_ways(ways()?).with_limits(limits, groups);
    if variable("LAB_OWN_NETWORK") == "1" {
        sandbox.look_for_network(&crate::keeper_program()?);
    }
    Ok(sandbox)
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Where `LAB_EGRESS` lets runs connect to: open, unless it says otherwise.
fn ways() -> anyhow::Result<Ways> {
    let egress = match variable("LAB_EGRESS").as_str() {
        "model" => Egress::Model,
        "allowlist" => Egress::Allowlist,
        _ => Egress::Open,
    };
    let hosts = variable("LAB_HOSTS");
    let hosts = hosts.split_terminator(',').map(str::parse).collect::<Result<_, _>>()?;
    Ok(Ways { egress, hosts, private: Vec::new(), proxy: Proxy::new(&variable("LAB_PROXY"), "") })
}

async fn serve(
    socket: &Path,
    slots: Slots,
    mut reports: mpsc::Receiver<Report>,
    ended: usize,
) -> anyhow::Result<()> {
    let listener = UnixListener::bind(socket)?;
    let monitor = ParentPipe::stdin()?;
    let mut runs: Vec<Run> = Vec::new();
    let mut slot_of: Vec<usize> = Vec::new();
    let (stream, _) = tokio::select! {
        accepted = listener.accept() => accepted?,
        () = monitor.closed() => return Ok(()),
    };
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let hello = json!({"hello": std::process::id(), "ended": ended});
    write.write_all(format!("{hello}\n").as_bytes()).await?;
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => match serde_json::from_str(&line)? {
                    Line::Run(job) => {
                        let slot = job.slot;
                        runs.push(slots.run(slot, attempt(*job))?);
                        slot_of.push(slot);
                    }
                    Line::End { slot, how } => {
                        let at = slot_of.iter().rposition(|&of| of == slot).expect("it runs");
                        runs[at].control.end(match how {
                            How::Cancel => End::Cancel,
                            How::Stop => End::Stop,
                            How::Abandon => End::Abandon,
                        });
                    }
                    Line::Answer { slot, request, text } => {
                        let at = slot_of.iter().rposition(|&of| of == slot).expect("it runs");
                        runs[at].control.answer(request, Answer::Text(text));
                    }
                },
                None => break,
            },
            report = reports.recv() => {
                let line = describe(report.expect("the slots live"));
                write.write_all(format!("{line}\n").as_bytes()).await?;
            }
            () = monitor.closed() => break,
        }
    }
    for run in &runs {
        run.control.end(End::Abandon);
    }
    // The slots may still have something to say, and wait until it is heard.
    let closing = tokio::task::spawn_blocking(move || slots.close());
    while reports.recv().await.is_some() {}
    Ok(closing.await?)
}

fn attempt(job: Job) -> Attempt {
    let defaults = Limits::default();
    let what = match (job.command, job.prompt) {
        (Some(argv), _) => What::Command { argv },
        (None, prompt) => What::Mock { prompt: prompt.unwrap_or_default() },
    };
    let files = job.files.into_iter();
    Attempt {
        number: job.attempt,
        files: files
            .map(|(path, text)| InputFile { path, content: text.into(), executable: false })
            .collect(),
        env: job.env,
        submits: job.api.map(|url| Submits { url, token: Secret::new("token-of-the-attempt") }),
        read_only: job.read_only,
        start: if job.resume { Start::Resume } else { Start::Fresh },
        timeout: Duration::from_millis(job.timeout_ms.unwrap_or(60_000)),
        limits: Limits {
            max_output_bytes: job.max_output_bytes.unwrap_or(defaults.max_output_bytes),
            on_output_limit: if job.end_on_output_limit { OnOutputLimit::End } else { OnOutputLimit::Cut },
            max_processes: job.max_processes.unwrap_or(defaults.max_processes),
            max_memory_bytes: job.max_memory_bytes.unwrap_or(defaults.max_memory_bytes),
            max_workspace_bytes: job.max_workspace_bytes.unwrap_or(defaults.max_workspace_bytes),
            grace: job.grace_ms.map_or(defaults.grace, Duration::from_millis),
            ..defaults
        },
        ..Attempt::plain(job.task.parse().expect("the test names tasks by ids"), what)
    }
}

fn describe(report: Report) -> Value {
    let (slot, task, attempt) = (report.slot, report.task_id.to_string(), report.attempt);
    match report.body {
        ReportBody::Started => json!({"started": task, "slot": slot, "attempt": attempt}),
        ReportBody::Asked { request, question } => {
            json!({"asked": request, "text": question.text, "slot": slot})
        }
        ReportBody::Withdrawn { request } => json!({"withdrawn": request, "slot": slot}),
        ReportBody::Finished(outcome) => {
            let (reason, message) = match &outcome.verdict {
                Verdict::Failed(failure) => (failure.reason.as_str(), failure.message.clone()),
                Verdict::Crashed { message } | Verdict::Limited { message, .. } => ("", message.clone()),
                Verdict::Succeeded | Verdict::Cancelled | Verdict::Stopped => ("", String::new()),
            };
            json!({
                "finished": task, "slot": slot, "attempt": attempt, "outcome": outcome.verdict.as_str(),
                "reason": reason, "message": message, "exit_code": outcome.exit_code, "summary": outcome.summary,
                "output_bytes": outcome.output_bytes, "dropped_bytes": outcome.output_dropped_bytes,
                "run_ms": outcome.run_ms, "files": outcome.files.files, "tokens": outcome.usage.output_tokens,
            })
        }
    }
}
