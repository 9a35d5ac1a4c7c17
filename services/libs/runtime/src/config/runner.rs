//! The runners that are programs: `runners.<name>.*`, over presets that are in the program.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use conductor_protocol::submit::Permission;
use config::{FileFormat, ValueKind};
use serde::Deserialize;

use super::error::{Origin, Problem};
use super::layer::Leaf;

mod gateway;
mod sandbox;

pub use conductor_protocol::agent::{Egress, SandboxMode};
pub use gateway::{GatewayConfig, GatewaySpec, GatewayWire};
pub use sandbox::Sandbox;

/// The presets, which also tell people how a runner is written.
const PRESETS: &str = include_str!("runners.yaml");
/// The presets that are runners without being configured, in the order in which `auto` looks for them.
pub(super) const BUILT_IN: [&str; 3] = ["claude", "codex", "gemini"];
/// Runners that are no programs of their own: nothing but their limits can be set.
pub(super) const INSIDE: [&str; 4] = ["auto", "command", "mock", "replay"];
/// How long a program may say nothing, with no tool at work, before it counts as stalled.
const STALL: Duration = Duration::from_secs(600);
/// How long a program may take to end after its result.
const RESULT_GRACE: Duration = Duration::from_secs(10);

/// `runners.<name>.*` as it is written; what is unset comes from its preset.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "`RunnerSpec` tells the fields")]
pub struct RunnerConfig {
    /// The most of its tasks that run at the same time; none is no limit.
    pub max_running: Option<u64>,
    /// The preset that it begins from; unset, the one of its own name.
    pub preset: Option<String>,
    pub command: Option<Vec<String>>,
    pub arguments: Arguments,
    pub gateway: GatewayConfig,
    pub permissions: BTreeMap<Permission, Vec<String>>,
    pub permission: Option<Permission>,
    pub output: Option<RunnerOutput>,
    /// The preset by which it runs where it is to ask a person; for presets alone.
    pub asks_as: Option<String>,
    pub env: BTreeMap<String, String>,
    pub inherit_env: Option<Vec<String>>,
    pub credentials: Option<Vec<String>>,
    pub credential_as: Option<String>,
    pub model: Option<String>,
    pub prices: BTreeMap<String, Price>,
    pub files: BTreeMap<String, String>,
    pub mcp_settings: Option<String>,
    pub session_paths: Option<Vec<String>>,
    pub version_arguments: Option<Vec<String>>,
    pub egress_hosts: Option<Vec<String>>,
    pub stall_seconds: Option<u64>,
    pub result_grace_seconds: Option<u64>,
}

/// What stands in a command for what a task says; `{value}` is what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Arguments {
    /// The model.
    pub model: Vec<String>,
    /// The most turns.
    pub max_turns: Vec<String>,
    /// The most US dollars.
    pub budget: Vec<String>,
    /// The session to go on with.
    pub resume: Vec<String>,
    /// The file that names the queue's tools, for a task that may submit.
    pub mcp: Vec<String>,
    /// The address of the gateway to its model.
    pub gateway: Vec<String>,
    /// What has it take lines of JSON on standard input while it runs.
    pub conversation: Vec<String>,
}

/// How a program's output is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunnerOutput {
    /// The events of Claude Code.
    ClaudeStreamJson,
    /// The events of Codex.
    CodexJsonl,
    /// The events of Gemini.
    GeminiStreamJson,
    /// The messages of the Agent Client Protocol, in both directions.
    Acp,
    /// Text for people.
    Plain,
}

impl RunnerOutput {
    /// Returns the name as it is configured.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeStreamJson => "claude-stream-json",
            Self::CodexJsonl => "codex-jsonl",
            Self::GeminiStreamJson => "gemini-stream-json",
            Self::Acp => "acp",
            Self::Plain => "plain",
        }
    }
}

/// US dollars for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Of input that was not cached.
    pub input: f64,
    /// Of input that was.
    pub cached_input: f64,
    /// Of output.
    pub output: f64,
}

