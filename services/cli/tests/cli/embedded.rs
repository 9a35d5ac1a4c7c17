//! A command that is its own server.

use rustix::process::Signal;

use crate::place::Place;

#[test]
fn a_second_command_joins_the_first_ones_server() {
    let place = Place::new();
    let first = place.start(&["run", "sleep 500ms; print first"]);
    place.until("the first serves", || place.is_served());
    let second = place.start(&["run", "sleep 2s; print second"]);
    let ended = second.end().with(0);
    assert!(ended.text().contains("second"), "{ended:?}");
    let ended = first.end().with(0);
    assert!(ended.text().contains("first"), "{ended:?}");
    assert!(ended.err.contains("others' tasks"), "it stayed for the second: {ended:?}");
    place.is_left_clean();
}

#[test]
fn many_commands_at_once_share_one_server() {
    let place = Place::new();
    let going: Vec<_> =
        (0..6).map(|number| place.start(&["run", &format!("print number {number}")])).collect();
    for (number, going) in going.into_iter().enumerate() {
        let ended = going.end().with(0);
        assert!(ended.text().contains(&format!("number {number}")), "{ended:?}");
    }
    let list = place.run(&["list", "--output", "json"]).with(0).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 6);
    // Tasks without a name are told apart by what they are to do.
    let table = place.run(&["list"]).with(0).text();
    assert!((0..6).all(|number| table.contains(&format!("print number {number}\n"))), "{table}");
    place.is_left_clean();
}

#[test]
fn tasks_of_before_wait_and_are_counted() {
    let place = Place::new();
    let up = place.up(&["--agents", "0"]);
    let old = place.submit(&["print old"]);
    up.signal(Signal::TERM);
    up.end().with(0);
    let ended = place.run(&["run", "print new"]).with(0);
    assert!(ended.err.contains("1 task waits"), "{ended:?}");
    let state = |id: &str| place.run(&["get", id, "--output", "json"]).with(0).json()["state"].clone();
    assert_eq!(state(&old), "queued");
    let ended = place.run(&["wait", &old]).with(3);
    assert!(ended.err.contains("conductor up"), "{ended:?}");
    let _up = place.up(&[]);
    place.run(&["wait", &old]).with(0);
    assert_eq!(state(&old), "succeeded");
}

#[test]
fn a_submit_without_a_server_runs_its_tasks() {
    let place = Place::new();
    let ended = place.run(&["submit", "sleep 300ms"]).with(0);
    assert!(ended.err.contains("no server runs"), "{ended:?}");
    let id = ended.text();
    let task = place.run(&["get", id.trim(), "--output", "json"]).with(0).json();
    assert_eq!(task["state"], "succeeded");
    place.is_left_clean();
}

#[test]
fn an_interrupted_submit_leaves_its_tasks_for_a_later_server() {
    let place = Place::new();
    let going = place.start(&["submit", "hang"]);
    place.until("the id is printed", || going.out().ends_with('\n'));
    place.until("it waits", || going.err().contains("no server runs"));
    let id = going.out().trim().to_owned();
    going.signal(Signal::INT);
    let ended = going.end().with(0);
    assert!(ended.err.contains("waits for"), "{ended:?}");
    place.is_left_clean();
    let task = place.run(&["get", &id, "--output", "json"]).with(0).json();
    assert!(!["succeeded", "failed", "cancelled"].contains(&task["state"].as_str().unwrap()), "{task}");
}

#[test]
fn reading_without_a_server_finds_what_was_done() {
    let place = Place::new();
    place.run(&["run", "--name", "kept", "print words; write notes.txt some text"]).with(0);
    let list = place.run(&["list", "--name", "kept", "--output", "json"]).with(0).json();
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(place.run(&["logs", &id]).with(0).text().contains("words"));
    assert!(place.run(&["logs", "-f", &id]).with(0).text().contains("words"));
    assert!(place.run(&["files", &id]).with(0).text().contains("notes.txt"));
    assert_eq!(place.run(&["files", &id, "notes.txt"]).with(0).text().trim(), "some text");
    assert!(place.run(&["diff", &id]).with(0).text().contains("+some text"));
    assert!(place.run(&["events"]).with(0).text().contains("task_finished"));
    place.is_left_clean();
}

#[test]
fn killed_with_its_agent_running_nothing_is_left() {
    let place = Place::new();
    let going = place.start(&["run", "--", "sh", "-c", "echo begun; sleep 1000"]);
    place.until("the command begins", || going.out().contains("begun"));
    going.signal(Signal::KILL);
    place.until("everything ends with it", || place.world.processes().is_empty());
}

#[test]
fn a_command_whose_server_was_anothers_says_where_its_task_is() {
    let place = Place::new();
    let first = place.start(&["run", "hang"]);
    place.until("the first serves", || place.is_served());
    let second = place.start(&["run", "hang"]);
    place.until("the second is in", || {
        let list = place.run(&["list", "--output", "json"]).with(0).json();
        list["items"].as_array().unwrap().len() == 2
    });
    first.signal(Signal::KILL);
    let ended = second.end().with(3);
    assert!(ended.err.contains("is kept") && ended.err.contains("conductor get"), "{ended:?}");
}
