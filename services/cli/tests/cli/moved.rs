//! The event log in Redis: moving there and back, and backups of it.

use conductor_store::conformance::redis_server::RedisServer;

use crate::place::Place;

/// A home whose Redis is this one; its event log is still in a file.
fn place_beside(server: &RedisServer) -> Place {
    let mut place = Place::new();
    place.world.set("redis.url", server.url());
    place
}

/// The ids of all tasks, sorted.
fn tasks(place: &Place) -> Vec<String> {
    let list = place.run(&["list", "--output", "json", "--limit", "500"]).with(0).json();
    let items = list["items"].as_array().unwrap();
    let mut ids: Vec<String> = items.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn the_event_log_moves_to_redis_and_back_with_what_is_queued_and_what_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = RedisServer::start(folder.path(), &[]) else { return };
    let mut place = place_beside(&server);
    place.run(&["migrate", "redis"]).with(1);
    place.run(&["run", "--quiet", "print ended"]).with(0);
    place.world.set("storage.event_log", "redis");
    let early = place.run(&["list"]).with(1).err;
    assert!(early.contains("conductor migrate redis moves it"), "{early}");
    place.world.set("storage.event_log", "sqlite");
    let up = place.up(&[]);
    place.run(&["pause"]).with(0);
    let queued: Vec<String> = (0..5).map(|_| place.submit(&["print queued"])).collect();
    up.signal(rustix::process::Signal::TERM);
    up.end().with(0);
    let before = tasks(&place);
    let moved = place.run(&["migrate", "redis", "--output", "json"]).with(0).json();
    assert_eq!((moved["live_tasks"].as_u64(), moved["payloads"].as_u64()), (Some(5), Some(6)), "{moved}");
    let stale = place.run(&["list"]).with(1).err;
    assert!(
        stale.contains("events.redis-mark is there: the event log is in Redis"),
        "the old file is out of use: {stale}"
    );

    place.world.set("storage.event_log", "redis");
    assert_eq!(tasks(&place), before);
    let up = place.up(&[]);
    let busy = place.run(&["migrate", "sqlite"]).with(4).err;
    assert!(busy.contains("in use by process"), "{busy}");
    place.run(&["resume"]).with(0);
    for id in &queued {
        place.run(&["wait", id]).with(0);
    }
    let again = place.run(&["retry", &before[0]]).with(0).text();
    place.run(&["wait", again.trim()]).with(0);
    up.signal(rustix::process::Signal::TERM);
    up.end().with(0);
    let before = tasks(&place);
    place.run(&["migrate", "sqlite"]).with(0);
    let stale = place.run(&["list"]).with(1).err;
    assert!(stale.contains("moved away"), "{stale}");
    place.world.set("storage.event_log", "sqlite");
    assert_eq!(tasks(&place), before);
    place.run(&["run", "--quiet", "print more"]).with(0);

    // What was written before the move is not kept: what is shown begins where the log does.
    let events = place.run(&["events", "--output", "json"]).with(0).text();
    let first: serde_json::Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    assert!(first["seq"].as_u64().unwrap() > 1 && events.contains("task_finished"), "{events}");
    let gone = place.run(&["events", "--since", "0"]).with(4).err;
    assert!(gone.contains("not kept any more"), "{gone}");
}

#[test]
fn a_backup_of_a_log_in_redis_is_taken_while_it_is_written_and_restored_into_another_redis() {
    let (folder, other_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(server) = RedisServer::start(folder.path(), &[]) else { return };
    let Some(other_server) = RedisServer::start(other_folder.path(), &[]) else { return };
    let mut place = place_beside(&server);
    place.world.set("storage.event_log", "redis");
    let _up = place.up(&[]);
    let acknowledged: Vec<String> = (0..10).map(|_| place.submit(&["print a; write a.txt b"])).collect();
    let file = place.path("backup.tar.gz");
    place.run(&["backup", file.to_str().unwrap()]).with(0);
    // After the backup: not in it.
    let later = place.submit(&["print later"]);

    let mut other = place_beside(&other_server);
    other.world.set("storage.event_log", "redis");
    other.run(&["restore", file.to_str().unwrap()]).with(0);
    let _other_up = other.up(&[]);
    for id in &acknowledged {
        other.run(&["wait", id]).with(0);
    }
    other.run(&["get", &later]).with(4);
    drop(_other_up);
    other.until("it is gone", || other.world.processes().is_empty());
    other.run(&["restore", file.to_str().unwrap()]).with(4);
    other.run(&["restore", "--force", file.to_str().unwrap()]).with(0);
    assert!(tasks(&other).iter().all(|id| acknowledged.contains(id)));
    // The same backup serves a home whose log is in a file.
    let plain = Place::new();
    plain.run(&["restore", file.to_str().unwrap()]).with(0);
    assert_eq!(tasks(&plain).len(), acknowledged.len());
}
