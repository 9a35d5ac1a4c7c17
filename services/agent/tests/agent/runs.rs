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

#[test]
fn output_comes_in_the_order_in_which_it_was_printed_whatever_it_is() {
    let mut lab = Lab::start("worker");
    let script = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; echo e$i >&2; done; printf '\\377\\000\\001'; printf 'no end'";
    let (task, _) = lab.sh(script);
    let lines: String = (1..10).map(|i| format!("{i}\ne{i}\n")).collect();
    let expected = [lines.as_bytes(), b"\xff\x00\x01no end"].concat();
    assert_eq!(std::fs::read(lab.path(&task, "attempts/1/output.log")).unwrap(), expected);
}

#[test]
fn a_run_goes_on_when_its_output_is_cut() {
    let mut lab = Lab::start("worker");
    let script = "head -c 3000000 /dev/zero; echo done > done";
    lab.run(0, json!({"command": ["sh", "-c", script], "max_output_bytes": 100_000}));
    let outcome = lab.finished(0);
    assert_eq!(outcome["outcome"], "succeeded");
    assert_eq!(outcome["dropped_bytes"], 2_900_000);
    let task = outcome["finished"].as_str().unwrap();
    let output = lab.read(task, "attempts/1/output.log");
    assert_eq!(output.len() as u64, outcome["output_bytes"].as_u64().unwrap());
    assert!(output.ends_with("\n[output cut here: the limit of 100000 bytes is reached]\n"));
    assert_eq!(lab.read(task, "work/done"), "done\n");
}

#[test]
fn a_run_that_never_stops_printing_is_ended_where_the_limit_says_so() {
    let mut lab = Lab::start("worker");
    let command = json!(["sh", "-c", "yes & yes"]);
    lab.run(
        0,
        json!({"command": command, "max_output_bytes": 1000, "end_on_output_limit": true, "grace_ms": 50}),
    );
    assert_eq!(lab.finished(0)["reason"], "output_limit");
    lab.assert_nothing_left();
}

#[test]
fn a_run_that_never_stops_printing_hears_of_its_timeout_and_its_cancel() {
    let mut lab = Lab::start("worker");
    lab.run(0, json!({"command": ["yes"], "max_output_bytes": 1000, "timeout_ms": 100}));
    assert_eq!(lab.finished(0)["reason"], "timeout");
    let task = lab.run(1, json!({"command": ["yes"], "max_output_bytes": 1000}));
    lab.await_file(&task, "attempts/1/output.log");
    lab.send(&json!({"end": {"slot": 1, "how": "cancel"}}));
    assert_eq!(lab.finished(1)["outcome"], "cancelled");
    lab.assert_nothing_left();
}

