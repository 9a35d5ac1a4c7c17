//! Runs that take more than they may: each ends by name, and everything else goes on.

use std::fs;
use std::path::PathBuf;

use conductor_agent::sandbox::escapes::{Hog, REFUSED, UNTRIED, hogs};
use conductor_protocol::agent::LimitsView;
use serde_json::{Value, json};

use crate::lab::{Lab, Setting};

const LIMITS: LimitsView =
    LimitsView { memory_bytes: 96 << 20, processes: 40, disk_bytes: 16 << 20, output_bytes: 1 << 20 };
/// How many other runs there are meanwhile, at the least.
const OTHERS: usize = 20;

fn hog(name: &str) -> Hog {
    hogs(LIMITS).into_iter().find(|hog| hog.name.contains(name)).unwrap()
}

fn job(command: &[String]) -> Value {
    json!({
        "command": command, "max_processes": LIMITS.processes, "max_memory_bytes": LIMITS.memory_bytes,
        "max_workspace_bytes": LIMITS.disk_bytes, "max_output_bytes": LIMITS.output_bytes, "end_on_output_limit": true,
        "grace_ms": 10_000,
    })
}

/// How often a hog is tried until the kernel was there first.
const TRIES: usize = 10;

/// Runs a hog beside others, and gives how it ended.
fn beside_others(lab: &mut Lab, command: &[String]) -> Value {
    lab.run(0, job(command));
    let other = ["sh", "-c", "echo fine > file; cat file; sleep 0.05"].map(str::to_owned);
    (1..4).for_each(|slot| {
        lab.run(slot, job(&other));
    });
    let (mut done, mut under_way, mut ended) = (0, 3, None);
    while ended.is_none() || under_way > 0 {
        let report = lab.report();
        if !report["finished"].is_string() {
            continue;
        }
        let slot = usize::try_from(report["slot"].as_u64().unwrap()).unwrap();
        if slot == 0 {
            ended = Some(report);
            continue;
        }
        assert_eq!(report["outcome"], "succeeded", "{report}");
        (done, under_way) = (done + 1, under_way - 1);
        if ended.is_none() || done + under_way < OTHERS {
            lab.run(slot, job(&other));
            under_way += 1;
        }
    }
    assert!(done >= OTHERS, "{done}");
    ended.unwrap()
}

fn is_ended(setting: &Setting, name: &str) -> (Lab, Value) {
    let mut lab = Lab::with(setting);
    let hog = hog(name);
    let outcome = beside_others(&mut lab, &hog.command);
    assert_eq!(outcome["reason"], hog.reason, "{outcome}");
    lab.assert_nothing_left();
    (lab, outcome)
}

fn confined() -> Setting {
    Setting { sandbox: Some("best_effort:99".into()), ..Setting::default() }
}

#[test]
fn too_many_processes_end_as_process_limit() {
    let (_, outcome) = is_ended(&Setting::default(), "fork bomb");
    assert!(outcome["message"].as_str().unwrap().contains("more than 40 processes"), "{outcome}");
    assert!(outcome["run_ms"].as_u64().unwrap() < 10_000, "it was given no grace: {outcome}");
    is_ended(&confined(), "fork bomb");
}

#[test]
fn what_doubles_itself_in_sessions_of_its_own_ends_as_process_limit() {
    let mut lab = Lab::with(&confined());
    let bomb = "b() { sleep 0.4; setsid sh -c \"$0\" \"$0\" & setsid sh -c \"$0\" \"$0\" & wait; }; b";
    let command = ["sh", "-c", bomb, bomb].map(str::to_owned);
    let outcome = beside_others(&mut lab, &command);
    assert_eq!(outcome["reason"], "process_limit", "{outcome}");
    lab.assert_nothing_left();
}

#[test]
fn what_doubles_itself_as_fast_as_it_can_is_held_by_the_kernel_where_it_counts_this_run_alone() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    let env = ["LAB_EGRESS=model", "LAB_OWN_NETWORK=1", "LAB_MAX_PROCESSES=40"];
    let env = env.map(|line| line.split_once('=').unwrap()).map(|(name, value)| (name, value.to_owned()));
    let setting = Setting { user: Some(54_321), env: env.into(), ..confined() };
    let mut lab = Lab::with(&setting);
    // It cannot pass the limit, whatever else goes wrong.
    let (task, _) = lab.sh("grep 'Max processes' /proc/self/limits");
    let said = lab.read(&task, "attempts/1/output.log");
    assert!(said.contains(" 56 "), "{said}");
    let bomb = "b() { sh -c \"$0\" \"$0\" & sh -c \"$0\" \"$0\" & wait; }; b 2>/dev/null; sleep 1";
    let task = lab.run(0, job(&["sh", "-c", bomb, bomb].map(str::to_owned)));
    let outcome = lab.finished(0);
    let said = lab.read(&task, "attempts/1/output.log");
    assert_eq!(outcome["reason"], "process_limit", "{outcome} {said}");
    let outcome = beside_others(&mut lab, &["true"].map(str::to_owned));
    assert_eq!(outcome["outcome"], "succeeded", "{outcome}");
    lab.assert_nothing_left();
}

