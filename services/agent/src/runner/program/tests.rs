//! What the tests of programs share.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::runner::{Attempt, Order, What};
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
        asking: None,
        env: BTreeMap::new(),
        inherit_env: Vec::new(),
        credentials: Vec::new(),
        credential_as: None,
        model: None,
        prices: BTreeMap::new(),
        files: BTreeMap::new(),
        mcp_settings: None,
        session_paths: Vec::new(),
        version_arguments: Vec::new(),
        egress_hosts: Vec::new(),
        stall: Duration::from_secs(60),
        result_grace: Duration::from_secs(1),
    }
}

/// An order of a runner that does nothing.
pub fn order() -> Order {
    Order {
        spec: std::sync::Arc::new(spec(&["true"])),
        prompt: String::new(),
        model: None,
        max_turns: None,
        permission: None,
        is_interrupted: false,
        begins_anew: false,
    }
}

/// An attempt at a command that does nothing.
pub fn attempt() -> Attempt {
    Attempt::plain(uuid::Uuid::nil(), What::Command { argv: vec!["true".into()] })
}
