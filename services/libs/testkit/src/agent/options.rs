//! What a fake agent says of itself.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};

use conductor_protocol::agent::{RunnerView, SandboxView};

/// What a fake agent says of itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the orchestrator listens.
    pub socket: PathBuf,
    /// Where its key is.
    pub key_file: PathBuf,
    /// The agent's name.
    pub name: String,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// Labels that tasks may require.
    pub labels: Vec<String>,
    /// The runners that it claims to have.
    pub runners: Vec<String>,
    /// The credential that all of them use.
    pub lane: Option<String>,
    /// How it says that it confines runs.
    pub sandbox: Option<SandboxView>,
    /// Whether [`super::Session::drain`] says of each task that it began.
    pub says_started: bool,
}

impl Options {
    /// An agent with the command and the mock runner at a socket whose key lies beside it.
    #[must_use]
    pub fn new(socket: &Path, name: &str) -> Self {
        Self {
            socket: socket.to_owned(),
            key_file: socket.with_extension("key"),
            name: name.into(),
            slots: 1,
            labels: Vec::new(),
            runners: vec!["command".into(), "mock".into()],
            lane: None,
            sandbox: None,
            says_started: true,
        }
    }

    /// The same with so many slots.
    #[must_use]
    pub fn slots(self, slots: u32) -> Self {
        Self { slots, ..self }
    }

    pub(super) fn runners(&self) -> Vec<RunnerView> {
        let view = |name: &String| RunnerView {
            credential: self.lane.is_some().then_some(true),
            lane: self.lane.clone(),
            sandbox: self.sandbox.clone(),
            ..RunnerView::ready(name.as_str())
        };
        self.runners.iter().map(view).collect()
    }
}

/// A number that no other call gives, here or elsewhere.
pub(super) fn random() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    half() << 64 | half()
}
