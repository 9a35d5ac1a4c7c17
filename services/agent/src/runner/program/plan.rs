//! From a runner and a task to a command, an environment and files.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use conductor_runtime::config::{GatewaySpec, RunnerOutput, RunnerSpec};
use conductor_runtime::credentials::TOKEN_ENV;

use super::super::attempt::Attempt;
use super::super::command::Tools;
use super::super::environment;
use super::credential::{Credential, Programs};
use super::talk::{Begin, Opening};
use super::{Order, credential};
use crate::process::leftover;
use crate::run::Folder;
use crate::run::beneath::{self, Existing, RelativePath};

/// The file of a private home that names the queue's tools.
const MCP: &str = ".conductor-mcp.json";
/// The places in a command for the model and the permission.
const MODEL: &str = "{model}";
const PERMISSION: &str = "{permission}";
/// The private file with the prompt.
pub(in crate::runner) const PROMPT: &str = "prompt";

/// A program that is ready to be started.
#[derive(Debug)]
pub(super) struct Plan {
    pub argv: Vec<String>,
    pub env: Vec<Vec<u8>>,
    /// The prompt, and the same as a file.
    pub prompt: String,
    pub input: File,
    /// The servers of tools that it is told of as its session begins.
    servers: Vec<serde_json::Value>,
}

impl Plan {
    /// How the conversation with it begins.
    pub fn begin(&self, order: &Order, folder: &Folder, session: Option<&str>) -> Begin {
        let (spec, prompt) = (&order.spec, self.prompt.clone());
        if spec.output != RunnerOutput::Acp {
            return Begin::Claude { prompt };
        }
        let is_said = |place: &str| spec.command.iter().any(|word| word == place);
        let model = order.model.as_ref().or(spec.model.as_ref()).filter(|_| !is_said(MODEL));
        let permission = order.permission();
        let mode = spec.permissions.get(&permission).and_then(|list| list.first());
        Begin::Acp(Opening {
            prompt,
            work: folder.work_path().to_string_lossy().into_owned(),
            session: session.map(ToOwned::to_owned),
            servers: self.servers.clone(),
            model: model.cloned(),
            mode: mode.filter(|_| !is_said(PERMISSION)).cloned(),
            permission,
        })
    }
}

/// Where the places in a command lead.
struct Places {
    home: String,
    work: String,
    prompt: String,
    conductor: String,
}

impl Places {
    fn fill(&self, text: &str) -> String {
        if !text.contains('{') {
            return text.to_owned();
        }
        text.replace("{home}", &self.home)
            .replace("{work}", &self.work)
            .replace("{prompt_file}", &self.prompt)
            .replace("{conductor}", &self.conductor)
    }
}

