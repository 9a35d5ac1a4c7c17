//! `secret`: keeping, listing and removing what nobody else may read.

use std::os::unix::fs::PermissionsExt as _;

use crate::place::Place;

const VALUE: &str = "sk-very-secret-0123456789";

#[test]
fn a_secret_is_kept_from_stdin_listed_without_its_value_and_removed() {
    let place = Place::new();
    let set = place.feed(&["secret", "set", "ANTHROPIC_API_KEY"], format!("{VALUE}\n").as_bytes()).with(0);
    let file = place.world.home().secrets().join("ANTHROPIC_API_KEY");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim_end(), VALUE);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let listed = place.run(&["secret", "list"]).with(0);
    let json = place.run(&["secret", "list", "--output", "json"]).with(0);
    assert!(listed.text().contains("ANTHROPIC_API_KEY"), "{listed:?}");
    assert_eq!(json.json()[0]["name"], "ANTHROPIC_API_KEY");
    for ended in [&set, &listed, &json] {
        assert!(!ended.text().contains(VALUE) && !ended.err.contains(VALUE), "{ended:?}");
    }
    let again = place.feed(&["secret", "set", "ANTHROPIC_API_KEY", "--output", "json"], b"other").with(0);
    assert_eq!(again.json()["replaced"], true);
    place.run(&["secret", "rm", "ANTHROPIC_API_KEY"]).with(0);
    assert!(!file.exists());
    place.run(&["secret", "rm", "ANTHROPIC_API_KEY"]).with(1);
}

#[test]
fn what_cannot_be_a_secret_is_a_usage_error() {
    let place = Place::new();
    place.feed(&["secret", "set", "../token"], b"value").with(2);
    place.feed(&["secret", "set", "KEY", "value"], b"value").with(2);
    let empty = place.run(&["secret", "set", "KEY"]).with(2);
    assert!(empty.err.contains("empty"), "{empty:?}");
    place.feed(&["secret", "set", "KEY"], &vec![b'x'; 70_000]).with(2);
    assert_eq!(place.run(&["secret", "list", "--output", "json"]).with(0).json(), serde_json::json!([]));
}

#[test]
fn another_host_is_not_meant_and_that_is_said() {
    let place = Place::new();
    let mut command = place.command(&["secret", "list"]);
    command.env("CONDUCTOR_URL", "https://tasks.example");
    let ended = place.begin(command).end().with(0);
    assert!(ended.err.contains("on this machine alone"), "{ended:?}");
}
