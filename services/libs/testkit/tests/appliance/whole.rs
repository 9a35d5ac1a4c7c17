//! What a person does with it: up, a task by HTTP, a task in the browser, the files of both, down and up.

use conductor_testkit::appliance::{Browser, Options, Stack, docker, repository, until};
use serde_json::{Value, json};

use crate::SOON;

fn has(stack: &Stack, id: &str, path: &str, expected: &str) {
    let files = stack.files(Some(stack.token()));
    let (folder, name) = path.rsplit_once('/').unwrap();
    until(SOON, "the file server lists and serves it", || {
        let listed = files.get(&format!("/tasks/{id}/{folder}/"));
        let served = files.get(&format!("/tasks/{id}/{path}"));
        (listed.status == 200 && listed.body.contains(name) && served.body.contains(expected)).then_some(())
    });
    assert_eq!(stack.files(None).get(&format!("/tasks/{id}/{path}")).status, 401, "without a token");
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn tasks_by_http_and_in_the_browser_finish_and_everything_is_kept_over_down_and_up() {
    let Some(stack) = Stack::new(&Options::default()) else { return };
    println!("from up to healthy: {:.1} s", stack.up().as_secs_f64());
    let api = stack.api();
    let by_http = api.submit(&json!({"prompt": "print begun; write notes.txt by HTTP"}));
    let ended = api.wait(&by_http, "succeeded", SOON);
    assert_eq!(ended["simulated"], true, "without a key the mock stands in: {ended}");
    has(&stack, &by_http, "work/notes.txt", "by HTTP");
    has(&stack, &by_http, "attempts/1/output.log", "begun");

    let mut tasks = vec![by_http.clone()];
    if let Some(browser) = Browser::start() {
        let url = stack.dashboard_url();
        browser.go(&format!("{url}/login"));
        browser.type_into("[name=token]", &stack.token());
        browser.click("form button.primary");
        browser.until("the page is live", "document.querySelector('#live')?.dataset.state === 'on'");
        browser.go(&format!("{url}/tasks/new"));
        browser.type_into("#prompt", "print seen; write page.txt from the page");
        browser.click("#submit");
        browser.until("it prints", "document.querySelector('#output')?.textContent.includes('seen')");
        browser.until("it succeeds", "document.querySelector('#task-head .badge.s-succeeded')");
        let path = browser.run("return location.pathname").unwrap();
        let id = path.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        has(&stack, &id, "work/page.txt", "from the page");
        tasks.push(id);
    }

    stack.must(&["down"]);
    stack.up();
    for id in &tasks {
        assert_eq!(stack.api().task(id).unwrap()["state"], "succeeded");
        has(&stack, id, "attempts/1/output.log", "");
    }
    assert_eq!(stack.api().states().unwrap().values().sum::<usize>(), tasks.len());
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn the_log_of_the_first_start_and_no_other_shows_a_link_that_logs_a_browser_in_once() {
    let Some(stack) = Stack::new(&Options::default()) else { return };
    stack.up();
    let log = stack.log();
    let links: Vec<&str> = log.split("/login?code=").skip(1).collect();
    let [link] = links[..] else { panic!("{} links in {log}", links.len()) };
    let code = link.split_whitespace().next().unwrap();
    let kept = stack.say(&format!("grep -rl {code} /var/log/conductor /workspace || :"));
    assert_eq!(kept, "", "the code is in a file that others may read");
    if let Some(browser) = Browser::start() {
        browser.go(&format!("{}/login?code={code}", stack.dashboard_url()));
        browser.until("the link has logged in", "document.querySelector('#live')?.dataset.state === 'on'");
    }
    stack.must(&["down"]);
    stack.up();
    assert!(!stack.log().contains("/login?code="), "this start is not the first");
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn the_compose_file_alone_opens_the_ports_of_the_contract_on_loopback_and_keeps_four_volumes() {
    let file = repository().join("docker-compose.yml");
    let file = file.to_str().unwrap();
    let output = docker(&["compose", "--env-file", "/dev/null", "-f", file, "config", "--format", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let config: Value = serde_json::from_slice(&output.stdout).unwrap();
    let conductor = &config["services"]["conductor"];
    assert_eq!(conductor["container_name"], "claude-conductor-standalone");
    assert_eq!((&conductor["read_only"], &conductor["cap_drop"]), (&json!(true), &json!(["ALL"])));
    let mut ports = Vec::new();
    for service in config["services"].as_object().unwrap().values() {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert_eq!(port["host_ip"], "127.0.0.1");
            ports.push(port["published"].as_str().unwrap().to_owned());
        }
    }
    ports.sort_unstable();
    assert_eq!(ports, ["8080", "8081", "8090"]);
    for volume in ["workspace", "logs", "config", "state"] {
        let name = format!("conductor_{volume}");
        assert_eq!(config["volumes"][&name]["name"], json!(name));
    }
    assert_eq!(config["networks"]["conductor-standalone"]["name"], "conductor-standalone");
}
