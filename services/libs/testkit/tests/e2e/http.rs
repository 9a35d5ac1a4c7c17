//! What a task reaches of the programs that speak HTTP beside it: nothing, without a token.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use conductor_testkit::world::{World, eventually, submit_one};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
/// What is open to everybody by contract: on the API and, with the login page and its assets, on the dashboard.
const OPEN_ON_THE_API: [&str; 2] = ["/healthz", "/readyz"];
const ANY_ID: &str = "01920000-0000-7000-8000-000000000001";

/// Asks every address of the machine for every path, with every method of it, as a task of an attacker would.
const SCRIPT: &str = r#"
addresses="127.0.0.1 [::1] $(hostname -I 2>/dev/null)"
for address in $addresses; do
  while read -r method path; do
    for port in $API_PORT $DASHBOARD_PORT; do
      code=$(curl -gs -o /dev/null -m 5 -w '%{http_code}' -X "$method" -H 'Host: localhost' "http://$address:$port$path")
      echo "$code $port $method $path $address"
    done
  done < routes.txt
done
"#;

pub(crate) fn curl(args: &[&str]) -> Option<String> {
    let output = Command::new("curl").args(["-gsS", "-m", "10"]).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// The ports of the API and the dashboard, as `up` says them.
pub(crate) async fn ports(world: &World) -> [u16; 2] {
    let port = |said: &str, what: &str| {
        let (_, rest) =
            said.lines().find(|line| line.trim_start().starts_with(what))?.split_once("http://")?;
        let (_, rest) = rest.split_once(':')?;
        rest.split(|one: char| !one.is_ascii_digit()).next()?.parse().ok()
    };
    eventually(LIMIT, "up says where it listens", async || {
        let said = world.said_by("conductor")?;
        Some([port(&said, "API")?, port(&said, "dashboard")?])
    })
    .await
}

/// A path of the document with an id at every place for one.
fn filled(path: &str) -> String {
    let parts = path.split('/').skip(1).map(|part| if part.starts_with('{') { ANY_ID } else { part });
    parts.fold(String::new(), |path, part| format!("{path}/{part}"))
}

/// Every method and path of the API, with ids filled in, and some that only the dashboard has.
fn routes(document: &Value) -> Vec<String> {
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = filled(path);
        routes.extend(
            methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())),
        );
    }
    for path in [
        "/",
        "/mcp",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/tasks",
        "/tasks/new",
        "/settings",
        "/audit",
        "/live",
    ] {
        routes.push(format!("GET {path}"));
    }
    routes.push("POST /mcp".to_owned());
    routes.sort();
    routes.dedup();
    routes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_reaches_nothing_over_http_without_a_token() {
    if curl(&["--version"]).is_none() {
        eprintln!("skipped: curl is not installed");
        return;
    }
    // Where egress is held it reaches none of them in the first place.
    let world = World::new().with("sandbox.egress", "open");
    let up = world.up().await;
    let [api, dashboard] = ports(&world).await;
    let token = std::fs::read_to_string(world.home().token_file()).unwrap();
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let document = curl(&["-H", &bearer, &format!("http://127.0.0.1:{api}/openapi.json")]).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let documented: HashSet<String> =
        document["paths"].as_object().unwrap().keys().map(|path| filled(path)).collect();
    let routes = routes(&document);
    assert!(routes.len() > 40, "the document names the routes: {routes:?}");

    let control = world.connect().await;
    let task = json!({
        "command": ["sh", "-c", SCRIPT],
        "env": {"API_PORT": api.to_string(), "DASHBOARD_PORT": dashboard.to_string()},
        "files": [{"path": "routes.txt", "content": format!("{}\n", routes.join("\n"))}],
        "timeout_seconds": 300,
    });
    let id = submit_one(&control, &task, world.mark()).await;
    let ended = eventually(LIMIT * 4, "the task has asked everything", async || {
        let view = control.get(id).await.ok()?;
        view.finished_at.is_some().then_some(view)
    })
    .await;
    let path = world.home().workspace.join(format!("tasks/{id}/attempts/1/output.log"));
    let output = std::fs::read_to_string(path).unwrap();
    let answers: Vec<Vec<&str>> = output.lines().map(|line| line.split(' ').collect()).collect();
    assert!(answers.len() >= routes.len() * 2, "{ended:?} {output}");
    let (mut refused, api, dashboard) = (0, api.to_string(), dashboard.to_string());
    for answer in &answers {
        let [code, port, method, path, address] = answer[..] else { panic!("{answer:?}") };
        let open = match port {
            port if port == api => OPEN_ON_THE_API.contains(&path) && method == "GET",
            port if port == dashboard => {
                // Its health, and the way to the login page.
                OPEN_ON_THE_API.contains(&path) || (method == "GET" && code == "303")
            }
            port => panic!("{port} was not asked for"),
        };
        // Nothing listens on other addresses, and what the dashboard has not is not there.
        let absent = port == dashboard || !documented.contains(path);
        let nothing = code == "000" || (absent && matches!(code, "404" | "405"));
        refused += usize::from(code == "401");
        assert!(open || nothing || code == "401", "{code} {method} {path} on port {port} of {address}");
    }
    assert!(
        refused >= routes.len() - OPEN_ON_THE_API.len(),
        "{refused} of {} routes asked for a token",
        routes.len()
    );
    drop(up);
}
