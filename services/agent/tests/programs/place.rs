//! One slot, and an attempt of the stand-in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use conductor_agent::git;
use conductor_agent::process::KeeperProgram;
use conductor_agent::runner::{
    Attempt, Control, Order, Outcome, Programs, Report, ReportBody, Settings, Slots, What,
};
use conductor_runtime::config::{Permission, RunnerSpec, Sources, load};
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Whose lines are spoken.
pub const ALL: [&str; 4] = ["claude", "codex", "gemini", "acp"];
/// Those that are spoken with while they run.
pub const SPOKEN: [&str; 2] = ["claude", "acp"];

pub struct Place {
    pub folder: tempfile::TempDir,
    pub spec: RunnerSpec,
    slots: Slots,
    reports: mpsc::Receiver<Report>,
}

impl Place {
    /// A place whose runner is the stand-in, with everything else as the runner of that name has it.
    pub fn new(dialect: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, reports) = mpsc::channel(256);
        let settings = Settings {
            at_once: 1,
            programs: Programs::default(),
            workspace: folder.path().join("workspace"),
            agent_id: Uuid::now_v7().to_string(),
            keeper: KeeperProgram {
                path: env!("CARGO_BIN_EXE_conductor-agent").into(),
                args: vec![OsString::from("__agent-keeper")],
            },
            environment: std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "TZ").collect(),
            git: Arc::new(git::Settings::default()),
        };
        let slots = Slots::start(&settings, 1, &sender).unwrap();
        Self { spec: spec(dialect), folder, slots, reports }
    }

    pub fn attempt(&self, prompt: &str) -> Attempt {
        let order = Order {
            spec: Arc::new(self.spec.clone()),
            prompt: prompt.to_owned(),
            model: None,
            max_turns: None,
            permission: None,
            is_interrupted: false,
            begins_anew: false,
        };
        Attempt::plain(Uuid::now_v7(), What::Program(Box::new(order)))
    }

    /// Starts an attempt; what it reports is to be heard.
    pub fn start(&mut self, attempt: &Attempt) -> Control {
        self.slots.run(0, attempt.clone()).unwrap().control
    }

    /// What the run reports next.
    pub fn hear(&mut self) -> ReportBody {
        self.reports.blocking_recv().unwrap().body
    }

    pub fn finish(&mut self, attempt: &Attempt) -> Outcome {
        self.start(attempt);
        self.end()
    }

    /// Waits for the end of what was started.
    pub fn end(&mut self) -> Outcome {
        loop {
            if let ReportBody::Finished(outcome) = self.reports.blocking_recv().unwrap().body {
                return *outcome;
            }
        }
    }

    /// Plays a script to its end.
    pub fn play(&mut self, script: &str) -> (Attempt, Outcome) {
        let attempt = self.attempt(script);
        let outcome = self.finish(&attempt);
        (attempt, outcome)
    }

    pub fn path(&self, attempt: &Attempt, path: &str) -> PathBuf {
        self.folder.path().join("workspace/tasks").join(attempt.task_id.to_string()).join(path)
    }

    pub fn read(&self, attempt: &Attempt, path: &str) -> String {
        std::fs::read_to_string(self.path(attempt, path)).unwrap_or_default()
    }

    pub fn events(&self, attempt: &Attempt) -> Vec<Value> {
        let text = self.read(attempt, &format!("attempts/{}/events.ndjson", attempt.number));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The texts of all events of a kind.
    pub fn told(&self, attempt: &Attempt, kind: &str, field: &str) -> Vec<String> {
        let of_kind = self.events(attempt).into_iter().filter(|event| event["type"] == kind);
        of_kind.map(|event| event[field].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn spec(dialect: &str) -> RunnerSpec {
    let folder = tempfile::tempdir().unwrap();
    let env = vec![("CONDUCTOR_HOME".to_owned(), folder.path().to_str().unwrap().to_owned())];
    let loaded = load(&Sources { file: None, env, flags: Vec::new() }).unwrap();
    let mut programs = loaded.config.programs();
    let built_in = match dialect {
        "acp" => RunnerSpec::clone(programs["gemini"].asking.as_ref().unwrap()),
        name => programs.remove(name).unwrap(),
    };
    // The stand-in asks as its script says, and knows no modes.
    let permission = if dialect == "acp" { Permission::Ask } else { built_in.permission };
    let permissions = BTreeMap::from([(Permission::Ask, Vec::new())]);
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples/mock-cli");
    assert!(program.exists(), "{} is missing; `cargo test -p conductor-agent` builds it", program.display());
    RunnerSpec {
        command: [program.to_str().unwrap(), dialect, "{resume}", "{conversation}"]
            .map(str::to_owned)
            .to_vec(),
        credentials: Vec::new(),
        permission,
        permissions,
        model: None,
        stall: Duration::from_secs(30),
        result_grace: Duration::from_millis(200),
        ..built_in
    }
}
