//! What the API and the dashboard do, each a program of its own beside the orchestrator.

mod client;
mod output;
mod page;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use self::client::{Client, request};
use super::load::{self, Load, TASK, Until};
use super::programs::{Home, Program};
use super::report::Bar;
use super::suite::{self, Suite, median, millis, percentile};

const CONNECTIONS: usize = 32;
const TOGETHER: usize = 100;
const WARM: Duration = Duration::from_millis(300);

/// Measures submits, reads, the first view of the page and how soon it shows what a task prints.
pub fn run(suite: &mut Suite<'_>) -> io::Result<()> {
    submits(suite)?;
    hundreds_and_reads(suite)?;
    page::first_view(suite)?;
    output::printed_line(suite)
}

/// One task a request over the control socket and by HTTP, in one run.
fn submits(suite: &mut Suite<'_>) -> io::Result<()> {
    let time = suite.size(Duration::from_secs(2), Duration::from_secs(6));
    let home = suite.home()?;
    let (orchestrator, _) = home.orchestrator()?;
    let mut load = Load::open(&home, CONNECTIONS, load::submit_frame(1))?;
    load.run(Until::Time(WARM))?;
    let (answered, took) = load.run(Until::Time(time))?;
    let socket = answered as f64 / took.as_secs_f64();
    drop(load);
    orchestrator.stop()?;

    let home = suite.home()?;
    let (orchestrator, _) = home.orchestrator()?;
    let (api, address) = home.api()?;
    let submit = request("POST", "/v1/tasks", &home.token()?, Some(TASK));
    let mut load = Load::over((0..CONNECTIONS).map(|_| Client::open(address)), submit)?;
    load.run(Until::Time(WARM))?;
    let before = suite::readings(&orchestrator, &[&api]);
    let (answered, took) = load.run(Until::Time(time))?;
    let usage = before.until(&suite::readings(&orchestrator, &[&api]));
    let rate = answered as f64 / took.as_secs_f64();
    let measure = format!("HTTP: submits, 1 task each, {CONNECTIONS} connections");
    suite.report.add(format!("control socket, {CONNECTIONS} connections"), socket, "submits/s", Bar::None);
    suite.report.add_used(measure, rate, "submits/s", Bar::AtLeast(0.8 * socket), usage);
    api.stop()?;
    orchestrator.stop()
}

/// A hundred tasks a request until there are very many, then reads among them.
fn hundreds_and_reads(suite: &mut Suite<'_>) -> io::Result<()> {
    let all: usize = suite.size(100_000, 1_000_000);
    let home = suite.home()?;
    let (orchestrator, _) = home.orchestrator()?;
    let (api, address) = home.api()?;
    let token = home.token()?;
    let body = format!(r#"{{"tasks":[{}]}}"#, vec![TASK; TOGETHER].join(","));
    let batch = request("POST", "/v1/tasks/batch", &token, Some(&body));
    let mut load = Load::over((0..4).map(|_| Client::open(address)), batch)?;
    let before = suite::readings(&orchestrator, &[&api]);
    let (answered, took) = load.run(Until::Answers((all / TOGETHER) as u64))?;
    let usage = before.until(&suite::readings(&orchestrator, &[&api]));
    let rate = (answered as usize * TOGETHER) as f64 / took.as_secs_f64();
    let measure = format!("HTTP: tasks in hundreds, up to {all}");
    suite.report.add_used(measure, rate, "tasks/s", Bar::AtLeast(50_000.0), usage);
    home.caught_up()?;

    let mut client = Client::open(address)?;
    let created = client.ask(&request("POST", "/v1/tasks", &token, Some(TASK)))?;
    let created: serde_json::Value = serde_json::from_str(&created.body).map_err(io::Error::other)?;
    let id = created["id"].as_str().ok_or_else(|| io::Error::other(format!("no id in {created}")))?;
    home.caught_up()?;
    for (measure, path) in [
        (format!("HTTP: one task of {all}, p50"), format!("/v1/tasks/{id}")),
        (format!("HTTP: a list of 50 of {all}, p50"), "/v1/tasks?limit=50".to_owned()),
        (format!("HTTP: a list of 50 queued of {all}, p50"), "/v1/tasks?state=queued&limit=50".to_owned()),
    ] {
        let read = request("GET", &path, &token, None);
        let mut times = (0..300).map(|_| timed(&mut client, &read)).collect::<io::Result<Vec<_>>>()?;
        let p99 = percentile(&mut times, 99);
        suite.report.add(measure.clone(), median(&mut times), "ms", Bar::AtMost(5.0));
        suite.report.add(measure.replace("p50", "p99"), p99, "ms", Bar::None);
    }
    api.stop()?;
    orchestrator.stop()
}

fn timed(client: &mut Client, read: &[u8]) -> io::Result<f64> {
    let begin = Instant::now();
    let answer = client.ask(read)?;
    match answer.status {
        200 => Ok(millis(begin.elapsed())),
        status => Err(io::Error::other(format!("answered {status}: {}", answer.body))),
    }
}

/// An orchestrator with a program beside it that speaks HTTP.
fn with(
    suite: &Suite<'_>,
    program: impl FnOnce(&Home) -> io::Result<(Program, SocketAddr)>,
) -> io::Result<(Home, Program, Program, SocketAddr)> {
    let home = suite.home()?;
    let (orchestrator, _) = home.orchestrator()?;
    let (beside, address) = program(&home)?;
    Ok((home, orchestrator, beside, address))
}
