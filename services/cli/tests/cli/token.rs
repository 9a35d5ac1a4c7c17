//! `token`: making, listing and taking tokens.

use crate::place::Place;

#[test]
fn a_token_is_made_listed_and_taken() {
    let place = Place::new();
    let _up = place.up(&[]);
    let made =
        place.run(&["token", "create", "ci", "--role", "viewer", "--group", "red", "--expires", "30d"]);
    let secret = made.with(0).text();
    assert!(secret.starts_with("cnd_") && secret.trim_end().len() == 68, "{secret}");
    let listed = place.run(&["token", "list"]).with(0).text();
    let line = listed.lines().find(|line| line.starts_with("ci ")).unwrap_or_else(|| panic!("{listed}"));
    for part in ["viewer", "red", "owner", "Z"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(listed.contains("admin") && !listed.contains(secret.trim()), "{listed}");
    let again = place.run(&["token", "create", "ci"]).with(4);
    assert!(again.err.contains("ci"), "{again:?}");
    place.run(&["token", "revoke", "ci"]).with(0);
    assert!(!place.run(&["token", "list"]).with(0).text().contains("ci "));
    place.run(&["token", "revoke", "ci"]).with(4);
    let bad = place.run(&["token", "create", "x", "--role", "boss"]).with(2);
    assert!(bad.err.contains("viewer, operator, admin, agent"), "{bad:?}");
}

#[test]
fn tokens_outlast_the_server_and_need_none_that_runs() {
    let place = Place::new();
    let made = place.run(&["token", "create", "ci", "--output", "json"]).with(0).json();
    assert_eq!((&made["token"]["role"], &made["token"]["kind"]), (&"operator".into(), &"runtime".into()));
    let listed = place.run(&["token", "list", "--output", "json"]).with(0).json();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|token| token["name"].clone()).collect();
    assert_eq!(names, ["admin", "ci"]);
}
