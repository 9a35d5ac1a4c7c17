//! Ways out of the sandbox, tried from inside a task, as root and as another user, on this kernel and on older ones.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use conductor_agent::sandbox::escapes::{ESCAPED, ESCAPES, HELD, OTHER_FILE, SEALED_PATHS, SOCKETS, UNTRIED};
use conductor_agent::sandbox::{Feature, Kernel};
use serde_json::json;

use crate::lab::{Lab, Setting};

/// A user that owns nothing here.
const STRANGER: u32 = 54_321;

/// The version of Landlock that brought what holds a way out; none is the filter of system calls.
fn since(feature: Feature) -> Option<u32> {
    match feature {
        Feature::Files | Feature::Ptrace => Some(1),
        Feature::Truncate => Some(3),
        Feature::Tcp => Some(4),
        Feature::DeviceIoctl => Some(5),
        Feature::Signals | Feature::AbstractSockets => Some(6),
        Feature::LocalSockets => None,
    }
}

fn try_all(mode: &str, abi: u32, user: Option<u32>) {
    let kernel = Kernel::probe().capped(abi);
    if user.is_some() && !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    let mut lab = Lab::with(&Setting { sandbox: Some(format!("{mode}:{abi}")), user, ..Setting::default() });
    let other = lab.run(1, json!({"command": ["sh", "-c", "echo mine > file; sleep 1000"]}));
    lab.await_file(&other, "work/file");
    let file = lab.path(&other, "work/file");
    let outside = lab.folder.path().join("outside.sock");
    let _listener = UnixListener::bind(&outside).unwrap();
    let name = format!("conductor-test-{}", lab.agent_id);
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    std::fs::set_permissions(&outside, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let private = lab.folder.path().join("ws/private");
    let sealed =
        [private.join(&other), private, lab.folder.path().join("ws"), "/root/.ssh".into(), "/root".into()];
    let sealed: Vec<_> = sealed.iter().map(|path| path.display().to_string()).collect();
    let env = json!([
        [OTHER_FILE, file],
        [SEALED_PATHS, sealed.join("\n")],
        [SOCKETS, format!("{}\n@{name}", outside.display())],
    ]);
    for escape in &ESCAPES {
        let task = lab.run(0, json!({"command": escape.command(), "env": env, "grace_ms": 100}));
        let outcome = lab.finished(0);
        let said = lab.read(&task, "attempts/1/output.log");
        let code = outcome["exit_code"].as_i64().map_or(-1, |code| i32::try_from(code).unwrap());
        let is_held = match escape.held_by {
            Some(feature) => since(feature).map_or(kernel.filter, |abi| kernel.landlock >= abi),
            None => true,
        };
        let told = format!("{} on ABI {}: {outcome}\n{said}", escape.name, kernel.landlock);
        if is_held {
            assert!([HELD, UNTRIED].contains(&code), "{told}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine\n", "{told}");
        } else {
            // So the test tells something: without what holds it, the way is open.
            assert!([ESCAPED, UNTRIED].contains(&code) || user.is_some(), "{told}");
            std::fs::write(&file, "mine\n").unwrap();
        }
        let left: Vec<_> = lab.children().into_iter().filter(|pid| is_of(*pid, &task)).collect();
        assert_eq!(left, [0; 0], "{told}");
    }
    lab.send(&json!({"end": {"slot": 1, "how": "cancel"}}));
    assert_eq!(lab.finished(1)["outcome"], "cancelled", "the other run was never harmed");
    assert_eq!(lab.sh("echo fine").1["outcome"], "succeeded");
    lab.assert_nothing_left();
}

fn is_of(pid: i32, task: &str) -> bool {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mark = format!("CONDUCTOR_TASK_ID={task}");
    environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}

#[test]
fn no_way_out_is_open_where_the_sandbox_is_required() {
    try_all("required", 99, None);
}

#[test]
fn no_way_out_is_open_for_another_user() {
    try_all("required", 99, Some(STRANGER));
}

#[test]
fn abi_6_holds_all_that_is_required() {
    try_all("required", 6, None);
    try_all("required", 6, Some(STRANGER));
}

#[test]
fn abi_3_holds_all_but_signals() {
    try_all("best_effort", 3, None);
    try_all("best_effort", 3, Some(STRANGER));
}

#[test]
fn abi_1_holds_all_but_signals_and_truncation() {
    try_all("best_effort", 1, None);
    try_all("best_effort", 1, Some(STRANGER));
}

#[test]
fn where_the_kernel_cannot_hold_what_is_required_nothing_runs_and_what_is_missing_is_named() {
    for (abi, part) in [(3, "the scope of signals"), (1, "truncation"), (0, "rules on files")] {
        let mut lab = Lab::with(&Setting { sandbox: Some(format!("required:{abi}")), ..Setting::default() });
        let (task, outcome) = lab.sh("echo ran > file");
        assert_eq!(outcome["reason"], "runner_unavailable");
        let message = outcome["message"].as_str().unwrap();
        assert!(message.contains(part) && message.contains("Linux 6.12"), "{message}");
        assert_eq!(lab.read(&task, "work/file"), "");
        let result: serde_json::Value =
            serde_json::from_str(&lab.read(&task, "attempts/1/result.json")).unwrap();
        assert_eq!(result["sandbox"]["landlock_abi"], abi);
        assert!(result["sandbox"]["lacks"].as_array().unwrap().iter().any(|it| it == "signals"));
    }
}

#[test]
fn every_way_out_is_open_without_a_sandbox() {
    // What a try says means something only where it comes through when nothing holds it.
    let mut lab = Lab::start("worker");
    let private = lab.folder.path().join("private-of-the-test");
    std::fs::write(&private, "x").unwrap();
    let outside = lab.folder.path().join("outside.sock");
    let _listener = UnixListener::bind(&outside).unwrap();
    for escape in ESCAPES.iter().filter(|escape| escape.held_by.is_some()) {
        let other = lab.folder.path().join("other");
        std::fs::write(&other, "mine\n").unwrap();
        let env = json!([[OTHER_FILE, other], [SEALED_PATHS, private], [SOCKETS, outside]]);
        let task = lab.run(0, json!({"command": escape.command(), "env": env}));
        let outcome = lab.finished(0);
        let code = outcome["exit_code"].as_i64().map(|code| i32::try_from(code).unwrap());
        let said = lab.read(&task, "attempts/1/output.log");
        // These need what only root has, or something of the host that may not be there.
        let depends = ["keys of the system", "settings", "mount", "device", "the system", "abstract"];
        if !depends.iter().any(|part| escape.name.contains(part)) {
            assert!([Some(ESCAPED), Some(UNTRIED)].contains(&code), "{}: {outcome}\n{said}", escape.name);
        }
    }
}
