//! A volume that is full: submits are refused, what runs is completed, what waits does not start, a start while full serves,
//! and room that comes back is taken.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use conductor_client::{Control, Error};
use conductor_core::TaskId;
use conductor_protocol::Code;
use conductor_protocol::control::Submit;
use conductor_protocol::task::{PendingCode, State};
use conductor_testkit::world::{World, body, eventually, submit_one};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);
/// The orchestrator sets 32 MiB of it aside.
const VOLUME_MIB: u32 = 64;
/// What must be free on the workspace.
const FLOOR_BYTES: u64 = 8 << 20;

/// A small volume, mounted for a test.
struct Volume(PathBuf);

impl Volume {
    /// Mounts one; none where that is not allowed.
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let size = format!("size={VOLUME_MIB}m,mode=0700");
        let done =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output().ok()?;
        done.status.success().then(|| Self(path.to_owned()))
    }

    /// Writes until there is no room at all.
    fn fill(&self, name: &str) {
        let mut file = File::create(self.0.join(name)).unwrap();
        for size in [1 << 20, 64 << 10, 4 << 10, 512, 1] {
            while file.write_all(&vec![0x5a; size]).is_ok() {}
        }
    }

    /// Writes until only this much is left.
    fn fill_to(&self, name: &str, left: u64) {
        let free = conductor_runtime::volume::space(&self.0).unwrap().free_bytes;
        fs::write(self.0.join(name), vec![0x5a; usize::try_from(free - left).unwrap()]).unwrap();
    }

    fn empty(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: programs that still hold files there are ended with their world.
        let done = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(
            done.is_ok_and(|status| status.success()) || std::thread::panicking(),
            "the volume stays mounted"
        );
    }
}

async fn submit_code(control: &Control, mark: &str) -> Option<Code> {
    let submit = Submit { tasks: vec![body(&json!({"prompt": "one more"}), mark)], key: None };
    match control.submit(submit).await {
        Ok(_) => None,
        Err(Error::Refused(problem)) => Some(problem.code),
        Err(other) => panic!("{other}"),
    }
}

/// Waits until a queued task says that it waits for room on this volume.
async fn waits_for_room(control: &Control, id: TaskId, volume: &str) {
    let said = format!("the {volume} volume has less free space");
    eventually(LIMIT, &format!("{id} waits for room: {said}"), async || {
        let task = control.get(id).await.ok()?;
        assert_eq!((task.state, task.attempt), (State::Queued, 0), "{task:?}");
        task.pending_reason.filter(|why| why.contains(&said))
    })
    .await;
}

#[tokio::test]
async fn a_full_state_volume_refuses_submits_completes_what_runs_starts_again_and_recovers() {
    let world = World::new().with("agent.slots", 2).with("retention.free_floor_bytes", 1 << 20);
    world.home().create().unwrap();
    let Some(volume) = Volume::mount(&world.home().state) else {
        println!("skipped: a_full_state_volume needs the right to mount a tmpfs (root)");
        return;
    };
    let mut orchestrator = world.orchestrator().await;
    let _agent = world.agent("one");
    let control = world.connect().await;
    let go = world.folder().join("go");
    let script = format!("until test -e {}; do sleep 0.02; done; echo went on", go.display());
    let (mut ids, mut waiting) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        ids.push(submit_one(&control, &json!({"command": ["sh", "-c", script]}), world.mark()).await);
    }
    for _ in 0..20 {
        waiting.push(submit_one(&control, &json!({"prompt": "print 20KB"}), world.mark()).await);
    }
    let later = json!({"prompt": "later", "run_at": "2100-01-01T00:00:00Z"});
    let later =
        [submit_one(&control, &later, world.mark()).await, submit_one(&control, &later, world.mark()).await];
    eventually(LIMIT, "both commands run", async || {
        let running = control.get(ids[0]).await.ok()?.state == State::Running;
        (running && control.get(ids[1]).await.ok()?.state == State::Running).then_some(())
    })
    .await;

    volume.fill("filler");
    eventually(LIMIT, "submits are refused", async || {
        (submit_code(&control, world.mark()).await == Some(Code::StorageFull)).then_some(())
    })
    .await;
    assert!(control.status().await.unwrap().storage_full);
    waits_for_room(&control, waiting[0], "state").await;
    fs::write(&go, "").unwrap();
    let mut link = world.link();
    for id in &ids {
        let task = link.wait(*id).await.unwrap();
        assert_eq!((task.state, task.attempt), (State::Succeeded, 1), "{task:?}");
    }
    control.cancel(later[0], None).await.unwrap();
    assert_eq!(link.wait(later[0]).await.unwrap().state, State::Cancelled);
    for id in &waiting {
        waits_for_room(&control, *id, "state").await;
    }

    orchestrator.kill();
    volume.fill("second filler");
    orchestrator = world.orchestrator().await;
    let control = world.connect().await;
    assert!(control.status().await.unwrap().storage_full);
    assert_eq!(submit_code(&control, world.mark()).await, Some(Code::StorageFull));
    for id in &ids {
        assert_eq!(control.get(*id).await.unwrap().state, State::Succeeded, "kept over the start");
    }
    assert_eq!(control.get(later[1]).await.unwrap().state, State::Scheduled);
    control.cancel(later[1], None).await.unwrap();
    waits_for_room(&control, waiting[0], "state").await;

    volume.empty("filler");
    volume.empty("second filler");
    eventually(LIMIT, "submits are taken again", async || {
        submit_code(&control, world.mark()).await.is_none().then_some(())
    })
    .await;
    let after = submit_one(&control, &json!({"prompt": "Say hello"}), world.mark()).await;
    for id in waiting.into_iter().chain([after]) {
        assert_eq!(link.wait(id).await.unwrap().state, State::Succeeded);
    }
    assert!(orchestrator.ended().is_none());
}

