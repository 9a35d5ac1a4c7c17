//! `up`, `agent`, and clients over their ends and beginnings.

use rustix::process::Signal;

use crate::place::Place;

#[test]
fn up_serves_until_it_is_told_to_end_and_drains() {
    let place = Place::new();
    let up = place.up(&[]);
    place.until("it says what there is", || up.out().contains("Ctrl-C"));
    let said = up.out();
    for part in ["dashboard", "/login?code=", "control socket", "workspace", "sandbox", "Ctrl-C"] {
        assert!(said.contains(part), "{said}");
    }
    place.until("its agent is there", || {
        let agents = place.run(&["agents", "--output", "json"]).with(0).json();
        agents.as_array().unwrap().len() == 1
    });
    let id = place.submit(&["print a; sleep 1s; print b"]);
    let running = || place.run(&["get", &id, "--output", "json"]).json()["state"] == "running";
    place.until("it runs", running);
    up.signal(Signal::INT);
    up.end().with(0);
    place.is_left_clean();
    let task = place.run(&["get", &id, "--output", "json"]).with(0).json();
    assert_eq!(task["state"], "succeeded", "a drain lets what runs come to its end: {task}");
}

#[test]
fn a_second_signal_ends_up_at_once() {
    let place = Place::new();
    let up = place.up(&[]);
    let id = place.submit(&["hang"]);
    place.until("it runs", || place.run(&["get", &id, "--output", "json"]).json()["state"] == "running");
    up.signal(Signal::INT);
    place.until("it drains", || {
        let log = place.world.home().logs.join("conductor.log");
        std::fs::read_to_string(log).unwrap_or_default().contains("draining")
    });
    up.signal(Signal::INT);
    up.end().with(130);
    place.until("nothing is left", || place.world.processes().is_empty());
}

#[test]
fn a_second_up_refuses_with_one_clear_line() {
    let place = Place::new();
    let up = place.up(&[]);
    let ended = place.run(&["up"]).with(1);
    assert!(ended.out.is_empty(), "{ended:?}");
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    assert!(ended.err.contains(&up.pid().as_raw_nonzero().to_string()), "it names the holder: {ended:?}");
    assert!(place.is_served());
}

#[test]
fn a_taken_port_is_told_in_one_line_and_nothing_is_left_running() {
    let mut place = Place::new();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    place.world.set("api.listen", &address);
    let ended = place.run(&["up"]).with(1);
    assert!(ended.out.is_empty() && ended.err.lines().count() == 1, "{ended:?}");
    assert!(ended.err.contains(&address), "{ended:?}");
    assert!(ended.err.contains(&std::process::id().to_string()), "it names the holder: {ended:?}");
    place.is_left_clean();
    drop(holder);
    let up = place.up(&[]);
    place.until("it says where it listens", || up.out().contains(&format!("http://{address}")));
}

#[test]
fn several_agents_have_names_of_their_own() {
    let place = Place::new();
    let _up = place.up(&["--agents", "3"]);
    place.until("all are there", || {
        let agents = place.run(&["agents", "--output", "json"]).with(0).json();
        agents.as_array().unwrap().iter().filter(|agent| agent["state"] == "connected").count() == 3
    });
}

#[test]
fn up_ends_with_the_reason_when_no_agent_of_its_own_can_work() {
    let place = Place::new();
    let state = place.world.home().state.clone();
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("agents"), "in the way").unwrap();
    let ended = place.run(&["up", "--agents", "2"]).with(1);
    assert!(ended.err.contains("no agent of this server can work"), "{ended:?}");
    assert!(ended.err.contains("conductor-agent: ") && ended.err.contains("agents"), "{ended:?}");
    place.is_left_clean();
    // Agents of other hosts may come.
    let _up = place.up(&["--agents", "0"]);
}

#[test]
fn an_agent_that_dies_is_started_again_and_its_task_runs_on() {
    let place = Place::unconfined();
    let _up = place.up(&[]);
    let id = place.submit(&[
        "--",
        "sh",
        "-c",
        "echo begun; test -e ../second || { touch ../second; sleep 1000; }",
    ]);
    place.until("it runs", || place.run(&["logs", &id]).text().contains("begun"));
    let monitor =
        place.world.processes().into_iter().find(|one| one.command.contains("__agent-monitor")).unwrap();
    monitor.kill();
    place.run(&["wait", &id]).with(0);
    let task = place.run(&["get", &id, "--output", "json"]).with(0).json();
    let attempts = task["attempts"].as_array().unwrap();
    assert_eq!(attempts[0]["state"], "crashed", "{task}");
    assert_eq!(attempts.last().unwrap()["state"], "succeeded", "{task}");
}