/// A runner that is a program, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct RunnerSpec {
    /// What tasks call it.
    pub name: String,
    /// The program and its arguments, with places for what a task says.
    pub command: Vec<String>,
    /// What stands in these places.
    pub arguments: Arguments,
    /// How it asks its model through the gateway; none when it does so itself.
    pub gateway: Option<GatewaySpec>,
    /// What stands in the command for each permission.
    pub permissions: BTreeMap<Permission, Vec<String>>,
    /// The permission that its runs have.
    pub permission: Permission,
    /// How its output is read.
    pub output: RunnerOutput,
    /// How it runs where it is to ask a person and cannot as it stands.
    pub asking: Option<Arc<RunnerSpec>>,
    /// Variables that it gets.
    pub env: BTreeMap<String, String>,
    /// Variables that it gets as the agent has them.
    pub inherit_env: Vec<String>,
    /// Variables or secrets of which the first that is there is its credential; it needs none where this is empty.
    pub credentials: Vec<String>,
    /// The variable in which it gets its credential; unset, the one of the credential's own name.
    pub credential_as: Option<String>,
    /// The model of a task that names none; unset, the program's own choice.
    pub model: Option<String>,
    /// Prices by model; `*` is every other.
    pub prices: BTreeMap<String, Price>,
    /// Files that it finds, by their path below its home.
    pub files: BTreeMap<String, String>,
    /// Which of them names the servers of tools that it uses, as JSON; that of the queue is added for a task that may submit.
    pub mcp_settings: Option<String>,
    /// What below its home is its session, which goes on in a later task.
    pub session_paths: Vec<String>,
    /// What makes the program tell its version.
    pub version_arguments: Vec<String>,
    /// Hosts that it needs where no gateway stands between it and its model.
    pub egress_hosts: Vec<String>,
    /// How long it may say nothing, with no tool at work.
    pub stall: Duration,
    /// How long it may take to end after its result.
    pub result_grace: Duration,
}

/// The place in a command for what has a program take lines while it runs.
const CONVERSATION: &str = "{conversation}";

impl RunnerSpec {
    /// Whether it is spoken with while it runs, so that it can ask a person and hear messages.
    #[must_use]
    pub fn converses(&self) -> bool {
        let is_told = self.command.iter().any(|word| word == CONVERSATION);
        match self.output {
            RunnerOutput::Acp => true,
            RunnerOutput::ClaudeStreamJson => is_told && !self.arguments.conversation.is_empty(),
            RunnerOutput::CodexJsonl | RunnerOutput::GeminiStreamJson | RunnerOutput::Plain => false,
        }
    }

    /// Whether it can ask a person before it uses a tool.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.converses() && self.permissions.contains_key(&Permission::Ask)
    }

    /// Whether it can go on with a session.
    #[must_use]
    pub fn resumes(&self) -> bool {
        match self.output {
            // Whether the program can is told by the program.
            RunnerOutput::Acp => true,
            RunnerOutput::ClaudeStreamJson
            | RunnerOutput::CodexJsonl
            | RunnerOutput::GeminiStreamJson
            | RunnerOutput::Plain => !self.arguments.resume.is_empty(),
        }
    }

    /// Whether a run takes a message as its next turn: at once, or with its session when it has ended.
    #[must_use]
    pub fn takes_messages(&self) -> bool {
        self.converses() || (self.output != RunnerOutput::Plain && self.resumes())
    }
}

impl RunnerConfig {
    /// Whether more is said of it than its limits.
    fn is_program(&self) -> bool {
        self.preset.is_some() || self.command.is_some()
    }

