//! State that is taken, damaged, or older than it was: refused in one clear line, never ignored.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use conductor_testkit::world::{World, submit_one};
use serde_json::json;

const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// A world whose orchestrator has kept a few tasks and was killed.
async fn world_with_state(tasks: usize) -> World {
    let world = World::new();
    let mut orchestrator = world.orchestrator().await;
    let control = world.connect().await;
    for number in 0..tasks {
        submit_one(&control, &json!({"prompt": format!("task {number}: {}", "x".repeat(300))}), world.mark())
            .await;
    }
    orchestrator.kill();
    world
}

/// The files of the state that hold what was acknowledged.
fn state_files(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(&world.home().state).expect("the state folder is there");
    let files = entries.map(|entry| entry.expect("the state folder can be read").path());
    files.filter(|path| path.is_file()).collect()
}

fn log_file(world: &World) -> PathBuf {
    let name = |path: &PathBuf| path.file_name().is_some_and(|name| name == "events.db");
    let files = state_files(world);
    files.iter().find(|path| name(path)).unwrap_or_else(|| panic!("no event log among {files:?}")).clone()
}

/// What an orchestrator says that must not start: in one line, for people, and with a code that is not 0.
async fn refusal(world: &World) -> String {
    let (code, said) = world.refused_orchestrator().await;
    assert_eq!(code, 1, "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("Error")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    lines[0].to_owned()
}

#[tokio::test]
async fn a_second_orchestrator_on_the_same_data_is_refused_in_one_line_that_names_the_first() {
    let world = World::new();
    let mut first = world.orchestrator().await;
    let line = refusal(&world).await;
    assert!(line.contains(&format!("process {}", first.pid())), "{line}");
    assert!(line.contains(&world.home().state.display().to_string()), "{line}");
    assert!(first.ended().is_none());
    submit_one(&world.connect().await, &json!({"prompt": "Say hello"}), world.mark()).await;
    first.kill();
    let mut next = world.orchestrator().await;
    assert!(next.ended().is_none(), "a killed holder does not hold");
}

#[tokio::test]
async fn a_truncated_event_log_is_refused_by_its_name() {
    let world = world_with_state(20).await;
    let path = log_file(&world);
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    let bytes = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(bytes / 2).unwrap();
    let line = refusal(&world).await;
    assert!(line.contains("events.db"), "{line}");
}

#[tokio::test]
async fn an_event_log_without_its_tail_is_refused_by_its_name() {
    let world = world_with_state(20).await;
    let path = log_file(&world);
    let wal = PathBuf::from(format!("{}-wal", path.display()));
    let bytes = fs::metadata(&wal).unwrap().len();
    assert!(bytes > 0, "what was acknowledged last is in the write-ahead log after a kill");
    fs::File::options().write(true).open(&wal).unwrap().set_len(bytes / 2).unwrap();
    let line = refusal(&world).await;
    assert!(line.contains("events.db"), "{line}");
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_event_log_is_refused_or_harmless() {
    let mut refused = 0;
    for place in 1..8 {
        let world = world_with_state(20).await;
        let path = log_file(&world);
        // A clean start and stop moves everything from the write-ahead log into the file itself.
        let mut orchestrator = world.orchestrator().await;
        orchestrator.terminate(LIMIT).await;
        let file = fs::File::options().read(true).write(true).open(&path).unwrap();
        let offset = file.metadata().unwrap().len() * place / 8;
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
        drop(file);
        let mut orchestrator = world.spawn("conductor-orchestrator", &[]);
        let target = conductor_client::Target::of_home(world.home());
        let answer = conductor_testkit::world::eventually(
            conductor_testkit::world::READY,
            "the orchestrator answers or refuses",
            async || match orchestrator.ended() {
                Some(_) => Some(None),
                None => target.connect(conductor_client::Options::new("test")).await.ok().map(Some),
            },
        );
        match answer.await {
            None => {
                refused += 1;
                assert!(orchestrator.said().contains("events.db"), "{}", orchestrator.said());
            }
            // Nothing that counts was hit: everything that was acknowledged is there.
            Some(control) => {
                let queue = control.queue().await.unwrap();
                let live: u64 = queue.by_state.iter().map(|(_, count)| count).sum();
                assert_eq!(live, 20, "a bit at {offset} took tasks away");
            }
        }
    }
    assert!(refused > 0, "no flipped bit was noticed");
}

#[tokio::test]
async fn a_missing_event_log_is_not_started_empty() {
    let world = world_with_state(3).await;
    let path = log_file(&world);
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    let line = refusal(&world).await;
    assert!(line.contains("events.db") && line.contains("missing"), "{line}");
}

#[tokio::test]
async fn a_truncated_or_overwritten_history_is_refused_by_its_name() {
    for damage in [0, 1] {
        let world = world_with_state(20).await;
        let mut orchestrator = world.orchestrator().await;
        orchestrator.terminate(LIMIT).await;
        let path = world.home().state.join("history.db");
        let bytes = fs::metadata(&path).unwrap().len();
        let file = fs::File::options().write(true).open(&path).unwrap();
        match damage {
            0 => file.set_len(bytes / 2).unwrap(),
            _ => file.write_all_at(&[0x5a; 4096], bytes / 2).unwrap(),
        }
        let line = refusal(&world).await;
        assert!(line.contains("history.db"), "{damage}: {line}");
    }
}

#[tokio::test]
async fn a_log_that_is_older_than_the_history_is_refused_with_the_tasks_it_lacks() {
    let world = world_with_state(3).await;
    let copy = world.folder().join("older");
    fs::create_dir(&copy).unwrap();
    let is_log = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("events.db");
    for file in state_files(&world).iter().filter(|path| is_log(path)) {
        fs::copy(file, copy.join(file.file_name().unwrap())).unwrap();
    }
    let mut orchestrator = world.orchestrator().await;
    let lost = submit_one(&world.connect().await, &json!({"prompt": "lost"}), world.mark()).await;
    // A clean stop lets the history write down how far it is.
    orchestrator.terminate(LIMIT).await;
    for file in state_files(&world).iter().filter(|path| is_log(path)) {
        fs::remove_file(file).unwrap();
    }
    for file in fs::read_dir(&copy).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), world.home().state.join(file.file_name())).unwrap();
    }
    let line = refusal(&world).await;
    assert!(line.contains(&lost.to_string()), "{line}");
}

#[tokio::test]
async fn a_damaged_mark_beside_the_event_log_is_refused_by_its_name() {
    let world = world_with_state(3).await;
    let known = |path: &PathBuf| path.ends_with("events.db-mark");
    let files = state_files(&world);
    let mark = files.iter().find(|path| known(path)).unwrap_or_else(|| panic!("no mark among {files:?}"));
    let bytes = fs::read(mark).unwrap();
    fs::write(mark, &bytes[..bytes.len() / 2]).unwrap();
    let line = refusal(&world).await;
    assert!(line.contains(mark.file_name().unwrap().to_str().unwrap()), "{line}");
}

#[tokio::test]
async fn a_configuration_with_an_unknown_key_stops_the_start_with_its_path() {
    let world = World::new();
    fs::create_dir_all(&world.home().config).unwrap();
    fs::write(world.home().config_file(), "orchestrator:\n  lease_second: 5\n").unwrap();
    let (code, said) = world.refused_orchestrator().await;
    assert_ne!(code, 0);
    assert!(said.contains("orchestrator.lease_second") && said.contains("conductor.yaml"), "{said}");
}
