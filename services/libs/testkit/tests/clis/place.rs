//! A world with one coding agent in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use conductor_client::Control;
use conductor_core::TaskId;
use conductor_protocol::task::{State, TaskView};
use conductor_testkit::models::{Dialect, ModelServer};
use conductor_testkit::world::{MARK, Spawned, World, eventually, submit_one};
use serde_json::{Value, json};

/// How long anything may take before a test says that it hangs.
pub const LIMIT: Duration = Duration::from_secs(120);
/// The credential of all that is asked here; it opens nothing.
pub const KEY: &str = "test-key-that-opens-nothing";

/// Names a folder with the programs.
const FOLDER: &str = "CONDUCTOR_TEST_CLIS";

/// A coding agent that is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cli {
    Claude,
    Codex,
    Gemini,
    GeminiAcp,
    ClaudeAcp,
    CodexAcp,
    Opencode,
    Aider,
}

impl Cli {
    /// Those with events; the others are presets whose output is text.
    pub const ALL: [Self; 3] = [Self::Claude, Self::Codex, Self::Gemini];

    /// Those that speak the Agent Client Protocol.
    pub const ACP: [Self; 3] = [Self::GeminiAcp, Self::ClaudeAcp, Self::CodexAcp];

    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::GeminiAcp => "gemini-acp",
            Self::ClaudeAcp => "claude-acp",
            Self::CodexAcp => "codex-acp",
            Self::Opencode => "opencode",
            Self::Aider => "aider",
        }
    }

    /// The program's own name.
    fn program(self) -> &'static str {
        match self {
            Self::GeminiAcp => "gemini",
            Self::ClaudeAcp => "claude-agent-acp",
            Self::Claude | Self::Codex | Self::Gemini | Self::CodexAcp | Self::Opencode | Self::Aider => {
                self.name()
            }
        }
    }

    fn dialect(self) -> Dialect {
        match self {
            Self::Claude | Self::ClaudeAcp | Self::Opencode | Self::Aider => Dialect::Anthropic,
            Self::Codex | Self::CodexAcp => Dialect::OpenAi,
            Self::Gemini | Self::GeminiAcp => Dialect::Gemini,
        }
    }

    pub fn credential(self) -> &'static str {
        match self {
            Self::Claude | Self::ClaudeAcp | Self::Opencode | Self::Aider => "ANTHROPIC_API_KEY",
            Self::Codex | Self::CodexAcp => "CODEX_API_KEY",
            Self::Gemini | Self::GeminiAcp => "GEMINI_API_KEY",
        }
    }

    /// The folder that it is in; none where it is not installed.
    pub fn folder(self) -> Option<PathBuf> {
        let named = std::env::var_os(FOLDER).map(PathBuf::from);
        let search = std::env::var_os("PATH").unwrap_or_default();
        let folders = named.into_iter().chain(std::env::split_paths(&search));
        folders.filter(|folder| folder.is_absolute()).find(|folder| folder.join(self.program()).is_file())
    }

    /// What a configuration says so that it asks the test's server, by the runner's keys.
    fn settings(self, url: &str) -> Value {
        match self {
            Self::Claude => json!({"env": {"ANTHROPIC_BASE_URL": url}}),
            Self::Gemini => json!({"env": {"GOOGLE_GEMINI_BASE_URL": url}, "model": "gemini-2.5-pro"}),
            Self::GeminiAcp => {
                json!({"preset": "gemini-acp", "env": {"GOOGLE_GEMINI_BASE_URL": url}, "model": "gemini-2.5-pro"})
            }
            Self::ClaudeAcp => json!({"preset": "claude-acp", "env": {"ANTHROPIC_BASE_URL": url}}),
            Self::CodexAcp => json!({"preset": "codex-acp", "gateway": {"upstream": url}}),
            Self::Opencode => {
                let provider = json!({"anthropic": {"options": {"baseURL": format!("{url}/v1")}}});
                let config = json!({"share": "disabled", "provider": provider}).to_string();
                let model = "anthropic/claude-sonnet-4-5";
                json!({"preset": "opencode", "files": {".config/opencode/opencode.json": config}, "model": model})
            }
            Self::Aider => {
                let model = "anthropic/claude-sonnet-4-5";
                json!({"preset": "aider", "env": {"ANTHROPIC_API_BASE": url}, "model": model})
            }
            Self::Codex => {
                // It would try for long.
                let provider = "model_providers.conductor={name=\"conductor\",base_url=\"{value}/v1\",env_key=\"CODEX_API_KEY\",\
                     wire_api=\"responses\",request_max_retries=1,stream_max_retries=1}";
                let told = ["-c", "model_provider=\"conductor\"", "-c", provider];
                json!({"gateway": {"upstream": url}, "arguments": {"gateway": told}, "model": "test-model"})
            }
        }
    }
}