    fn over(self, below: &Self) -> Self {
        let pick = |own: Vec<String>, other: &Vec<String>| if own.is_empty() { other.clone() } else { own };
        let joined = |own: BTreeMap<_, _>, other: &BTreeMap<_, _>| {
            let mut all = other.clone();
            all.extend(own);
            all
        };
        Self {
            max_running: self.max_running,
            preset: self.preset,
            command: self.command.or_else(|| below.command.clone()),
            arguments: Arguments {
                model: pick(self.arguments.model, &below.arguments.model),
                max_turns: pick(self.arguments.max_turns, &below.arguments.max_turns),
                budget: pick(self.arguments.budget, &below.arguments.budget),
                resume: pick(self.arguments.resume, &below.arguments.resume),
                gateway: pick(self.arguments.gateway, &below.arguments.gateway),
                mcp: pick(self.arguments.mcp, &below.arguments.mcp),
                conversation: pick(self.arguments.conversation, &below.arguments.conversation),
            },
            gateway: self.gateway.over(&below.gateway),
            permissions: {
                let mut all = below.permissions.clone();
                all.extend(self.permissions);
                all
            },
            permission: self.permission.or(below.permission),
            output: self.output.or(below.output),
            asks_as: self.asks_as.or_else(|| below.asks_as.clone()),
            env: joined(self.env, &below.env),
            inherit_env: self.inherit_env.or_else(|| below.inherit_env.clone()),
            credentials: self.credentials.or_else(|| below.credentials.clone()),
            credential_as: self.credential_as.or_else(|| below.credential_as.clone()),
            model: self.model.or_else(|| below.model.clone()),
            prices: {
                let mut all = below.prices.clone();
                all.extend(self.prices);
                all
            },
            files: joined(self.files, &below.files),
            mcp_settings: self.mcp_settings.or_else(|| below.mcp_settings.clone()),
            session_paths: self.session_paths.or_else(|| below.session_paths.clone()),
            version_arguments: self.version_arguments.or_else(|| below.version_arguments.clone()),
            egress_hosts: self.egress_hosts.or_else(|| below.egress_hosts.clone()),
            stall_seconds: self.stall_seconds.or(below.stall_seconds),
            result_grace_seconds: self.result_grace_seconds.or(below.result_grace_seconds),
        }
    }

    /// The same runner by the preset with which it can ask a person; none where its command is its own.
    fn asking(&self, below: Option<&Self>, name: &str) -> Option<Arc<RunnerSpec>> {
        if self.command.is_some() {
            return None;
        }
        let preset = self.asks_as.as_ref().or_else(|| below?.asks_as.as_ref())?;
        let own = Self { output: None, ..self.clone() };
        own.over(presets().get(preset)?).spec(name).map(Arc::new)
    }

    fn spec(self, name: &str) -> Option<RunnerSpec> {
        let seconds = |seconds: Option<u64>, other| seconds.map_or(other, Duration::from_secs);
        Some(RunnerSpec {
            name: name.to_owned(),
            command: self.command.filter(|command| !command.is_empty())?,
            arguments: self.arguments,
            gateway: self.gateway.spec(),
            permissions: self.permissions,
            permission: self.permission.unwrap_or(Permission::Skip),
            output: self.output.unwrap_or(RunnerOutput::Plain),
            asking: None,
            env: self.env,
            inherit_env: self.inherit_env.unwrap_or_default(),
            credentials: self.credentials.unwrap_or_default(),
            credential_as: self.credential_as,
            model: self.model,
            prices: self.prices,
            files: self.files,
            mcp_settings: self.mcp_settings,
            session_paths: self.session_paths.unwrap_or_default(),
            version_arguments: self.version_arguments.unwrap_or_else(|| vec!["--version".to_owned()]),
            egress_hosts: self.egress_hosts.unwrap_or_default(),
            stall: seconds(self.stall_seconds, STALL),
            result_grace: seconds(self.result_grace_seconds, RESULT_GRACE),
        })
    }
}

impl super::Config {
    /// The runners that are programs, by name: those that every configuration has, and those that this one adds.
    #[must_use]
    pub fn programs(&self) -> BTreeMap<String, RunnerSpec> {
        let added = self.runners.iter().filter(|(_, runner)| runner.is_program());
        let names = BUILT_IN.into_iter().chain(added.map(|(name, _)| name.as_str()));
        names
            .filter_map(|name| {
                let own = self.runners.get(name).cloned().unwrap_or_default();
                let preset = presets().get(own.preset.as_deref().unwrap_or(name));
                let asking = own.asking(preset, name);
                let whole = match preset {
                    Some(preset) => own.over(preset),
                    None => own,
                };
                Some((name.to_owned(), RunnerSpec { asking, ..whole.spec(name)? }))
            })
            .collect()
    }
}

