//! Process trees: whatever a run makes, and whoever dies, nothing of it is left.

use serde_json::{Value, json};

use crate::lab::{Lab, command_line, eventually, kill, marked};

/// Says `ready` in a file, and has a child that ignores TERM and one that left the session.
const STUBBORN: &str = "setsid sh -c 'trap \"\" TERM; while :; do sleep 1000; done' & \
     sh -c 'trap \"\" TERM; while :; do sleep 1000; done' & \
     trap '' TERM; echo ready > ready; while :; do sleep 1000; done";

fn stubborn(lab: &mut Lab, slot: usize) -> String {
    let task = lab.run(slot, json!({"command": ["sh", "-c", STUBBORN], "grace_ms": 100}));
    lab.await_file(&task, "work/ready");
    task
}

/// Waits until the run's first child is written down for a later life.
fn recorded(lab: &Lab, task: &str) -> i32 {
    let record = lab.await_file(task, &format!("../../private/{task}/process.json"));
    let record: Value = serde_json::from_str(&record).unwrap();
    record["pid"].as_i64().unwrap().try_into().unwrap()
}

#[test]
fn grandchildren_that_outlive_the_command_and_hold_its_pipes_do_not_hold_the_run() {
    let mut lab = Lab::start("worker");
    let (task, outcome) =
        lab.sh("sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &) ; echo done");
    assert_eq!(outcome["outcome"], "succeeded");
    assert!(lab.read(&task, "attempts/1/output.log").starts_with("done\n"));
    lab.assert_nothing_left();
}

#[test]
fn remains_that_ignore_term_are_killed_and_the_outcome_stays() {
    let mut lab = Lab::start("worker");
    let (_, outcome) = lab.sh("setsid sh -c 'trap \"\" TERM; echo x > ready; while :; do sleep 1000; done' & while ! [ -s ready ]; do :; done; exit 7");
    assert_eq!(outcome["exit_code"], 7);
    lab.assert_nothing_left();
}

#[test]
fn remains_may_end_in_their_own_way() {
    let mut lab = Lab::start("worker");
    let script = "sh -c 'trap \"echo cleaned > cleaned; exit\" TERM; echo x > ready; while :; do sleep 0.01; done' & while ! [ -s ready ]; do :; done";
    let (task, outcome) = lab.sh(script);
    assert_eq!(outcome["outcome"], "succeeded");
    assert_eq!(lab.read(&task, "work/cleaned"), "cleaned\n");
}

#[test]
fn cancel_gives_the_grace_and_then_kills_everything() {
    let mut lab = Lab::start("worker");
    stubborn(&mut lab, 0);
    assert!(lab.children().len() >= 3);
    lab.send(&json!({"end": {"slot": 0, "how": "cancel"}}));
    assert_eq!(lab.finished(0)["outcome"], "cancelled");
    lab.assert_nothing_left();
}

#[test]
fn a_command_that_heeds_term_has_the_time_that_it_was_given() {
    let mut lab = Lab::start("worker");
    let script = "trap 'echo bye; exit 0' TERM; echo x > ready; while :; do sleep 0.01; done";
    let task = lab.run(0, json!({"command": ["sh", "-c", script], "grace_ms": 20_000}));
    lab.await_file(&task, "work/ready");
    lab.send(&json!({"end": {"slot": 0, "how": "stop"}}));
    let outcome = lab.finished(0);
    assert_eq!(outcome["outcome"], "stopped");
    assert!(lab.read(&task, "attempts/1/output.log").ends_with("bye\n"));
}

#[test]
fn a_stopped_process_is_woken_to_end() {
    let mut lab = Lab::start("worker");
    let script = "trap 'echo bye; exit 0' TERM; echo x > ready; while :; do kill -STOP $$; done";
    let task = lab.run(0, json!({"command": ["sh", "-c", script], "grace_ms": 20_000}));
    lab.await_file(&task, "work/ready");
    lab.send(&json!({"end": {"slot": 0, "how": "cancel"}}));
    assert_eq!(lab.finished(0)["outcome"], "cancelled");
    lab.assert_nothing_left();
}

#[test]
fn a_timeout_reaches_everything() {
    let mut lab = Lab::start("worker");
    lab.run(0, json!({"command": ["sh", "-c", STUBBORN], "grace_ms": 50, "timeout_ms": 200}));
    let outcome = lab.finished(0);
    assert_eq!(outcome["reason"], "timeout");
    lab.assert_nothing_left();
}

