//! Backup, upgrade, rollback and restore by the scripts, while work goes on.

use std::process::Output;

use conductor_testkit::appliance::{IMAGE, Options, Stack, docker, repository, until};

use crate::load::{Load, task};
use crate::{LATER, SOON};

/// Names of this test's own: an upgrade gives the name that runs to another image.
const RUNS: &str = "conductor-upkeep-test:local";
const NEXT: &str = "conductor-upkeep-test:next";

fn done(output: &Output) -> String {
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

fn id_of(image: &str) -> String {
    done(&docker(&["image", "inspect", "--format", "{{.Id}}", image])).trim().to_owned()
}

/// The image under test with another label, which makes it another image.
fn make_next() {
    let dockerfile = format!("FROM {IMAGE}\nLABEL next=yes\n");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
    done(&docker(&["build", "--quiet", "--tag", NEXT, folder.path().to_str().unwrap()]));
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn a_backup_an_upgrade_a_rollback_and_a_restore_lose_nothing_under_load() {
    let options = Options::default().compose_variable("CONDUCTOR_IMAGE", RUNS);
    let Some(stack) = Stack::new(&options) else { return };
    assert!(repository().join("scripts/upgrade").exists());
    done(&docker(&["tag", IMAGE, RUNS]));
    make_next();
    stack.up();
    let before = stack.api().submit_many(150, task);
    let load = Load::start(stack.api());
    until(SOON, "some run", || stack.api().states()?.contains_key("running").then_some(()));
    let file = stack.folder().join("saved.tar.gz");
    let saved = file.to_str().unwrap();
    done(&stack.script("backup", &[saved]));

    done(&stack.script("upgrade", &["--image", NEXT, "--wait", "30"]));
    assert_eq!(stack.inspect("{{.Image}}"), id_of(NEXT));
    let after = stack.api().submit_many(50, task);
    done(&stack.script("rollback", &[]));
    assert_eq!(stack.inspect("{{.Image}}"), id_of(IMAGE));
    let meanwhile = load.end();
    println!("{} tasks were acknowledged during backup, upgrade and rollback", meanwhile.len());
    let api = stack.api();
    let acknowledged = [&before[..], &meanwhile, &after].concat();
    api.all_succeed_of(&acknowledged, LATER);
    let ends = api.ends(acknowledged.len());
    for id in &acknowledged {
        assert_eq!(ends.get(id), Some(&1), "{id} did not end exactly once");
    }

    // Back to what was saved: nothing of before is missing, and what came later is gone.
    let refused = stack.script("restore", &[saved]);
    assert!(!refused.status.success(), "what is there is not overwritten unasked");
    done(&stack.script("restore", &[saved, "--force"]));
    let api = stack.api();
    api.all_succeed_of(&before, LATER);
    assert_eq!(api.get(&format!("/v1/tasks/{}", after[0])).status, 404);
    api.all_succeed_of(&api.submit_many(5, task), LATER);
    for image in [NEXT, RUNS, "conductor-upkeep-test:before-upgrade", "conductor-files:before-upgrade"] {
        docker(&["image", "rm", image]);
    }
}