/// The presets by name. One may begin from another.
pub fn presets() -> &'static BTreeMap<String, RunnerConfig> {
    static READ: OnceLock<BTreeMap<String, RunnerConfig>> = OnceLock::new();
    READ.get_or_init(|| {
        let read: BTreeMap<String, RunnerConfig> = config::Config::builder()
            .add_source(config::File::from_str(PRESETS, FileFormat::Yaml))
            .build()
            .and_then(config::Config::try_deserialize)
            .expect("the presets are runners");
        let whole = |preset: &RunnerConfig| match &preset.preset {
            Some(base) => preset.clone().over(&read[base]),
            None => preset.clone(),
        };
        read.iter().map(|(name, preset)| (name.clone(), whole(preset))).collect()
    })
}

/// Finds runners that cannot be.
pub(super) fn contradictions(values: &BTreeMap<Vec<String>, Leaf>) -> Vec<Problem> {
    let mut runners: BTreeMap<&str, BTreeMap<&str, &Leaf>> = BTreeMap::new();
    for (path, leaf) in values {
        if let [section, name, key, ..] = path.as_slice()
            && section == "runners"
            && leaf.origin != Origin::Default
        {
            runners.entry(name).or_default().insert(key, leaf);
        }
    }
    runners.into_iter().filter_map(|(name, keys)| contradiction(name, &keys)).collect()
}