#[test]
fn a_follower_loses_no_byte_when_the_server_is_killed() {
    let place = Place::new();
    let up = place.up(&["--agents", "0"]);
    let _agent = place.start(&["agent", "--name", "one"]);
    let script = "for i in $(seq 1 400); do echo line $i; sleep 0.01; done";
    let run = place.start(&["run", "--", "sh", "-c", script]);
    place.until("lines come", || run.out().contains("line 60\n"));
    up.signal(Signal::KILL);
    drop(up.end());
    let _again = place.up(&["--agents", "0"]);
    let ended = run.end().with(0);
    let expected: String = (1..=400).map(|number| format!("line {number}\n")).collect();
    assert!(ended.text() == expected, "the output was torn: {ended:?}");
    assert!(ended.err.contains("server is away") && ended.err.contains("server is back"), "{ended:?}");
    let list = place.run(&["list", "--output", "json"]).with(0).json();
    assert_eq!(list["items"][0]["attempt"], 1, "the task ran on while the server was away");
}

#[test]
fn events_are_followed_over_a_restart() {
    let place = Place::new();
    let up = place.up(&[]);
    let events = place.start(&["events", "-f", "--since", "0"]);
    place.submit(&["print a"]);
    place.until("events come", || events.out().contains("task_finished"));
    up.signal(Signal::TERM);
    up.end().with(0);
    let _up = place.up(&[]);
    place.submit(&["print b"]);
    place.until("events come again", || events.out().matches("task_finished").count() == 2);
    let said = events.out();
    let seqs: Vec<u64> =
        said.lines().map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "one came twice: {said}");
}

#[test]
fn a_paused_queue_starts_nothing() {
    let place = Place::new();
    let _up = place.up(&[]);
    place.run(&["pause"]).with(0);
    let id = place.submit(&["print x"]);
    assert!(place.run(&["status"]).with(0).text().contains("paused"));
    let ended = place.run(&["wait", "--timeout", "500ms", &id]).with(124);
    assert!(ended.err.contains("not all tasks have ended"), "{ended:?}");
    place.run(&["resume"]).with(0);
    place.run(&["wait", &id]).with(0);
}

#[test]
fn an_agent_drains_and_comes_back() {
    let place = Place::new();
    let _up = place.up(&[]);
    let first = |field: &str| place.run(&["agents", "--output", "json"]).with(0).json()[0][field].clone();
    place.until("it is there", || first("state") == "connected");
    let name = first("name").as_str().unwrap().to_owned();
    place.run(&["agents", "drain", &name]).with(0);
    place.until("it drains", || first("state") == "draining");
    place.run(&["agents", "resume", &name]).with(0);
    place.until("it is back", || first("state") == "connected");
    place.run(&["agents", "drain", "nobody"]).with(4);
}

#[test]
fn an_agent_refuses_what_a_later_release_brings() {
    let place = Place::new();
    let ended = place.run(&["agent", "--connect", "https://example.com"]);
    assert_ne!(ended.code, Some(0));
    assert!(ended.err.contains("not available"), "{ended:?}");
}

#[test]
fn a_server_that_does_not_answer_is_not_healthy() {
    let place = Place::new();
    let home = place.world.home();
    std::fs::create_dir_all(&home.run).unwrap();
    let _silent = std::os::unix::net::UnixListener::bind(home.control_socket()).unwrap();
    std::fs::write(home.control_key(), "0".repeat(64)).unwrap();
    let ended = place.run(&["healthcheck"]).with(3);
    assert!(ended.err.contains("does not answer"), "{ended:?}");
}

#[test]
fn a_server_whose_storage_is_full_is_healthy_and_says_what_it_does_not_do() {
    let mut place = Place::new();
    // More than any volume has.
    place.world.set("retention.free_floor_bytes", 1u64 << 60);
    let _up = place.up(&[]);
    let ended = place.run(&["healthcheck"]).with(0);
    assert!(ended.text().contains("the storage is full"), "{ended:?}");
    let ended = place.run(&["healthcheck", "--output", "json"]).with(0).json();
    assert_eq!((&ended["ok"], &ended["storage_full"]), (&true.into(), &true.into()));
    let ended = place.run(&["submit", "--runner", "mock", "x"]);
    assert!(ended.code != Some(0) && ended.err.contains("has no room"), "{ended:?}");
}

#[test]
fn an_orchestrator_that_is_on_its_way_is_waited_for() {
    let place = Place::new();
    let waiting = place.start(&["healthcheck", "--wait", "60s"]);
    let _up = place.up(&[]);
    waiting.end().with(0);
}

#[test]
fn a_home_whose_sockets_cannot_be_is_refused_at_once() {
    let place = Place::new();
    let mut command = place.command(&["run", "x"]);
    command.env("CONDUCTOR_HOME", place.path(&"long".repeat(30)));
    let ended = place.begin(command).end().with(1);
    assert!(ended.err.contains("107") && ended.err.contains("CONDUCTOR_HOME"), "{ended:?}");
}

#[test]
fn up_serves_on_when_nobody_reads_what_it_says() {
    let place = Place::new();
    let mut command = place.command(&["up"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer).stderr(std::process::Stdio::null());
    drop(reader);
    let mut up = command.spawn().unwrap();
    place.until("the server serves", || place.is_served());
    up.kill().unwrap();
    up.wait().unwrap();
}
