//! Runs as their owner sees them: outcomes, output, folders.

use serde_json::json;

use crate::lab::Lab;

#[test]
fn a_command_leaves_its_output_its_files_and_its_result() {
    let mut lab = Lab::start("worker");
    let (task, outcome) = lab.sh("echo out; echo err >&2; echo hi > out.txt; pwd");
    assert_eq!((outcome["outcome"].as_str(), outcome["exit_code"].as_i64()), (Some("succeeded"), Some(0)));
    let work = lab.path(&task, "work");
    assert_eq!(lab.read(&task, "attempts/1/output.log"), format!("out\nerr\n{}\n", work.display()));
    assert_eq!(outcome["files"][0]["path"], "out.txt");
    let result: serde_json::Value = serde_json::from_str(&lab.read(&task, "attempts/1/result.json")).unwrap();
    assert_eq!(result["outcome"], "succeeded");
    assert_eq!(result["files"], outcome["files"]);
    assert!(lab.read(&task, "attempts/1/diff.patch").contains("+hi\n"));
    lab.assert_nothing_left();
}

#[test]
fn an_exit_code_a_signal_and_a_missing_program_say_what_they_are() {
    let mut lab = Lab::start("worker");
    let (_, outcome) = lab.sh("exit 3");
    assert_eq!((outcome["reason"].as_str(), outcome["exit_code"].as_i64()), (Some("exit_code"), Some(3)));
    let (_, outcome) = lab.sh("kill -SEGV $$");
    assert_eq!(
        (outcome["reason"].as_str(), outcome["message"].as_str()),
        (Some("exit_code"), Some("sh was ended by signal 11"))
    );
    assert!(outcome["exit_code"].is_null());
    for (command, reason, message) in [
        (json!(["no-such-program"]), "runner_error", "the program \"no-such-program\" is not found"),
        (json!(["/etc/passwd"]), "runner_error", "the program \"/etc/passwd\" may not be executed"),
        (json!(["./plain"]), "runner_error", "the program \"./plain\" is not found"),
        (json!([""]), "invalid_request", "the command is empty"),
        (json!([]), "invalid_request", "the command is empty"),
        (json!(["echo", "a\0b"]), "invalid_request", "an argument or a variable has a NUL byte in it"),
        (
            json!(["echo", "x".repeat(1 << 20)]),
            "invalid_request",
            "the arguments and variables of the command are too large for the kernel",
        ),
        (
            json!(["echo", "x".repeat(9 << 20)]),
            "invalid_request",
            "the arguments and variables of the command are too large for the kernel",
        ),
    ] {
        lab.run(0, json!({"command": command}));
        let outcome = lab.finished(0);
        assert_eq!((outcome["reason"].as_str(), outcome["message"].as_str()), (Some(reason), Some(message)));
    }
    let (_, outcome) = lab.sh("true");
    assert_eq!(outcome["outcome"], "succeeded", "the slot works on");
}