fn contradiction(name: &str, keys: &BTreeMap<&str, &Leaf>) -> Option<Problem> {
    let bad = |leaf: &Leaf, why: String| {
        Some(Problem::Bad { key: leaf.path.join("."), origin: leaf.origin.clone(), why })
    };
    let (_, other) = keys.iter().find(|(key, _)| **key != "max_running")?;
    if INSIDE.contains(&name) {
        return bad(other, format!("{name} is built in; nothing but its max_running can be set"));
    }
    if let Some(Leaf { value: ValueKind::String(preset), .. }) = keys.get("preset") {
        if !presets().contains_key(preset) {
            let known: Vec<_> = presets().keys().map(String::as_str).collect();
            return bad(
                keys["preset"],
                format!("there is no preset {preset:?}; there are {}", known.join(", ")),
            );
        }
        return None;
    }
    match keys.get("command").map(|leaf| (&leaf.value, leaf)) {
        Some((ValueKind::Array(words), leaf)) if words.is_empty() => {
            bad(leaf, "it names no program".to_owned())
        }
        Some(_) => None,
        None if BUILT_IN.contains(&name) => None,
        None => bad(other, format!("the runner {name} has neither a command nor a preset")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Loaded, Sources, load};

    fn loaded(yaml: &str) -> Result<Loaded, super::super::Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("conductor.yaml");
        std::fs::write(&file, yaml).unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let env = vec![("CONDUCTOR_HOME".to_owned(), home)];
        load(&Sources { file: Some(file), env, flags: Vec::new() })
    }

    fn programs(yaml: &str) -> BTreeMap<String, RunnerSpec> {
        loaded(yaml).unwrap().config.programs()
    }

    #[test]
    fn three_runners_are_there_without_being_configured() {
        let programs = programs("");
        assert_eq!(programs.keys().collect::<Vec<_>>(), ["claude", "codex", "gemini"]);
        let claude = &programs["claude"];
        assert_eq!(claude.output, RunnerOutput::ClaudeStreamJson);
        assert_eq!(claude.env["CLAUDE_CONFIG_DIR"], "{home}/.claude", "names of variables keep their case");
        assert_eq!(claude.permissions[&claude.permission], ["--dangerously-skip-permissions"]);
        assert!(programs["gemini"].files.contains_key(".gemini/settings.json"));
    }

    #[test]
    fn a_key_changes_a_preset_and_leaves_the_rest() {
        let programs = programs(
            "runners:\n  claude: {model: opus, env: {FOO_BAR: x}, prices: {opus-4.1: {input: 15, output: 75}}}\n",
        );
        let claude = &programs["claude"];
        assert_eq!(claude.model.as_deref(), Some("opus"));
        assert_eq!((claude.env["FOO_BAR"].as_str(), claude.env["DISABLE_TELEMETRY"].as_str()), ("x", "1"));
        assert_eq!(claude.prices["opus-4.1"], Price { input: 15.0, cached_input: 0.0, output: 75.0 });
        assert_eq!(claude.arguments, presets()["claude"].arguments);
    }

    #[test]
    fn a_runner_is_added_by_a_preset_or_by_a_command() {
        let programs = programs(
            "runners:\n  helper: {preset: aider, stall_seconds: 60}\n  own: {command: [my-agent, --json], output: codex-jsonl}\n  mock: {max_running: 2}\n  other: {max_running: 1}\n",
        );
        assert_eq!(programs["helper"].command[0], "aider");
        assert_eq!(programs["helper"].stall, Duration::from_secs(60));
        assert_eq!(programs["own"].output, RunnerOutput::CodexJsonl);
        assert!(!programs.contains_key("mock") && !programs.contains_key("other"));
    }

    #[test]
    fn gemini_asks_by_another_preset_with_what_is_configured_of_it_and_an_own_command_does_not() {
        let asking = |yaml: &str| programs(yaml).remove("gemini").unwrap().asking;
        let gemini = asking("runners: {gemini: {model: pro, permission: edit}}").unwrap();
        assert!(gemini.asks() && gemini.output == RunnerOutput::Acp, "{gemini:?}");
        assert_eq!((gemini.name.as_str(), gemini.model.as_deref()), ("gemini", Some("pro")));
        assert_eq!(gemini.permission, Permission::Edit);
        assert_eq!(gemini.credentials, ["GEMINI_API_KEY"], "the preset begins from that of gemini");
        assert!(gemini.command.iter().any(|word| word == "--acp"));
        assert_eq!(asking("runners: {gemini: {command: [other]}}"), None);
    }

    #[test]
    fn an_agent_of_the_agent_client_protocol_asks_where_its_permissions_say_so() {
        let own = |permissions: &str| {
            let yaml = format!("runners: {{own: {{command: [x], output: acp, permissions: {permissions}}}}}");
            programs(&yaml).remove("own").unwrap()
        };
        assert!(own("{ask: []}").asks() && !own("{skip: []}").asks());
        assert!(own("{skip: []}").takes_messages() && own("{skip: []}").resumes());
    }

    #[test]
    fn what_can_be_no_runner_is_refused_by_its_key() {
        for (yaml, said) in [
            ("runners: {helper: {preset: adier}}", "there is no preset \"adier\""),
            ("runners: {own: {output: plain}}", "neither a command nor a preset"),
            ("runners: {own: {command: []}}", "names no program"),
            ("runners: {mock: {command: [x]}}", "mock is built in"),
            ("runners: {own: {command: [x], output: xml}}", "expected one of claude-stream-json"),
            ("runners: {claude: {permissions: {all: [x]}}}", "runners.claude.permissions.all"),
        ] {
            let error = loaded(yaml).unwrap_err().to_string();
            assert!(error.contains(said), "{yaml}: {error}");
        }
    }

    #[test]
    fn the_sandbox_is_told_by_its_mode_and_unset_by_the_runner() {
        assert_eq!(loaded("").unwrap().config.sandbox.mode, None);
        for (text, mode) in [
            ("off", SandboxMode::Off),
            ("best_effort", SandboxMode::BestEffort),
            ("required", SandboxMode::Required),
        ] {
            let config = loaded(&format!("sandbox: {{mode: {text}}}")).unwrap().config;
            assert_eq!(config.sandbox.mode, Some(mode));
        }
        assert!(loaded("sandbox: {mode: maybe}").is_err());
    }
}
