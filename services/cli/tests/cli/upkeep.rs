//! `support-bundle`, `up --install` and `upgrade finalize`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::place::Place;

#[test]
fn a_support_bundle_says_what_is_in_it_and_holds_no_prompt_output_or_secret() {
    let place = Place::new();
    let _up = place.up(&[]);
    let id = place.submit(&["--env", "WORD=envword", "print outputword; fail messageword"]);
    place.run(&["wait", &id]).with(1);
    let token = place.run(&["token", "show"]).with(0).text().trim().to_owned();
    let log = place.world.home().logs.join("conductor.log");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, format!("{text}\nsomebody wrote {token} down\n")).unwrap();
    let unpack = |options: &[&str], name: &str| {
        let (file, folder) = (place.path(name), place.path(&format!("{name}.d")));
        fs::create_dir(&folder).unwrap();
        let ended = place.run(&[&["support-bundle", file.to_str().unwrap()], options].concat()).with(0);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Command::new("tar").arg("xzf").arg(&file).arg("-C").arg(&folder).status().unwrap().success());
        let all = Command::new("grep").args(["-r", "."]).arg(&folder).output().unwrap().stdout;
        (ended.err, String::from_utf8(all).unwrap())
    };
    let (said, plain) = unpack(&[], "plain.tar.gz");
    for part in ["doctor.json", "config.json", "metrics.json", "failures.json", "logs/conductor.log"] {
        assert!(said.contains(part) && plain.contains(part), "{part}: {said}");
    }
    assert!(plain.contains(&id), "the failure is named");
    assert!(plain.contains("somebody wrote [redacted] down"), "the log is redacted");
    for word in ["envword", "outputword", "messageword", &token] {
        assert!(!plain.contains(word), "{word} is in it");
    }
    let (said, full) = unpack(&["--with-tasks"], "full.tar.gz");
    assert!(said.contains("outputs are in it"), "{said}");
    for word in ["outputword", "messageword"] {
        assert!(full.contains(word), "{word} was asked for");
    }
    assert!(!full.contains("envword") && !full.contains(&token));
}

/// A systemctl that notes what it is asked, or fails as where no systemd runs.
fn systemctl(place: &Place, runs: bool) -> std::path::PathBuf {
    let folder = place.path(if runs { "with" } else { "without" });
    fs::create_dir(&folder).unwrap();
    let script = match runs {
        true => format!("#!/bin/sh\necho \"$@\" >> {}/asked\n", folder.display()),
        false => "#!/bin/sh\necho 'Failed to connect to bus: no medium found' >&2\nexit 1\n".to_owned(),
    };
    let program = folder.join("systemctl");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn up_is_installed_as_a_unit_of_the_user_and_taken_away_again() {
    let place = Place::new();
    let tools = systemctl(&place, true);
    let config = place.path("dot-config");
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("PATH", &tools).env("XDG_CONFIG_HOME", &config);
        place.begin(command).end()
    };
    run(&["up", "--install", "--agents", "2"]).with(0);
    let unit = config.join("systemd/user/conductor.service");
    let text = fs::read_to_string(&unit).unwrap();
    assert!(text.contains(" up --agents 2\n") && text.contains("KillMode=mixed"), "{text}");
    assert!(text.contains("CONDUCTOR_HOME="), "{text}");
    run(&["up", "--uninstall"]).with(0);
    assert!(!unit.exists());
    let asked = fs::read_to_string(tools.join("asked")).unwrap();
    for words in
        ["--user enable conductor.service", "--user restart", "--user disable --now conductor.service"]
    {
        assert!(asked.contains(words), "{asked}");
    }
    run(&["up", "--uninstall"]).with(1);
}

#[test]
fn up_is_not_installed_where_no_systemd_looks_after_the_user() {
    let place = Place::new();
    for tools in [systemctl(&place, false), place.path("nothing")] {
        let mut command = place.command(&["up", "--install"]);
        command.env("PATH", &tools).env("XDG_CONFIG_HOME", place.path("none"));
        let ended = place.begin(command).end().with(4);
        assert!(ended.err.contains("no systemd"), "{ended:?}");
    }
    assert!(!place.path("none").exists());
}

#[test]
fn there_is_nothing_to_finalize_and_a_state_of_a_newer_release_is_not_started() {
    let place = Place::new();
    place.run(&["upgrade", "finalize"]).with(1);
    place.run(&["run", "--quiet", "print a"]).with(0);
    let mut elsewhere = place.command(&["upgrade", "finalize"]);
    elsewhere.env("CONDUCTOR_URL", "http://127.0.0.1:1");
    assert!(place.begin(elsewhere).end().with(2).err.contains("where that server runs"));
    let said = place.run(&["upgrade", "finalize"]).with(0).text();
    assert!(said.contains("nothing to finalize"), "{said}");
    let file = place.world.home().state.join("format.json");
    fs::write(&file, r#"{"number":99,"since":"9.0.0","release":"9.0.0"}"#).unwrap();
    let refused = place.run(&["up"]).with(1).err;
    assert!(refused.contains("format.json") && refused.contains("9.0.0"), "{refused}");
}