#[test]
fn a_child_gets_a_clean_environment_no_descriptors_and_default_signals() {
    let mut lab = Lab::start("worker");
    let command = json!([
        "sh",
        "-c",
        "env > env; ls /proc/self/fd > fds; cat /proc/self/status > status; cat; pwd > pwd"
    ]);
    let task = lab.run(0, json!({"command": command, "env": [["GREETING", "hi"], ["LANG", "ja_JP.UTF-8"]]}));
    assert_eq!(lab.finished(0)["outcome"], "succeeded", "standard input is empty");
    let env = lab.read(&task, "work/env");
    let variable = |name: &str| env.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    let private = lab.folder.path().join("ws/private").join(&task);
    assert_eq!(variable("HOME"), private.join("home").to_str());
    assert_eq!(variable("TMPDIR"), private.join("tmp").to_str());
    assert_eq!(variable("GREETING"), Some("hi"));
    assert_eq!(variable("LANG"), Some("ja_JP.UTF-8"));
    assert_eq!(variable("CONDUCTOR_TASK_ID"), Some(task.as_str()));
    assert_eq!(variable("CONDUCTOR_ATTEMPT"), Some("1"));
    assert_eq!(variable("CARGO_MANIFEST_DIR"), None, "the agent's own environment stays with it");
    // The shell's redirection and the directory that ls reads are the only ones beside the three.
    assert_eq!(lab.read(&task, "work/fds").split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    let status = lab.read(&task, "work/status");
    for name in ["SigBlk:", "SigIgn:"] {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        // The C library keeps two signals of its own ignored, beyond the standard ones.
        let standard = u64::from_str_radix(mask.trim(), 16).unwrap() & 0x7fff_ffff;
        assert_eq!(standard, 0, "{name}{mask}");
    }
    assert_eq!(lab.read(&task, "work/pwd").trim(), lab.path(&task, "work").to_str().unwrap());
}

#[test]
fn variables_and_files_that_reach_out_are_refused_by_name() {
    let mut lab = Lab::start("worker");
    lab.run(0, json!({"command": ["true"], "env": [["LD_PRELOAD", "x.so"]]}));
    let outcome = lab.finished(0);
    assert_eq!(outcome["reason"], "invalid_request");
    assert!(outcome["message"].as_str().unwrap().contains("LD_PRELOAD"));
    for path in ["../out", "/etc/out", "a/../../out"] {
        lab.run(0, json!({"command": ["true"], "files": [[path, "x"]]}));
        let outcome = lab.finished(0);
        assert_eq!(outcome["reason"], "invalid_workspace");
        assert!(outcome["message"].as_str().unwrap().contains(path), "{outcome}");
    }
}

#[test]
fn a_program_beside_the_work_is_found_from_the_work_folder() {
    let mut lab = Lab::start("worker");
    let files = json!([
        ["run.sh", "#!/bin/sh\necho ran\n"],
        ["plain", "echo plain\n"],
        ["bad", "#!/no/such/shell\n"]
    ]);
    let script = "chmod +x run.sh plain bad; ./run.sh";
    let task = lab.run(0, json!({"command": ["sh", "-c", script], "files": files}));
    assert_eq!(lab.finished(0)["outcome"], "succeeded");
    assert_eq!(lab.read(&task, "attempts/1/output.log"), "ran\n");
    for (attempt, program, message) in [
        (2, "./plain", "\"./plain\" is no program that this host can run"),
        (3, "./bad", "the program \"./bad\" is not found"),
    ] {
        lab.run_task(&task, 0, json!({"attempt": attempt, "resume": true, "command": [program]}));
        assert_eq!(lab.finished(0)["message"], message);
    }
}

#[test]
fn a_failed_attempt_is_followed_by_a_fresh_one_and_a_crashed_one_goes_on() {
    let mut lab = Lab::start("worker");
    let files = json!([["in.txt", "asked\n"]]);
    let script = "cat in.txt; echo attempt >> in.txt; exit 1";
    let task = lab.run(0, json!({"command": ["sh", "-c", script], "files": files}));
    lab.finished(0);
    let job = |attempt: u32, resume: bool| json!({"attempt": attempt, "resume": resume, "files": files, "command": ["sh", "-c", script]});
    lab.run_task(&task, 0, job(2, false));
    lab.finished(0);
    lab.run_task(&task, 0, job(3, true));
    lab.finished(0);
    assert_eq!(lab.read(&task, "attempts/2/output.log"), "asked\n");
    assert_eq!(lab.read(&task, "attempts/3/output.log"), "asked\nattempt\n");
    assert_eq!(lab.read(&task, "attempts/1/work/in.txt"), "asked\nattempt\n");
    assert!(lab.read(&task, "attempts/3/diff.patch").contains(" asked\n+attempt\n+attempt\n"));
}

#[test]
fn a_work_folder_that_was_replaced_is_not_followed() {
    let mut lab = Lab::start("worker");
    let (task, outcome) = lab.sh("cd ..; mv work away; ln -s /etc work");
    assert_eq!(
        (outcome["outcome"].as_str(), outcome["files"].as_array().unwrap().len()),
        (Some("succeeded"), 0)
    );
    lab.run_task(&task, 0, json!({"attempt": 2, "resume": true, "command": ["pwd", "-P"]}));
    assert_eq!(lab.finished(0)["outcome"], "succeeded");
    assert_eq!(lab.read(&task, "attempts/2/output.log").trim(), lab.path(&task, "work").to_str().unwrap());
}

#[test]
fn four_slots_run_at_once() {
    let mut lab = Lab::start("worker");
    // Each waits until all four are there.
    let meeting = lab.folder.path().join("meeting");
    std::fs::create_dir(&meeting).unwrap();
    let script =
        format!("cd {0}; echo x > $$; while [ $(ls | wc -l) -lt 4 ]; do sleep 0.01; done", meeting.display());
    for slot in 0..4 {
        lab.run(slot, json!({"command": ["sh", "-c", script]}));
    }
    let mut succeeded = 0;
    while succeeded < 4 {
        succeeded += usize::from(lab.report()["outcome"] == "succeeded");
    }
}
