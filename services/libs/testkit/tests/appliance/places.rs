//! Volumes in folders of the host, and another user than the image's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use conductor_testkit::appliance::{Options, Stack, repository, until};
use serde_json::json;

use crate::SOON;

const USER: u32 = 12_345;
const EXAMPLE: &str = "docker-compose.override.yml.example";

/// A stack of another user, with its volumes in folders of the host, as the example of an override has it without its
/// image; `theirs` says which folders that user owns.
fn on_the_host(folder: &Path, theirs: impl Fn(&str) -> bool) -> Option<Stack> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for volume in ["workspace", "logs", "config", "state"] {
        let place = folder.join(volume);
        fs::create_dir(&place).unwrap();
        if theirs(volume) && chown(&place, Some(USER), Some(USER)).is_err() {
            println!("skipped: only root gives folders to another user");
            return None;
        }
    }
    let options = Options::default()
        .with_file(EXAMPLE)
        .compose_variable("CONDUCTOR_HOST_FOLDER", folder.to_str().unwrap())
        .compose_variable("CONDUCTOR_USER", &format!("{USER}:{USER}"))
        .line("restart: \"no\"");
    Stack::new(&options)
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn any_user_may_run_it_with_its_volumes_in_folders_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = on_the_host(folder.path(), |_| true) else { return };
    stack.up();
    assert_eq!(stack.say("id -u"), USER.to_string());
    let id = stack.api().submit(&json!({"command": ["sh", "-c", "id -u >who.txt"]}));
    stack.api().wait(&id, "succeeded", SOON);
    let path = folder.path().join(format!("workspace/tasks/{id}/work/who.txt"));
    assert_eq!(fs::read_to_string(path).unwrap().trim(), USER.to_string());
    let served = stack.files(Some(stack.token())).get(&format!("/tasks/{id}/work/who.txt"));
    assert_eq!(served.with(200).body.trim(), USER.to_string());
    stack.must(&["down", "--volumes"]);
    assert!(folder.path().join("state/events.db").exists(), "folders of the host outlive everything");
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn a_folder_that_cannot_be_written_stops_the_start_with_a_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = on_the_host(folder.path(), |volume| volume != "state") else { return };
    stack.must(&["up", "--detach", "--no-build", "conductor"]);
    until(SOON, "the container ended", || (stack.inspect("{{.State.Status}}") == "exited").then_some(()));
    assert_eq!(stack.inspect("{{.State.ExitCode}}"), "78");
    let log = stack.log();
    assert!(log.starts_with("conductor: /var/lib/conductor cannot be written by the user 12345"), "{log}");
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn the_image_of_the_example_has_its_toolchain_and_installs_more() {
    let example = fs::read_to_string(repository().join(EXAMPLE)).unwrap();
    let (_, inline) = example.split_once("dockerfile_inline: |\n").expect("the example builds an image");
    let lines = inline.lines().map(str::trim_start).take_while(|line| !line.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let dockerfile = lines.collect::<Vec<_>>().join("\n").replace("conductor:local", "conductor:test");
    fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
    let place = folder.path().to_str().unwrap();
    let Some(_stack) = Stack::new(&Options::default()) else { return };
    let built = conductor_testkit::appliance::docker(&[
        "build",
        "--quiet",
        "--tag",
        "conductor-toolchain:test",
        place,
    ]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let run = [
        "run",
        "--rm",
        "--entrypoint",
        "sh",
        "conductor-toolchain:test",
        "-c",
        "id -u && cc --version && make --version",
    ];
    let said = conductor_testkit::appliance::docker(&run);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(said.stdout.starts_with(b"10001\n"), "it runs as the user of the image");
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn a_number_of_agents_beyond_four_is_refused_and_four_are_started() {
    let bad = Options::default().variable("CONDUCTOR_AGENTS", "5").line("restart: \"no\"");
    if let Some(stack) = Stack::new(&bad) {
        stack.must(&["up", "--detach", "--no-build", "conductor"]);
        until(SOON, "the container ended", || (stack.inspect("{{.State.Status}}") == "exited").then_some(()));
        let log = stack.log();
        assert!(log.starts_with("conductor: CONDUCTOR_AGENTS has to be 1, 2, 3 or 4"), "{log}");
    }
    let Some(stack) = Stack::new(&Options::default().variable("CONDUCTOR_AGENTS", "4")) else { return };
    stack.up();
    let agents = stack.api().get("/v1/agents").with(200).json();
    assert_eq!(agents["items"].as_array().unwrap().len(), 4, "{agents}");
}