#[tokio::test]
async fn below_the_floor_of_the_workspace_volume_nothing_starts_what_runs_ends_and_room_is_taken_again() {
    let world = World::new().with("agent.slots", 1).with("retention.free_floor_bytes", FLOOR_BYTES);
    world.home().create().unwrap();
    let Some(volume) = Volume::mount(&world.home().workspace) else {
        println!("skipped: below_the_floor needs the right to mount a tmpfs (root)");
        return;
    };
    let _orchestrator = world.orchestrator().await;
    let _agent = world.agent("one");
    let control = world.connect().await;
    let go = world.folder().join("go");
    let script = format!("until test -e {}; do sleep 0.02; done; echo went on > left.txt", go.display());
    let running = submit_one(&control, &json!({"command": ["sh", "-c", script]}), world.mark()).await;
    let waiting = submit_one(&control, &json!({"prompt": "Say hello"}), world.mark()).await;
    eventually(LIMIT, "the command runs", async || {
        (control.get(running).await.ok()?.state == State::Running).then_some(())
    })
    .await;

    // There is room to end what runs, and less than must be left for something new.
    volume.fill_to("filler", FLOOR_BYTES / 2);
    waits_for_room(&control, waiting, "workspace").await;
    assert_eq!(submit_code(&control, world.mark()).await, Some(Code::StorageFull));
    fs::write(&go, "").unwrap();
    let mut link = world.link();
    let task = link.wait(running).await.unwrap();
    assert_eq!((task.state, task.attempt), (State::Succeeded, 1), "{task:?}");
    // The slot is free now.
    waits_for_room(&control, waiting, "workspace").await;

    volume.empty("filler");
    assert_eq!(link.wait(waiting).await.unwrap().state, State::Succeeded);
    assert_eq!(submit_code(&control, world.mark()).await, None);
}

#[tokio::test]
async fn an_agent_whose_own_disk_is_below_the_floor_takes_nothing_new_and_the_task_and_the_agent_say_so() {
    let world = World::new().with("agent.slots", 1).with("retention.free_floor_bytes", FLOOR_BYTES);
    world.home().create().unwrap();
    // Where agents keep the results that wait for the orchestrator, and nobody else keeps anything.
    let Some(volume) = Volume::mount(&world.home().state.join("agents")) else {
        println!("skipped: an_agent_whose_own_disk needs the right to mount a tmpfs (root)");
        return;
    };
    let _orchestrator = world.orchestrator().await;
    let _agent = world.agent("one");
    let control = world.connect().await;
    let before = submit_one(&control, &json!({"prompt": "Say hello"}), world.mark()).await;
    let mut link = world.link();
    assert_eq!(link.wait(before).await.unwrap().state, State::Succeeded);

    volume.fill_to("filler", FLOOR_BYTES / 2);
    let full = async || control.agents().await.ok()?.first().map(|agent| (agent.disk_full, agent.free));
    eventually(LIMIT, "the agent says so", async || (full().await? == (true, 0)).then_some(())).await;
    let waiting = submit_one(&control, &json!({"prompt": "Say hello"}), world.mark()).await;
    eventually(LIMIT, "the task says what it waits for", async || {
        let task = control.get(waiting).await.ok()?;
        assert_eq!((task.state, task.attempt), (State::Queued, 0), "{task:?}");
        (task.pending?.code == PendingCode::AgentDiskFull).then_some(())
    })
    .await;

    volume.empty("filler");
    assert_eq!(link.wait(waiting).await.unwrap().state, State::Succeeded);
    assert!(!full().await.unwrap().0);
}