#[test]
fn what_forks_while_it_is_killed_is_killed_too() {
    let mut lab = Lab::start("worker");
    // Every process makes another and leaves, so that none of them lives as long as a look at all processes takes.
    let relay = "setsid sh -c \"$0\" \"$0\" & sh -c exit &";
    let start =
        format!("for i in 1 2 3 4; do setsid sh -c '{relay}' '{relay}' & done; echo x > ready; sleep 1000");
    let task = lab.run(0, json!({"command": ["sh", "-c", start], "grace_ms": 50}));
    lab.await_file(&task, "work/ready");
    lab.send(&json!({"end": {"slot": 0, "how": "cancel"}}));
    assert_eq!(lab.finished(0)["outcome"], "cancelled");
    lab.assert_nothing_left();
}

#[test]
fn what_forks_while_its_keeper_is_killed_is_killed_too() {
    let mut lab = Lab::start("worker");
    let relay = "setsid sh -c \"$0\" \"$0\" & sh -c exit &";
    let start = format!("setsid sh -c '{relay}' '{relay}' & echo x > ready; sleep 1000");
    let task = lab.run(0, json!({"command": ["sh", "-c", start]}));
    lab.await_file(&task, "work/ready");
    kill(lab.keepers()[0], "KILL");
    assert_eq!(lab.finished(0)["outcome"], "crashed");
    lab.assert_nothing_left();
}

#[test]
fn a_killed_keeper_is_a_crash_and_leaves_nothing_and_the_other_runs_go_on() {
    let mut lab = Lab::start("worker");
    let task = stubborn(&mut lab, 0);
    let victim = lab.keepers();
    assert_eq!(victim.len(), 1);
    let other = lab.run(
        1,
        json!({"command": ["sh", "-c", "echo x > ready; while ! [ -e go ]; do sleep 0.01; done; echo done"]}),
    );
    lab.await_file(&other, "work/ready");
    kill(victim[0], "KILL");
    let outcome = lab.finished(0);
    assert_eq!(outcome["outcome"], "crashed");
    assert_eq!(marked(&format!("CONDUCTOR_TASK_ID={task}")), [0; 0]);
    std::fs::write(lab.path(&other, "work/go"), "").unwrap();
    assert_eq!(lab.finished(1)["outcome"], "succeeded");
    let (_, outcome) = lab.sh("echo again");
    assert_eq!(outcome["outcome"], "succeeded", "the slot has a new keeper");
    lab.assert_nothing_left();
}

#[test]
fn all_keepers_killed_at_once_end_all_runs() {
    let mut lab = Lab::start("worker");
    for slot in 0..4 {
        stubborn(&mut lab, slot);
    }
    for keeper in lab.keepers() {
        kill(keeper, "KILL");
    }
    let mut crashed = 0;
    while crashed < 4 {
        crashed += usize::from(lab.report()["outcome"] == "crashed");
    }
    lab.assert_nothing_left();
}

#[test]
fn a_killed_worker_without_a_monitor_leaves_nothing() {
    let mut lab = Lab::start("worker");
    stubborn(&mut lab, 0);
    kill(lab.worker, "KILL");
    eventually("nothing is left", || lab.children().is_empty());
}

#[test]
fn a_killed_worker_is_started_again_with_nothing_left_of_its_runs() {
    let mut lab = Lab::start("monitor");
    stubborn(&mut lab, 0);
    stubborn(&mut lab, 1);
    let (old, keepers) = (lab.worker, lab.keepers());
    assert_eq!(keepers.len(), 2);
    kill(old, "KILL");
    lab.connect();
    assert_ne!(lab.worker, old);
    lab.assert_nothing_left();
    assert_eq!(lab.ended_at_start, 0, "the monitor left nothing to end");
    assert!(keepers.iter().all(|&keeper| command_line(keeper).is_empty()), "the keepers are gone as well");
    assert_eq!(lab.sh("true").1["outcome"], "succeeded");
}