/// An orchestrator and an agent with a coding agent.
pub struct Place {
    pub world: World,
    pub server: ModelServer,
    pub control: Control,
    pub cli: Cli,
    programs: Vec<Spawned>,
}

/// What a test changes.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Keys of the runner, over those of the test.
    pub runner: Value,
    /// The variable of the credential, where it is another one.
    pub credential: Option<&'static str>,
    /// Whether the API is served too.
    pub with_api: bool,
    /// How many tasks the agent runs at once, where that matters.
    pub slots: Option<u32>,
}

impl Place {
    /// Makes a world; none, and a word of it, where the program is not installed.
    pub async fn new(cli: Cli) -> Option<Self> {
        Self::with(cli, Change::default()).await
    }

    pub async fn with(cli: Cli, change: Change) -> Option<Self> {
        let Some(folder) = cli.folder() else {
            eprintln!("skipped: {} is not installed; {FOLDER} names the folder of the programs", cli.name());
            return None;
        };
        let server = ModelServer::start(cli.dialect()).await;
        let mut runner = cli.settings(&server.url());
        for (key, value) in change.runner.as_object().into_iter().flatten() {
            match (runner.get_mut(key).and_then(Value::as_object_mut), value.as_object()) {
                (Some(known), Some(more)) => known.extend(more.clone()),
                _ => runner[key] = value.clone(),
            }
        }
        let mut world = World::new();
        let config =
            json!({"sandbox": {"mode": "required", "egress": "model"}, "runners": {cli.name(): runner}});
        std::fs::create_dir_all(&world.home().config).unwrap();
        // JSON is YAML.
        std::fs::write(world.home().config_file(), config.to_string()).unwrap();
        if let Some(slots) = change.slots {
            world.set("agent.slots", slots);
        }
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        world.set_variable("PATH", path);
        for cli in Cli::ALL {
            world.set_variable(cli.credential(), "");
        }
        for other in
            ["ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "OPENAI_API_KEY", "HTTPS_PROXY", "HTTP_PROXY"]
        {
            world.set_variable(other, "");
        }
        // As where Conductor is itself started by a coding agent.
        world.set_variable("CLAUDECODE", "1");
        world.set_variable("CLAUDE_CODE_ENTRYPOINT", "cli");
        world.set_variable(change.credential.unwrap_or(cli.credential()), KEY);
        let programs = match change.with_api {
            true => vec![world.up().await],
            false => vec![world.orchestrator().await, world.agent("one")],
        };
        let control = world.connect().await;
        eventually(LIMIT, "the agent offers the runner", async || {
            let agents = control.agents().await.unwrap();
            let mut runners = agents.iter().flat_map(|agent| &agent.runners);
            runners.any(|runner| runner.name == cli.name() && runner.ready).then_some(())
        })
        .await;
        Some(Self { world, server, control, cli, programs })
    }

    /// Kills the agent's worker, and all that it runs with it; its monitor starts another.
    pub async fn kill_the_agent(&self) {
        let agent = self.programs.last().expect("the agent is started last");
        agent.worker().await.kill();
    }

    /// Submits a prompt, with more in the body.
    pub async fn submit(&self, prompt: &str, more: &Value) -> TaskId {
        let env = json!({MARK: self.world.mark()});
        let mut body = json!({"prompt": prompt, "runner": self.cli.name(), "env": env});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        submit_one(&self.control, &body, self.world.mark()).await
    }

    /// Waits for the end of a task.
    pub async fn ended(&self, id: TaskId) -> TaskView {
        let task = self.control.wait(id, u64::try_from(LIMIT.as_millis()).unwrap()).await.unwrap();
        assert!(matches!(task.state, State::Succeeded | State::Failed | State::Cancelled), "{task:#?}");
        task
    }

    /// Submits a prompt and waits for its end.
    pub async fn run(&self, prompt: &str, more: &Value) -> TaskView {
        let id = self.submit(prompt, more).await;
        self.ended(id).await
    }

    /// A path below the run folder of a task.
    pub fn path(&self, id: TaskId, path: &str) -> PathBuf {
        self.world.home().tasks().join(id.to_string()).join(path)
    }

    /// The events of an attempt.
    pub fn events(&self, id: TaskId, attempt: u32) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(id, &format!("attempts/{attempt}/events.ndjson")));
        text.unwrap_or_default().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Whether a text is in any file that is served.
    pub fn is_in_a_run_folder(&self, text: &str) -> bool {
        fn any(folder: &Path, text: &[u8]) -> bool {
            std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
                let path = entry.path();
                if entry.file_type().unwrap().is_dir() {
                    any(&path, text)
                } else {
                    std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text))
                }
            })
        }
        any(&self.world.home().tasks(), text.as_bytes())
    }
}
