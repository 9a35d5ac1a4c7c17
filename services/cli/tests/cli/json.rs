//! `--output json`: one document, or one a line where it streams.

use serde_json::Value;

use crate::place::Place;

#[test]
fn every_command_prints_json() {
    let place = Place::new();
    let up = place.start(&["up", "--output", "json"]);
    place.until("the server serves", || place.is_served());
    place.until("it says what there is", || up.out().ends_with('\n'));
    let told: Value = serde_json::from_str(&up.out()).unwrap();
    assert!(told["control_socket"].is_string(), "{told}");
    assert!(told["api"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")), "{told}");
    let run = place.run(&["run", "--output", "json", "write a.txt x"]).with(0).json();
    let id = run["id"].as_str().unwrap().to_owned();
    assert_eq!((&run["state"], &run["simulated"]), (&"succeeded".into(), &true.into()));
    let submitted = place.run(&["submit", "--output", "json", "print x"]).with(0).json();
    let other = submitted["ids"][0].as_str().unwrap().to_owned();
    for args in [
        &["list"][..],
        &["get", &id],
        &["wait", &id, &other],
        &["files", &id],
        &["compare", &id, &other],
        &["apply", &id, "--dry-run"],
        &["retry", &id],
        &["agents"],
        &["pause"],
        &["resume"],
        &["stats"],
        &["status"],
        &["top"],
        &["schedule", "list"],
        &["audit"],
        &["gc", "--dry-run"],
        &["config", "check"],
        &["config", "show"],
        &["token", "show"],
        &["token", "create", "ci"],
        &["token", "list"],
        &["token", "revoke", "ci"],
        &["doctor"],
        &["healthcheck"],
    ] {
        let ended = place.run(&[args, &["--output", "json"]].concat()).with(0);
        assert_eq!(ended.text().lines().count(), 1, "{args:?}: {ended:?}");
        ended.json();
    }
    let events = place.run(&["events", "--output", "json"]).with(0).text();
    assert!(events.lines().count() > 5);
    for line in events.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    for args in [&["logs", &other][..], &["diff", &id], &["files", &id, "a.txt"], &["completions", "bash"]] {
        let told = place.run(&[args, &["--output", "json"]].concat()).with(0).text();
        let pieces = told.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
        let whole: String = pieces.map(|piece| piece["text"].as_str().expect("text").to_owned()).collect();
        assert_eq!(whole, place.run(args).with(0).text(), "{args:?}");
    }
    let lines = place.run(&["logs", "--events", &id]).with(0).text();
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");
}

#[test]
fn a_failure_is_a_problem_on_stderr() {
    let place = Place::new();
    let ended = place.run(&["run", "--output", "json", "--runner", "nobody", "x"]).with(4);
    assert!(ended.out.is_empty(), "{ended:?}");
    let problem: Value = serde_json::from_str(ended.err.lines().last().unwrap()).unwrap();
    assert_eq!(problem["code"], "invalid_request");
    let ended = place.run(&["run", "--output", "json", "fail x"]).with(1);
    assert_eq!(ended.json()["state"], "failed");
}

#[test]
fn a_bad_configuration_is_broken_by_name() {
    let place = Place::new();
    let config = place.world.home().config_file();
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, "agent:\n  slotz: 3\n").unwrap();
    let doctor = place.run(&["doctor", "--output", "json"]).with(1).json();
    assert_eq!(doctor["ok"], false);
    let broken: Vec<&Value> =
        doctor["checks"].as_array().unwrap().iter().filter(|check| check["health"] == "broken").collect();
    assert!(broken[0]["found"].as_str().unwrap().contains("agent.slotz"), "{broken:?}");
    let ended = place.run(&["config", "check"]).with(1);
    assert!(ended.err.contains("agent.slotz"), "{ended:?}");
    let ended = place.run(&["list"]).with(2);
    assert!(ended.err.contains("agent.slotz"), "{ended:?}");
}

#[test]
fn completions_are_a_script() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell]).with(0).text().contains("conductor"));
    }
}
