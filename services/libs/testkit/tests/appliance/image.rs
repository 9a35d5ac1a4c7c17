//! The image: what is in it, and how much.

use conductor_testkit::appliance::{IMAGE, Options, Stack, inspected, own_bytes};
use serde_json::Value;

/// What our layers may take without the coding CLIs.
const MOST_BYTES: u64 = 150_000_000;

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn the_image_is_small_says_what_it_is_and_tells_its_health() {
    let Some(image) = inspected(IMAGE) else {
        println!("skipped: there is no {IMAGE}");
        return;
    };
    let config = &image["Config"];
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str();
    assert_eq!(label("title"), Some("Conductor"));
    assert_eq!(label("version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(config["User"], "10001:10001");
    assert_eq!(config["Healthcheck"]["Test"][2], "healthcheck");
    assert_eq!(config["Entrypoint"][0], "/usr/bin/tini");
    let ours = own_bytes().expect("the base is there");
    println!("our layers: {:.1} MB", ours as f64 / 1e6);
    // A program that was built for tests is not the one that is shipped.
    let is_shipped = config["Labels"]["conductor.program"] == "build";
    assert!(!is_shipped || ours <= MOST_BYTES, "our layers take {ours} bytes");
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn nothing_can_be_written_outside_the_volumes_and_nothing_listens_for_orders_to_supervisord() {
    let Some(stack) = Stack::new(&Options::default()) else { return };
    stack.up();
    for place in ["/", "/usr/local/bin", "/etc", "/opt", "/home"] {
        let output = stack.shell(&format!("touch {place}/x"));
        assert!(!output.status.success(), "{place} can be written");
    }
    let sockets = stack.say("find /run /tmp /var -type s 2>/dev/null | sort | tr '\\n' ' '");
    assert_eq!(sockets, "/run/conductor/agent.sock /run/conductor/control.sock");
    let state =
        stack.say("grep -hE '^(CapEff|CapBnd|NoNewPrivs):' /proc/1/status | tr -d '\\t ' | tr '\\n' ' '");
    assert_eq!(state, "CapEff:0000000000000000 CapBnd:0000000000000000 NoNewPrivs:1");
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn keys_of_models_reach_the_agents_and_no_other_program() {
    let options = Options::default().variable("ANTHROPIC_API_KEY", "the-key-of-a-test");
    let Some(stack) = Stack::new(&options) else { return };
    stack.up();
    for program in ["conductor-orchestrator", "conductor-api", "conductor-dashboard", "supervise-events"] {
        let pid = stack.process(program).unwrap().pid;
        let found = stack.say(&format!("grep -c the-key-of-a-test /proc/{pid}/environ || :"));
        assert_eq!(found, "0", "{program} has the key");
    }
    let pid = stack.process("conductor-agent --name agent-1").unwrap().pid;
    assert_ne!(stack.say(&format!("grep -c the-key-of-a-test /proc/{pid}/environ || :")), "0");
    assert!(!stack.log().contains("the-key-of-a-test"));
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn every_program_logs_to_standard_output_and_to_a_file_of_its_own() {
    let Some(stack) = Stack::new(&Options::default()) else { return };
    stack.up();
    let log = stack.log();
    for program in ["orchestrator", "api", "dashboard", "agent"] {
        let file = stack.say(&format!("cat /var/log/conductor/conductor-{program}.log"));
        let line = file.lines().next().unwrap_or_else(|| panic!("{program} logs nothing to its file"));
        let message: Value = serde_json::from_str(line).unwrap();
        assert!(
            log.contains(message["message"].as_str().unwrap()),
            "{line} is not on standard output: {log}"
        );
    }
}
