//! `drill`, and `drill --security` on a deployment that holds and on one that does not.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::place::Place;

/// Limits that are reached soon.
const LIMITS: [(&str, &str); 5] = [
    ("tasks.max_processes", "60"),
    ("tasks.max_memory_bytes", "134217728"),
    ("tasks.max_workspace_bytes", "33554432"),
    ("tasks.max_output_bytes", "1048576"),
    ("tasks.on_output_limit", "fail"),
];

fn drill(place: &Place) -> (Option<i32>, Value) {
    let _up = place.up(&[]);
    let output = place.command(&["drill", "--security", "--output", "json"]).output().unwrap();
    let said = serde_json::from_slice(&output.stdout);
    let said = said.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), said)
}

fn outcome<'a>(said: &'a Value, name: &str) -> &'a str {
    let tries = said["tries"].as_array().unwrap();
    let found = tries.iter().find(|it| it["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {said}"))["outcome"].as_str().unwrap()
}

#[test]
fn a_deployment_that_holds_passes_and_its_limits_are_tried() {
    let place = Place::with(&LIMITS);
    let (code, said) = drill(&place);
    assert_eq!(code, Some(0), "{said:#}");
    assert_eq!((said["ok"].clone(), said["escaped"].clone()), (true.into(), 0.into()));
    for name in [
        "read a file of another run",
        "leave a daemon that outlives its task",
        "connect past the proxy",
        "a fork bomb",
        "a memory hog",
        "a disk filler",
        "an endless printer",
        "harm another run in any way",
    ] {
        assert_eq!(outcome(&said, name), "held", "{name}: {said:#}");
    }
}

#[test]
fn a_deployment_without_a_sandbox_fails_and_says_where() {
    let place = Place::unconfined();
    let (code, said) = drill(&place);
    assert_eq!(code, Some(1), "{said:#}");
    for name in ["read a file of another run", "link a file of another run", "empty a file of another run"] {
        assert_eq!(outcome(&said, name), "escaped", "{name}: {said:#}");
    }
    assert_eq!(outcome(&said, "harm another run in any way"), "escaped");
    assert_eq!(
        outcome(&said, "leave a daemon that outlives its task"),
        "held",
        "its tree is ended in any case"
    );
    if rustix::process::getuid().is_root() {
        let name = "send packets of its own making";
        assert_eq!(outcome(&said, name), "open", "nothing is asked to hold it");
    }
    assert_eq!(outcome(&said, "a disk filler"), "not_tried", "it would fill gigabytes");
}

#[test]
fn nothing_is_lost_in_a_drill_and_the_deployment_beside_it_is_left_alone() {
    let place = Place::new();
    let drill = ["drill", "--tasks", "40", "--kills", "5", "--output", "json"];
    let output = place.command(&drill).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.code(), Some(0), "{said:#}");
    assert_eq!((&said["ok"], &said["acknowledged"]), (&true.into(), &40.into()), "{said:#}");
    let kills: u64 = said["kills"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(kills, 5);
    for empty in ["lost", "faults", "left"] {
        assert_eq!(said[empty], Value::Array(Vec::new()), "{said:#}");
    }
    let state: Vec<_> = std::fs::read_dir(&place.world.home().state).unwrap().flatten().collect();
    assert!(state.is_empty(), "the folder of the drill goes with it: {state:?}");
}

/// The folder of a drill that is at work.
struct Folder(PathBuf);

impl Folder {
    fn of(place: &Place) -> Self {
        let mut folder = None;
        place.until("the drill works", || {
            let entries = std::fs::read_dir(&place.world.home().state).into_iter().flatten().flatten();
            folder = entries.map(|entry| entry.path()).find(|path| path.join("run/control.sock").exists());
            folder.is_some()
        });
        let folder = Self(folder.unwrap());
        assert!(!folder.processes().is_empty(), "else these tests show nothing");
        folder
    }

    /// The processes that have it as their home.
    fn processes(&self) -> Vec<PathBuf> {
        let home = format!("CONDUCTOR_HOME={}", self.0.display());
        let is_of_the_drill = |process: &PathBuf| {
            let environment = std::fs::read(process.join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
        };
        let all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        all.filter(is_of_the_drill).collect()
    }
}

#[test]
fn a_drill_that_is_interrupted_ends_what_it_started() {
    let place = Place::new();
    let going = place.start(&["drill", "--tasks", "5000", "--kills", "500"]);
    let folder = Folder::of(&place);
    going.signal(Signal::INT);
    going.end().with(130);
    assert_eq!((folder.processes(), folder.0.exists()), (Vec::new(), false));
}

#[test]
fn what_a_killed_drill_started_ends_with_it() {
    let place = Place::new();
    let going = place.start(&["drill", "--tasks", "5000", "--kills", "500"]);
    let folder = Folder::of(&place);
    going.signal(Signal::KILL);
    going.end();
    place.until("nothing of it is left", || folder.processes().is_empty());
}