/// Writes what the program finds, and says how it is started.
pub(super) fn plan(
    attempt: &Attempt,
    order: &Order,
    folder: &Folder,
    session: Option<&str>,
    (programs, tools): (&Programs, &Tools<'_>),
    (credential, gateway): (Option<&Credential>, Option<&(&GatewaySpec, String)>),
) -> io::Result<Plan> {
    let spec = &*order.spec;
    let prompt_path = folder.private_file(PROMPT);
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let places = Places {
        home: text(folder.home()),
        work: text(folder.work_path()),
        prompt: text(prompt_path.clone()),
        conductor: text(programs.conductor.clone()),
    };
    let prompt = prompt(order, session.is_some());
    let input = keep(folder, &prompt)?;
    files(folder, spec, &places)?;
    let mcp = mcp(folder, attempt, programs, spec, &places)?;
    let mut own: Vec<(String, OsString)> = Vec::new();
    for name in &spec.inherit_env {
        for name in [name.clone(), name.to_lowercase()] {
            if let Some(value) = programs.variable(&name) {
                own.push((name, value.into()));
            }
        }
    }
    let url = gateway.map(|(_, url)| url.as_str());
    own.extend(spec.env.iter().filter_map(|(name, value)| {
        // What tells of a gateway has no meaning without one.
        let value = match (value.contains(super::gateway::PLACE), url) {
            (true, url) => value.replace(super::gateway::PLACE, url?),
            (false, _) => value.clone(),
        };
        Some((name.clone(), places.fill(&value).into()))
    }));
    tools.ways.tell(&mut own);
    if let Some(credential) = credential {
        let name = spec.credential_as.as_ref().unwrap_or(&credential.name);
        own.push((name.clone(), credential.value.reveal().into()));
    }
    if let Some((gateway, url)) = gateway {
        super::gateway::tell(&mut own, gateway, url);
    }
    let mut servers = Vec::new();
    if let Some(submits) = &attempt.submits {
        let url = tools.ways.api_url(&submits.url);
        let variables = submits.variables(&url);
        own.extend(variables.map(|(name, value)| (name.to_owned(), value.into())));
        if spec.mcp_settings.is_none() {
            let env = variables.map(|(name, value)| serde_json::json!({"name": name, "value": value}));
            servers.push(serde_json::json!({
                "name": "conductor", "command": &programs.conductor, "args": ["mcp"], "env": env,
            }));
        }
    }
    own.push(("HOME".into(), folder.home().into()));
    own.push(("TMPDIR".into(), folder.temporary().into()));
    own.push((leftover::TASK_VARIABLE.into(), attempt.task_id.to_string().into()));
    own.push((leftover::ATTEMPT_VARIABLE.into(), attempt.number.to_string().into()));
    own.push((leftover::AGENT_VARIABLE.into(), tools.agent_id.into()));
    for (name, value) in &tools.given.variables {
        // What the program itself needs goes before.
        if own.iter().all(|(set, _)| set != name) {
            own.push((name.clone(), value.reveal().into()));
        }
    }
    let own: Vec<(&str, &OsStr)> =
        own.iter().map(|(name, value)| (name.as_str(), value.as_os_str())).collect();
    let env = tools.inherited.with(&attempt.env, &own);
    let given = [session, gateway.map(|(_, url)| url.as_str()), mcp.as_deref()];
    // Millionths are written out, so that nothing is rounded up.
    let budget =
        attempt.budget.usd_micros.map(|micros| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000));
    Ok(Plan { argv: argv(order, given, budget.as_deref(), &places), env, prompt, input, servers })
}

/// Checks what a task wants to set.
pub(super) fn check(attempt: &Attempt) -> Result<(), environment::Refused> {
    attempt.env.iter().try_for_each(|(name, value)| environment::check(name, value))
}

fn argv(
    order: &Order,
    [session, gateway, mcp]: [Option<&str>; 3],
    budget: Option<&str>,
    places: &Places,
) -> Vec<String> {
    let spec = &*order.spec;
    let arguments = &spec.arguments;
    let mut argv = Vec::with_capacity(spec.command.len() + 8);
    let group = |list: &[String], value: Option<&str>, argv: &mut Vec<String>| {
        if let Some(value) = value {
            argv.extend(list.iter().map(|argument| argument.replace("{value}", value)));
        }
    };
    let model = order.model.as_deref().or(spec.model.as_deref());
    let max_turns = order.max_turns.map(|turns| turns.to_string());
    for argument in &spec.command {
        match argument.as_str() {
            MODEL => group(&arguments.model, model, &mut argv),
            "{max_turns}" => group(&arguments.max_turns, max_turns.as_deref(), &mut argv),
            "{budget}" => group(&arguments.budget, budget, &mut argv),
            super::gateway::PLACE => group(&arguments.gateway, gateway, &mut argv),
            "{resume}" => group(&arguments.resume, session, &mut argv),
            "{mcp}" => {
                let begin = argv.len();
                group(&arguments.mcp, mcp, &mut argv);
                argv[begin..].iter_mut().for_each(|argument| *argument = places.fill(argument));
            }
            "{conversation}" => argv.extend(arguments.conversation.iter().cloned()),
            PERMISSION => {
                let list = spec.permissions.get(&order.permission()).map(Vec::as_slice).unwrap_or_default();
                argv.extend(list.iter().map(|argument| places.fill(argument)));
            }
            other => argv.push(places.fill(other)),
        }
    }
    argv
}

