//! The mock runner.

use serde_json::{Value, json};

use crate::lab::{Lab, kill};

fn play(lab: &mut Lab, prompt: &str) -> (String, Value) {
    let task = lab.run(0, json!({"prompt": prompt}));
    (task, lab.finished(0))
}

#[test]
fn a_newcomer_is_told_what_happened_and_finds_a_file() {
    let mut lab = Lab::start("worker");
    let (task, outcome) = play(&mut lab, "Say hello");
    assert_eq!((outcome["outcome"].as_str(), outcome["exit_code"].as_i64()), (Some("succeeded"), Some(0)));
    assert!(outcome["summary"].as_str().unwrap().starts_with("Simulated: "));
    let output = lab.read(&task, "attempts/1/output.log");
    assert!(output.starts_with("Say hello\n"));
    for text in [
        "simulated answer",
        "no model was called",
        lab.path(&task, "").to_str().unwrap().trim_end_matches('/'),
    ] {
        assert!(output.contains(text), "{output}");
    }
    assert!(lab.read(&task, "work/README.txt").contains("simulated answer"));
    assert_eq!(outcome["files"][0]["path"], "README.txt");
    let events = lab.read(&task, "attempts/1/events.ndjson");
    let types: Vec<Value> =
        events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone()).collect();
    assert_eq!(types, ["message", "finished"]);
}

#[test]
fn the_steps_do_what_they_say() {
    let mut lab = Lab::start("worker");
    let prompt =
        "print one; write a/b.txt some text; use 1200 tokens; use 34 tokens; tool grep; print 1MB; sleep 1ms";
    let (task, outcome) = play(&mut lab, prompt);
    assert_eq!(outcome["outcome"], "succeeded");
    assert_eq!(outcome["tokens"], 1_234);
    assert_eq!(lab.read(&task, "work/a/b.txt"), "some text\n");
    assert!(!lab.path(&task, "work/README.txt").exists());
    let output = lab.read(&task, "attempts/1/output.log");
    assert!(output.starts_with("one\n[tool grep]\n"));
    assert_eq!(output.len(), "one\n[tool grep]\n".len() + 1_000_000);
    assert_eq!(outcome["files"].as_array().unwrap().len(), 1);
}

#[test]
fn the_same_prompt_gives_the_same_output_and_files() {
    let mut lab = Lab::start("worker");
    let prompt = "Think about it\nprint 100KB\ntool read\nwrite out.txt x";
    let first = play(&mut lab, prompt);
    let second = play(&mut lab, prompt);
    assert_eq!(lab.read(&first.0, "attempts/1/output.log"), lab.read(&second.0, "attempts/1/output.log"));
    assert_eq!(first.1["files"], second.1["files"]);
}

#[test]
fn fail_exit_and_crash_end_as_they_are_named() {
    let mut lab = Lab::start("worker");
    let (task, outcome) = play(&mut lab, "print before; fail no luck; print after");
    assert_eq!(
        (outcome["reason"].as_str(), outcome["message"].as_str()),
        (Some("runner_error"), Some("no luck"))
    );
    assert_eq!(lab.read(&task, "attempts/1/output.log"), "before\n");
    assert!(lab.path(&task, "work/README.txt").exists());
    let (_, outcome) = play(&mut lab, "exit 3");
    assert_eq!((outcome["reason"].as_str(), outcome["exit_code"].as_i64()), (Some("exit_code"), Some(3)));
    let (_, outcome) = play(&mut lab, "exit 0; fail never");
    assert_eq!(outcome["outcome"], "succeeded");
    let worker = lab.worker;
    let (_, outcome) = play(&mut lab, "crash");
    assert_eq!(outcome["outcome"], "crashed");
    assert_eq!(play(&mut lab, "hello").1["outcome"], "succeeded", "worker {worker} lives");
}

#[test]
fn a_write_stays_below_the_work_folder() {
    let mut lab = Lab::start("worker");
    for path in ["../out", "/tmp/out", "a/../../out"] {
        let (_, outcome) = play(&mut lab, &format!("write {path} x"));
        assert_eq!(outcome["reason"], "runner_error");
        assert!(outcome["message"].as_str().unwrap().contains(path), "{outcome}");
    }
}

