//! What the tests of programs share.

use std::collections::BTreeMap;
use std::time::Duration;

use conductor_runtime::config::{Arguments, Permission, RunnerOutput, RunnerSpec};

/// A runner of this command that needs nothing.
pub fn spec(command: &[&str]) -> RunnerSpec {
    RunnerSpec {
        name: "test".into(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        arguments: Arguments::default(),
        gateway: None,
        permissions: BTreeMap::new(),
        permission: Permission::Skip,
        output: RunnerOutput::ClaudeStreamJson,
        env: BTreeMap::new(),
        inherit_env: Vec::new(),
        credentials: Vec::new(),
        credential_as: None,
        model: None,
        prices: BTreeMap::new(),
        files: BTreeMap::new(),
        session_paths: Vec::new(),
        version_arguments: Vec::new(),
        stall: Duration::from_secs(60),
        result_grace: Duration::from_secs(1),
    }
}