#[test]
fn a_killed_monitor_takes_everything_with_it() {
    let mut lab = Lab::start("monitor");
    let task = stubborn(&mut lab, 0);
    let (worker, keepers) = (lab.worker, lab.keepers());
    kill(lab.top(), "KILL");
    eventually("the worker is gone", || command_line(worker).is_empty());
    eventually("the keepers are gone", || keepers.iter().all(|&keeper| command_line(keeper).is_empty()));
    lab.assert_nothing_left();
    let result: Value = serde_json::from_str(&lab.read(&task, "attempts/1/result.json")).unwrap();
    assert_eq!(result["outcome"], "crashed");
}

#[test]
fn the_end_of_the_parent_ends_everything() {
    let mut lab = Lab::start("child-monitor");
    stubborn(&mut lab, 0);
    let worker = lab.worker;
    lab.close_pipe();
    lab.wait();
    assert!(command_line(worker).is_empty());
    lab.assert_nothing_left();
}

#[test]
fn a_signal_to_the_monitor_reaches_the_worker_which_is_not_started_again() {
    let mut lab = Lab::start("monitor");
    stubborn(&mut lab, 0);
    kill(lab.top(), "TERM");
    // The lab's worker has no handler, so TERM ends it at once; the monitor ends what it ran.
    assert_eq!(lab.wait(), Some(128 + 15));
    lab.assert_nothing_left();
}

#[test]
fn all_of_them_killed_at_once_leave_children_that_the_next_life_ends_first() {
    let mut lab = Lab::start("monitor");
    let task = stubborn(&mut lab, 0);
    recorded(&lab, &task);
    let doomed: Vec<i32> = [lab.top(), lab.worker].into_iter().chain(lab.keepers()).collect();
    freeze_and_kill(&doomed);
    lab.wait();
    assert!(lab.children().len() >= 3, "nobody was there to end them");
    lab.restart("monitor");
    assert!(lab.ended_at_start >= 3);
    lab.assert_nothing_left();
    lab.run_task(&task, 0, json!({"attempt": 2, "resume": true, "command": ["cat", "ready"]}));
    assert_eq!(lab.finished(0)["outcome"], "succeeded");
    assert_eq!(lab.read(&task, "attempts/2/output.log"), "ready\n");
}

#[test]
fn what_cleared_its_environment_is_found_by_what_the_run_folder_keeps() {
    let mut lab = Lab::start("worker");
    // The marks are gone from all three; the first is known by pid and start, the second by its session.
    let script = "exec env -i PATH=\"$PATH\" sh -c 'sleep 1000 & echo $! $$ > pid; sleep 1000'";
    let task = lab.run(0, json!({"command": ["sh", "-c", script]}));
    let pids = lab.await_file(&task, "work/pid");
    let pids: Vec<i32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(recorded(&lab, &task), pids[1]);
    let doomed: Vec<i32> = [lab.worker].into_iter().chain(lab.keepers()).collect();
    freeze_and_kill(&doomed);
    lab.wait();
    // The first child dies as well, and its session goes on without it.
    kill(pids[1], "KILL");
    assert!(command_line(pids[0]).contains("sleep 1000"));
    lab.restart("worker");
    assert_eq!(lab.ended_at_start, 0, "without the mark it is not known before its task comes back");
    lab.run_task(&task, 0, json!({"attempt": 2, "resume": true, "command": ["true"]}));
    assert_eq!(lab.finished(0)["outcome"], "succeeded");
    assert_eq!(command_line(pids[0]), "");
}

#[test]
fn a_process_that_has_the_pid_of_an_earlier_child_is_left_alone() {
    let mut lab = Lab::start("worker");
    let (task, _) = lab.sh("exit 1");
    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    // It names the stranger's pid, and a start that is not the stranger's.
    let record = json!({"version": 1, "attempt": 1, "boot_id": boot.trim(), "pid": stranger.id(), "from_ms": 1, "to_ms": 2});
    std::fs::write(lab.path(&task, &format!("../../private/{task}/process.json")), record.to_string())
        .unwrap();
    lab.run_task(&task, 0, json!({"attempt": 2, "resume": true, "command": ["true"]}));
    assert_eq!(lab.finished(0)["outcome"], "succeeded");
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// Kills processes so that none of them sees another die first.
fn freeze_and_kill(pids: &[i32]) {
    for signal in ["STOP", "KILL"] {
        for &pid in pids {
            kill(pid, signal);
        }
    }
}