#[test]
fn hang_and_sleep_end_with_their_run() {
    let mut lab = Lab::start("worker");
    for prompt in ["hang", "sleep 10h"] {
        lab.run(0, json!({"prompt": prompt}));
        while !lab.report()["started"].is_string() {}
        lab.send(&json!({"end": {"slot": 0, "how": "cancel"}}));
        assert_eq!(lab.finished(0)["outcome"], "cancelled");
    }
    lab.run(0, json!({"prompt": "hang", "timeout_ms": 30}));
    assert_eq!(lab.finished(0)["reason"], "timeout");
}

#[test]
fn a_stream_is_cut_and_a_longer_one_ended_as_the_limits_say() {
    let mut lab = Lab::start("worker");
    lab.run(0, json!({"prompt": "print 3MB", "max_output_bytes": 1_000_000}));
    let outcome = lab.finished(0);
    assert_eq!(
        (outcome["outcome"].as_str(), outcome["dropped_bytes"].as_u64()),
        (Some("succeeded"), Some(2_000_000))
    );
    lab.run(0, json!({"prompt": "print 900GB", "max_output_bytes": 1_000}));
    assert_eq!(lab.finished(0)["reason"], "output_limit", "without an end, and long beyond its limit");
    lab.run(0, json!({"prompt": "print 900GB", "max_output_bytes": 1_000, "end_on_output_limit": true}));
    assert_eq!(lab.finished(0)["reason"], "output_limit");
}

#[test]
fn a_question_waits_for_its_answer_however_short_the_timeout() {
    let mut lab = Lab::start("worker");
    let task = lab.run(0, json!({"prompt": "ask Shall I?; ask And now?; print done", "timeout_ms": 200}));
    let asked = |lab: &mut Lab, request: u64, text: &str| {
        let report = loop {
            let report = lab.report();
            if report["asked"].is_u64() {
                break report;
            }
        };
        assert_eq!((report["asked"].as_u64(), report["text"].as_str()), (Some(request), Some(text)));
    };
    asked(&mut lab, 1, "Shall I?");
    // Longer than the timeout, which does not run while a person thinks: this is time, not synchronisation.
    std::thread::sleep(std::time::Duration::from_millis(300));
    lab.send(&json!({"answer": {"slot": 0, "request": 7, "text": "to another question"}}));
    lab.send(&json!({"answer": {"slot": 0, "request": 1, "text": "go on"}}));
    asked(&mut lab, 2, "And now?");
    lab.send(&json!({"answer": {"slot": 0, "request": 2, "text": "yes"}}));
    assert_eq!(lab.finished(0)["outcome"], "succeeded");
    let output = lab.read(&task, "attempts/1/output.log");
    assert_eq!(output, "[question] Shall I?\n[answer] go on\n[question] And now?\n[answer] yes\ndone\n");
}

#[test]
fn a_question_is_no_hindrance_to_a_cancel() {
    let mut lab = Lab::start("worker");
    lab.run(0, json!({"prompt": "ask Shall I?"}));
    while !lab.report()["asked"].is_u64() {}
    lab.send(&json!({"end": {"slot": 0, "how": "cancel"}}));
    assert_eq!(lab.finished(0)["outcome"], "cancelled");
}

#[test]
fn a_file_of_the_task_named_readme_stays() {
    let mut lab = Lab::start("worker");
    let task = lab.run(0, json!({"prompt": "hello", "files": [["README.txt", "mine"]]}));
    assert_eq!(lab.finished(0)["outcome"], "succeeded");
    assert_eq!(lab.read(&task, "work/README.txt"), "mine");
}

#[test]
fn a_worker_killed_in_a_simulation_leaves_a_folder_that_the_next_attempt_uses() {
    let mut lab = Lab::start("monitor");
    let task = lab.run(0, json!({"prompt": "write kept.txt x; hang"}));
    lab.await_file(&task, "work/kept.txt");
    kill(lab.worker, "KILL");
    lab.connect();
    lab.run_task(&task, 0, json!({"attempt": 2, "resume": true, "prompt": "write kept.txt y"}));
    assert_eq!(lab.finished(0)["outcome"], "succeeded");
    assert_eq!(lab.read(&task, "work/kept.txt"), "y\n");
}
