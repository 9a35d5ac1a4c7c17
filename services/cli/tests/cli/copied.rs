//! `workspace.copy`: a task that begins with a copy of a folder of the agent's host.

use std::fs;
use std::os::unix::fs::symlink;

use crate::place::Place;

fn submitted(place: &Place, folder: &str) -> String {
    let task = serde_json::json!({
        "prompt": "write new.txt made", "workspace": {"copy": folder},
        "files": [{"path": "over.txt", "content": "brought"}],
    });
    fs::write(place.path("task.json"), task.to_string()).unwrap();
    place.run(&["submit", "-f", "task.json"]).with(0).text().trim().to_owned()
}

#[test]
fn a_task_begins_with_a_copy_of_a_folder_below_a_root_and_differs_from_that() {
    let mut place = Place::new();
    let code = place.path("code/app");
    fs::create_dir_all(code.join("src")).unwrap();
    fs::write(code.join("src/old.txt"), "old\n").unwrap();
    fs::write(code.join("over.txt"), "of the folder\n").unwrap();
    fs::write(place.path("outside.txt"), "outside").unwrap();
    symlink(place.path("outside.txt"), code.join("link")).unwrap();
    place.world.set("agent.copy_roots", place.path("code").to_str().unwrap());
    let _up = place.up(&[]);
    let id = submitted(&place, code.to_str().unwrap());
    place.run(&["wait", &id]).with(0);
    let work = place.folder(&id).join("work");
    assert_eq!(fs::read_to_string(work.join("src/old.txt")).unwrap(), "old\n");
    assert_eq!(fs::read_to_string(work.join("over.txt")).unwrap(), "brought");
    assert!(fs::symlink_metadata(work.join("link")).unwrap().is_symlink(), "a link is copied as a link");
    let diff = place.run(&["diff", &id]).with(0).text();
    assert!(diff.contains("new.txt") && !diff.contains("old.txt"), "{diff}");
    assert_eq!(fs::read_to_string(code.join("over.txt")).unwrap(), "of the folder\n", "it is a copy");

    for folder in [place.path("elsewhere"), place.world.home().config.clone(), place.path("code/link")] {
        let id = submitted(&place, folder.to_str().unwrap());
        place.run(&["wait", &id]).with(1);
        let task = place.run(&["get", &id, "--output", "json"]).with(0).json();
        assert_eq!(task["failure"]["reason"], "invalid_workspace", "{task}");
    }
}

#[test]
fn without_a_root_a_copy_is_refused_with_the_key_that_allows_it() {
    let place = Place::new();
    let _up = place.up(&[]);
    let id = submitted(&place, "/etc");
    place.run(&["wait", &id]).with(1);
    let task = place.run(&["get", &id, "--output", "json"]).with(0).json();
    assert_eq!(task["failure"]["reason"], "invalid_workspace", "{task}");
    assert!(task["failure"]["message"].as_str().unwrap().contains("agent.copy_roots"), "{task}");
    let task = serde_json::json!({"prompt": "x", "workspace": {"copy": "../etc"}});
    fs::write(place.path("task.json"), task.to_string()).unwrap();
    let refused = place.run(&["submit", "-f", "task.json"]).with(2).err;
    assert!(refused.contains("absolute"), "{refused}");
}
