//! Backups: taken while tasks run, restored elsewhere, and refused when they are not what was written.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::place::Place;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_backup_under_load_restores_elsewhere_with_every_task_that_was_acknowledged_before_it() {
    let place = Place::new();
    let _up = place.up(&["--agents", "2"]);
    let mut before: Vec<String> = (0..20).map(|_| place.submit(&["print a; write b.txt c"])).collect();
    before.push(place.submit(&["hang"]));
    let file = place.path("backup.tar.gz");
    let stop = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                place.submit(&["print load; sleep 20ms"]);
            }
        });
        let taken = place.run(&["backup", text(&file), "--output", "json"]);
        stop.store(true, Ordering::Relaxed);
        taken
    });
    let manifest = &taken.with(0).json()["manifest"];
    assert!(manifest["seq"].as_u64().unwrap() >= 41, "{manifest}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    place.run(&["restore", "--check", text(&file)]).with(0);

    let other = Place::new();
    let restored = other.run(&["restore", text(&file)]).with(0).text();
    assert!(restored.contains("restored"), "{restored}");
    let again = other.run(&["restore", text(&file)]).with(4).err;
    assert!(again.contains("--force"), "{again}");
    let _other_up = other.up(&["--agents", "2"]);
    let busy = other.run(&["restore", "--force", text(&file)]).with(4).err;
    assert!(busy.contains("in use by process"), "{busy}");
    let hanging = before.pop().unwrap();
    for id in &before {
        other.run(&["wait", id]).with(0);
    }
    other.run(&["cancel", &hanging]).with(0);
    let list = other.run(&["list", "--output", "json", "--limit", "500"]).with(0).json();
    let status = other.run(&["status", "--output", "json"]).with(0).json();
    let first = place.run(&["status", "--output", "json"]).with(0).json();
    assert_ne!(status["log"]["id"], first["log"]["id"], "it is another log now");
    for id in before.iter().chain([&hanging]) {
        let ended = list["items"].as_array().unwrap().iter().filter(|task| task["id"] == **id).count();
        assert_eq!(ended, 1, "{id} is there once");
    }
    other.run(&["run", "--quiet", "--timeout", "20s", "print its agents work"]).with(0);
}

/// What is in a compressed file, where it is whole.
fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut content).ok()?;
    Some(content)
}

#[test]
fn a_backup_that_is_cut_off_changed_or_none_is_refused_by_name_and_changes_nothing() {
    let place = Place::new();
    place.run(&["run", "--quiet", "write a.txt b"]).with(0);
    let file = place.path("good.tar.gz");
    place.run(&["backup", text(&file)]).with(0);
    place.run(&["backup", text(&file)]).with(2);
    let good = fs::read(&file).unwrap();
    let other = Place::new();
    let bad = other.path("bad.tar.gz");
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&bad, bytes).unwrap();
        let said = other.run(&["restore", text(&bad)]).with(4).err;
        assert!(said.contains("bad.tar.gz"), "{what}: {said}");
        assert!(!other.world.home().state.join("events.db").exists(), "{what}");
        said
    };
    for part in [1, 3, 7] {
        let said = refused(&good[..good.len() * part / 8], "cut off");
        assert!(said.contains("cut off"), "{said}");
    }
    for part in 1..8 {
        let mut bytes = good.clone();
        bytes[good.len() * part / 8] ^= 1;
        // Some bits of a compressed file say the same either way.
        if unpacked(&bytes) != unpacked(&good) {
            refused(&bytes, "a bit was flipped");
        }
    }
    refused(b"not a backup", "no backup");
    other.run(&["restore", text(&file)]).with(0);
    other.run(&["run", "--quiet", "print the agent works"]).with(0);
}

#[test]
fn secrets_are_taken_along_only_when_asked_for_and_runs_are_left_out_when_asked() {
    let place = Place::new();
    place.run(&["run", "--quiet", "write a.txt b"]).with(0);
    let config = place.world.home().config.clone();
    let token = fs::read_to_string(config.join("token")).unwrap();
    let restore = |options: &[&str], name: &str| {
        let file = place.path(name);
        place.run(&[&["backup", text(&file)], options].concat()).with(0);
        let other = Place::new();
        other.run(&["restore", text(&file)]).with(0);
        other
    };
    let plain = restore(&["--no-runs"], "plain.tar.gz");
    assert!(!plain.world.home().config.join("token").exists());
    assert_eq!(fs::read_dir(plain.world.home().tasks()).unwrap().count(), 0);
    let full = restore(&["--with-secrets"], "full.tar.gz");
    let kept = full.world.home().config.join("token");
    assert_eq!(fs::read_to_string(&kept).unwrap(), token);
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let run = fs::read_dir(full.world.home().tasks()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_to_string(run.join("work/a.txt")).unwrap().trim(), "b");
}

#[test]
fn links_in_a_work_folder_stay_links_and_what_they_point_to_is_not_taken() {
    let place = Place::new();
    fs::write(place.path("secret.txt"), "do not take").unwrap();
    let target = place.path("secret.txt");
    place.run(&["run", "--quiet", "--", "ln", "-s", text(&target), "link"]).with(0);
    let file = place.path("links.tar.gz");
    place.run(&["backup", text(&file)]).with(0);
    let other = Place::new();
    other.run(&["restore", text(&file)]).with(0);
    let run = fs::read_dir(other.world.home().tasks()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_link(run.join("work/link")).unwrap(), target);
}
