//! The coding CLIs in the image.

use std::fs;

use conductor_testkit::appliance::{docker, inspected, repository};
use serde_json::Value;

/// Where scripts/images puts Node.js and the CLIs, without our own programs on top.
const IMAGE: &str = "conductor-clis:test";
const CLIS: [(&str, &str); 3] =
    [("claude", "@anthropic-ai/claude-code"), ("codex", "@openai/codex"), ("gemini", "@google/gemini-cli")];

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn each_coding_cli_runs_in_the_locked_version_as_any_user_on_a_read_only_root() {
    if inspected(IMAGE).is_none() {
        println!("skipped: there is no {IMAGE}; npm may have been out of reach when scripts/images ran");
        return;
    }
    let locked = fs::read_to_string(repository().join("deploy/clis/package.json")).unwrap();
    let locked: Value = serde_json::from_str(&locked).unwrap();
    for (cli, package) in CLIS {
        let call = format!("{cli} --version");
        let args =
            ["run", "--rm", "--network", "none", "--user", "12345:12345", "--read-only", "--cap-drop", "ALL"];
        let more =
            ["--tmpfs", "/tmp:mode=1777,exec", "--env", "HOME=/tmp", "--entrypoint", "sh", IMAGE, "-c"];
        let path = format!("PATH=/opt/clis/node_modules/.bin:$PATH {call} && test ! -w /opt/clis");
        let output = docker(&[&args[..], &more[..], &[&path]].concat());
        let said = String::from_utf8_lossy(&output.stdout);
        let version = locked["dependencies"][package].as_str().unwrap();
        assert!(output.status.success() && said.contains(version), "{call}: {output:?}");
    }
}