#[test]
fn a_fork_bomb_to_which_the_kernel_refuses_a_process_says_so_and_no_other_failure_of_it_does() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    let env = [("LAB_EGRESS", "model"), ("LAB_OWN_NETWORK", "1"), ("LAB_MAX_PROCESSES", "40")];
    let env = env.map(|(name, value)| (name, value.to_owned()));
    let mut lab = Lab::with(&Setting { user: Some(54_321), env: env.into(), ..confined() });
    let run = |lab: &mut Lab, command: &[String]| {
        // The agent's own limit is far away, so that the kernel is there first.
        let task = lab.run(0, json!({"command": command, "max_processes": 4_000, "grace_ms": 10_000}));
        let outcome = lab.finished(0);
        (outcome["exit_code"].as_i64(), lab.read(&task, "attempts/1/output.log"))
    };
    let mut command = hog("fork bomb").command;
    let (code, said) = run(&mut lab, &command);
    assert_eq!(code, Some(REFUSED.into()), "{said}");
    assert!(said.contains("fork"), "{said}");
    let script = command.last_mut().unwrap();
    *script = script.replace("sleep 20; exit 10", "exit 2");
    *script = script.replace("-lt 62", "-lt 6");
    let (code, said) = run(&mut lab, &command);
    assert_eq!(code, Some(UNTRIED.into()), "{said}");
    lab.assert_nothing_left();
}

#[test]
fn too_much_memory_ends_as_oom() {
    let (_, outcome) = is_ended(&confined(), "memory");
    assert!(outcome["message"].as_str().unwrap().contains("more memory than its"), "{outcome}");
}

#[test]
fn memory_that_a_tree_has_together_counts_and_shared_memory_counts_once() {
    let mut lab = Lab::with(&confined());
    // Each is below the limit, and all of them are above it.
    let many = "perl -e 'for (1..4) { fork or do { $x = \"x\" x (40 << 20); sleep 60 } } sleep 60'";
    let outcome = beside_others(&mut lab, &["sh", "-c", many].map(str::to_owned));
    assert_eq!(outcome["reason"], "oom", "{outcome}");
    // Four processes have the same pages.
    let same = "perl -e '$x = \"x\" x (20 << 20); for (1..4) { fork or do { sleep 2; exit } } sleep 2; 1 while wait != -1'";
    let outcome = beside_others(&mut lab, &["sh", "-c", same].map(str::to_owned));
    assert_eq!(outcome["outcome"], "succeeded", "{outcome}");
}

#[test]
fn a_full_disk_of_ones_own_ends_as_disk_full_with_or_without_names() {
    let (_, outcome) = is_ended(&confined(), "disk");
    assert!(outcome["message"].as_str().unwrap().contains("16777216 bytes to disk"), "{outcome}");
    let mut lab = Lab::with(&confined());
    let nameless = "exec 3>file 4>more; rm file more; dd if=/dev/zero bs=1048576 count=12 >&3 2>/dev/null; \
         dd if=/dev/zero bs=1048576 count=12 >&4 2>/dev/null; sleep 60";
    let outcome = beside_others(&mut lab, &["sh", "-c", nameless].map(str::to_owned));
    assert_eq!(outcome["reason"], "disk_full", "{outcome}");
    let home = "cp -r /usr/bin \"$HOME/a\"; sleep 60";
    let outcome = beside_others(&mut lab, &["sh", "-c", home].map(str::to_owned));
    assert_eq!(outcome["reason"], "disk_full", "its home counts: {outcome}");
}

#[test]
fn what_prints_without_an_end_ends_as_output_limit() {
    is_ended(&confined(), "printer");
}

#[test]
fn a_sparse_terabyte_is_refused_and_costs_nothing() {
    let mut lab = Lab::with(&confined());
    lab.run(0, json!({"command": ["sh", "-c", "truncate -s 1G file; sleep 1; ls -l file"], "max_workspace_bytes": 1 << 20}));
    assert_eq!(lab.finished(0)["outcome"], "succeeded", "what is not there takes no room");
}

/// Groups of version 1 for this test alone; none where there are none to be had.
fn groups() -> Option<Vec<PathBuf>> {
    let name = format!("conductor-test-{}", std::process::id());
    let made = ["pids", "memory"].map(|controller| {
        let path = PathBuf::from("/sys/fs/cgroup").join(controller).join(&name);
        fs::create_dir(&path).ok().map(|()| path)
    });
    made.into_iter().collect()
}

#[test]
fn a_cgroup_of_its_own_holds_a_run_before_anybody_looks() {
    let Some(groups) = groups() else {
        eprintln!("skipped: there are no cgroups of version 1 that are this user's");
        return;
    };
    let joined = groups.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":");
    let setting = Setting { env: vec![("LAB_CGROUPS", joined)], ..confined() };
    let counted = |file: &str, word: &str| {
        let below = groups.iter().flat_map(|group| fs::read_dir(group).unwrap().flatten());
        let texts = below.filter_map(|entry| fs::read_to_string(entry.path().join(file)).ok());
        let counts = texts.filter_map(|text| {
            let line = text.lines().find(|line| line.starts_with(word))?.to_owned();
            line.split_whitespace().last()?.parse::<u64>().ok()
        });
        counts.sum::<u64>()
    };
    // Whoever looks may be there before the kernel; not every time.
    let is_held = |hog: &str, file: &str, word: &str| {
        (0..TRIES).any(|_| {
            let (lab, _) = is_ended(&setting, hog);
            let count = counted(file, word);
            drop(lab);
            count > 0
        })
    };
    assert!(is_held("fork bomb", "pids.events", "max"), "the kernel refused none");
    assert!(is_held("memory", "memory.oom_control", "oom_kill "), "the kernel ended none");
    for group in &groups {
        let below = fs::read_dir(group).unwrap().flatten().filter(|entry| entry.path().is_dir());
        below.for_each(|entry| drop(fs::remove_dir(entry.path())));
        fs::remove_dir(group).unwrap();
    }
}
