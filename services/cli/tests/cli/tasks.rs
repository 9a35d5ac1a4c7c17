//! Commands about tasks, against a server that runs.

use crate::place::Place;

#[test]
fn a_task_goes_through_all_that_can_be_done_to_it() {
    let place = Place::new();
    let _up = place.up(&[]);
    let get = |id: &str| place.run(&["get", id, "--output", "json"]).with(0).json();

    let failed = place.submit(&["--name", "first", "--label", "team=x", "fail oh no"]);
    place.run(&["wait", &failed]).with(1);
    let text = place.run(&["get", &failed]).with(0).text();
    for part in ["first", "runner_error: oh no", "team=x", "simulated", "ATTEMPT"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let again = place.run(&["retry", &failed]).with(0).text().trim().to_owned();
    place.run(&["wait", &again]).with(1);
    assert_eq!(get(&again)["retry_of"], failed);

    let next = place.run(&["message", &failed, "print better now"]).with(0).text().trim().to_owned();
    place.run(&["wait", &next]).with(0);
    assert_eq!(get(&next)["continues"], failed);

    let hangs = place.submit(&["hang"]);
    place.until("it runs", || get(&hangs)["state"] == "running");
    place.run(&["rm", &hangs]).with(4);
    place.run(&["cancel", &hangs, "--reason", "enough"]).with(0);
    place.run(&["wait", &hangs]).with(130);

    place.run(&["rm", &failed]).with(0);
    place.run(&["get", &failed]).with(4);
    assert!(!place.folder(&failed).exists());
}

#[test]
fn lists_are_filtered_and_paged() {
    let place = Place::new();
    let _up = place.up(&[]);
    for number in 0..5 {
        place.submit(&[
            "--group",
            if number < 2 { "a" } else { "b" },
            "--name",
            &format!("n{number}"),
            "print x",
        ]);
    }
    let ids = |args: &[&str]| {
        let page = place.run(&[&["list", "--output", "json"], args].concat()).with(0).json();
        let items = page["items"].as_array().unwrap().clone();
        items.iter().map(|task| task["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--group", "a"]), ["n1", "n0"]);
    assert_eq!(ids(&["-n", "2"]), ["n4", "n3"]);
    assert_eq!(ids(&["--sort", "oldest", "-n", "1"]), ["n0"]);
    assert!(ids(&["--after", "2999-01-01T00:00:00Z"]).is_empty());
    let text = place.run(&["list", "-n", "1"]).with(0);
    assert!(text.text().starts_with("ID") && text.err.contains("--cursor"), "{text:?}");
}

#[test]
fn tasks_of_a_file_are_taken_together_or_not_at_all() {
    let place = Place::new();
    let _up = place.up(&[]);
    std::fs::write(
        place.path("tasks.yaml"),
        "- prompt: print b\n  depends_on: [{ref: a}]\n- prompt: print a\n  ref: a\n",
    )
    .unwrap();
    let ids = place.run(&["submit", "-f", "tasks.yaml"]).with(0).text();
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids.len(), 2);
    place.run(&["wait", ids[0], ids[1]]).with(0);
    let cycle = r#"[{"prompt":"x","ref":"a","depends_on":[{"ref":"b"}]},{"prompt":"y","ref":"b","depends_on":[{"ref":"a"}]}]"#;
    let ended = place.feed(&["submit", "-f", "-"], cycle.as_bytes()).with(4);
    assert!(ended.err.contains("circle"), "{ended:?}");
    let list = place.run(&["list", "--output", "json"]).with(0).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "nothing of the refused list came in");
}

#[test]
fn a_task_waits_for_another_and_for_its_time() {
    let place = Place::new();
    let _up = place.up(&[]);
    let first = place.submit(&["sleep 300ms"]);
    let second = place.submit(&["--after", &first, "print x"]);
    let third = place.submit(&["--at", "2h", "print x"]);
    assert_eq!(place.run(&["get", &third, "--output", "json"]).with(0).json()["state"], "scheduled");
    place.run(&["wait", &second]).with(0);
    let ended = place.run(&["run", "--after", "00000000-0000-7000-8000-000000000000", "x"]).with(4);
    assert!(ended.err.contains("depend"), "{ended:?}");
}

#[test]
fn schedules_are_added_listed_and_removed() {
    let place = Place::new();
    let add = &[
        "schedule",
        "add",
        "--cron",
        "30 4 * * 1",
        "--time-zone",
        "Asia/Tokyo",
        "--name",
        "weekly",
        "print x",
    ];
    let id = place.run(add).with(0).text().trim().to_owned();
    let list = place.run(&["schedule", "list", "--output", "json"]).with(0).json();
    assert_eq!((&list[0]["id"], &list[0]["time_zone"]), (&id.clone().into(), &"Asia/Tokyo".into()));
    place.run(&["schedule", "rm", &id]).with(0);
    place.run(&["schedule", "rm", &id]).with(4);
    let ended = place.run(&["schedule", "add", "--cron", "99 * * * *", "x"]).with(4);
    assert!(ended.err.contains("cron"), "{ended:?}");
    place.run(&["schedule", "add", "--cron", "* * * * *", "--at", "2h", "x"]).with(2);
}

#[test]
fn two_tasks_are_compared() {
    let place = Place::new();
    let _up = place.up(&[]);
    let a = place.submit(&["write same.txt x; write a.txt x; write both.txt one"]);
    let b = place.submit(&["write same.txt x; write b.txt x; write both.txt two"]);
    place.run(&["wait", &a, &b]).with(0);
    let comparison = place.run(&["compare", &a, &b, "--output", "json"]).with(0).json();
    let names = |field: &str| {
        let list = comparison[field].as_array().unwrap().clone();
        list.into_iter().filter(|name| name != "README.txt").collect::<Vec<_>>()
    };
    assert_eq!(names("only_a"), ["a.txt"]);
    assert_eq!(names("only_b"), ["b.txt"]);
    assert_eq!(names("different"), ["both.txt"]);
    assert!(place.run(&["compare", &a, &b]).with(0).text().contains("only A left: a.txt"));
}

#[test]
fn what_was_done_is_in_the_audit_and_the_numbers() {
    let place = Place::new();
    let _up = place.up(&[]);
    place.run(&["run", "print x"]).with(0);
    let audit = place.run(&["audit", "--output", "json"]).with(0).json();
    assert!(audit["items"].as_array().unwrap().iter().any(|entry| entry["action"] == "submit"), "{audit}");
    let checked = place.run(&["audit", "verify", "--output", "json"]).with(0).json();
    assert_eq!(checked["records"].as_u64(), audit["items"].as_array().map(|items| items.len() as u64));
    let head = checked["head"].as_str().unwrap().to_owned();
    place.run(&["run", "print y"]).with(0);
    let later = place.run(&["audit", "verify", "--head", &head]).with(0).text();
    assert!(later.contains("records are as they were written"), "{later}");
    let (seq, digest) = head.split_once(':').unwrap();
    let other = format!("{seq}:{}", digest.chars().rev().collect::<String>());
    let said = place.run(&["audit", "verify", "--head", &other]).with(1).text();
    assert!(said.starts_with(&format!("record {seq}: it is not the record")), "{said}");
    assert!(place.run(&["audit", "verify", "--head", "1:zz"]).with(2).err.contains("64 hexadecimal digits"));
    let stats = place.run(&["stats", "--output", "json"]).with(0).json();
    assert_eq!(stats["finished_last_hour"], 2);
    let gc = place.run(&["gc", "--dry-run", "--output", "json"]).with(0).json();
    assert_eq!(gc["dry_run"], true);
}