/// What the program is told first.
fn prompt(order: &Order, goes_on: bool) -> String {
    match (goes_on, order.is_interrupted) {
        (true, true) => format!(
            "You were interrupted. What you did before is still there. Go on from where you stopped. The task was:\n\n{}",
            order.prompt
        ),
        (true, false) | (false, _) => order.prompt.clone(),
    }
}

/// Keeps the prompt in a private file and opens it: a file ends, and nobody reads it in a list of processes.
fn keep(folder: &Folder, text: &str) -> io::Result<File> {
    let path = RelativePath::new(PROMPT).map_err(io::Error::other)?;
    beneath::write_file(folder.private.as_fd(), path, text.as_bytes(), Existing::Replace)
        .map_err(disk_error)?;
    beneath::open_file(folder.private.as_fd(), path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn files(folder: &Folder, spec: &RunnerSpec, places: &Places) -> io::Result<()> {
    let home = beneath::open_folder(folder.private.as_fd(), "home")?;
    for path in &spec.session_paths {
        // Some programs do not make the folder that they are told to use.
        let path = RelativePath::new(path).map_err(io::Error::other)?;
        beneath::make_folder(home.as_fd(), path).map_err(disk_error)?;
    }
    for (path, content) in &spec.files {
        let path = RelativePath::new(path).map_err(io::Error::other)?;
        beneath::write_file(home.as_fd(), path, places.fill(content).as_bytes(), Existing::Replace)
            .map_err(disk_error)?;
    }
    Ok(())
}

/// Writes the file that names `conductor mcp` for a run that may submit, and says where it is; names it in the program's own
/// settings too, where it looks there. The token is in neither: the program passes its variables on.
fn mcp(
    folder: &Folder,
    attempt: &Attempt,
    programs: &Programs,
    spec: &RunnerSpec,
    places: &Places,
) -> io::Result<Option<String>> {
    if attempt.submits.is_none() {
        return Ok(None);
    }
    let variables = serde_json::json!({"CONDUCTOR_URL": "${CONDUCTOR_URL}", TOKEN_ENV: "${CONDUCTOR_TOKEN}"});
    let server = serde_json::json!({"command": &programs.conductor, "args": ["mcp"], "env": variables});
    let servers = serde_json::json!({"conductor": server});
    let home = beneath::open_folder(folder.private.as_fd(), "home")?;
    let write = |path: &str, settings: serde_json::Value| {
        let path = RelativePath::new(path).map_err(io::Error::other)?;
        beneath::write_file(home.as_fd(), path, settings.to_string().as_bytes(), Existing::Replace)
            .map_err(disk_error)
    };
    write(MCP, serde_json::json!({"mcpServers": servers}))?;
    if let Some(path) = &spec.mcp_settings {
        let known = spec.files.get(path).map_or_else(|| "{}".to_owned(), |known| places.fill(known));
        let mut settings: serde_json::Value = serde_json::from_str(&known).map_err(io::Error::other)?;
        let not_so = || io::Error::other(format!("{path} of the runner {} names no servers", spec.name));
        let all = settings.as_object_mut().ok_or_else(not_so)?.entry("mcpServers");
        let all = all.or_insert_with(|| serde_json::json!({}));
        all.as_object_mut().ok_or_else(not_so)?.insert("conductor".to_owned(), servers["conductor"].clone());
        write(path, settings)?;
    }
    Ok(Some(folder.home().join(MCP).to_string_lossy().into_owned()))
}

fn disk_error(error: beneath::Error) -> io::Error {
    match error {
        beneath::Error::Write { source, .. } => source,
        other => io::Error::other(other),
    }
}

/// What a failure for want of a credential says to people.
pub(super) fn credential_hint(error: &credential::Error, spec: &RunnerSpec) -> String {
    match error {
        credential::Error::None { names } => format!(
            "set {} in the agent's environment, or keep it with: conductor secret set {}",
            names.join(" or "),
            names.first().map_or("NAME", String::as_str)
        ),
        credential::Error::Secret(_) => {
            format!(
                "set it again with: conductor secret set {}",
                spec.credentials.first().map_or("NAME", String::as_str)
            )
        }
    }
}
