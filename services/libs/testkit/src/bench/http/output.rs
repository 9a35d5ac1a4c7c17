//! How soon a follower has what a task prints.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::super::programs::Home;
use super::super::report::Bar;
use super::super::suite::{Suite, median, percentile};
use super::client::{Client, request};

/// Prints the time in nanoseconds every 50 ms.
const SCRIPT: &str = "i=0; while [ $i -lt 60 ]; do date +%s%N; i=$((i+1)); sleep 0.05; done";
/// How many digits such a time has.
const DIGITS: usize = 19;
const LINES: usize = 60;

/// Follows the output of a task that prints when it prints.
pub fn printed_line(suite: &mut Suite<'_>) -> io::Result<()> {
    let (home, orchestrator, api, address) = super::with(suite, Home::api)?;
    let agent = home.agent(1)?;
    let token = home.token()?;
    let body = serde_json::json!({"command": ["sh", "-c", SCRIPT]}).to_string();
    let created = Client::open(address)?.ask(&request("POST", "/v1/tasks", &token, Some(&body)))?;
    let created: serde_json::Value = serde_json::from_str(&created.body).map_err(io::Error::other)?;
    let id = created["id"].as_str().ok_or_else(|| io::Error::other(format!("no id in {created}")))?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let path = format!("/v1/tasks/{id}/output?follow=true");
    let follow = String::from_utf8(request("GET", &path, &token, None)).map_err(io::Error::other)?;
    stream.write_all(follow.replace("Accept: */*", "Accept: text/event-stream").as_bytes())?;

    let (mut text, mut read, mut late) = (Vec::new(), 0, Vec::new());
    let mut piece = [0; 16 << 10];
    while late.len() < LINES {
        let count = stream.read(&mut piece)?;
        let now = clock_gettime(ClockId::Realtime);
        if count == 0 {
            let text = String::from_utf8_lossy(&text).into_owned();
            return Err(io::Error::other(format!("the output ended after {} lines: {text}", late.len())));
        }
        text.extend_from_slice(&piece[..count]);
        let now = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
        while let Some((printed, end)) = next_time(&text, read) {
            late.push((now - printed) as f64 / 1e6);
            read = end;
        }
    }
    // What was printed before the follower came says nothing of how soon it came.
    let mut late = late.split_off(5);
    let p99 = percentile(&mut late, 99);
    suite.report.add("a printed line at its follower, p50", median(&mut late), "ms", Bar::AtMost(200.0));
    suite.report.add("a printed line at its follower, p99", p99, "ms", Bar::AtMost(200.0));
    agent.stop()?;
    api.stop()?;
    orchestrator.stop()
}

/// The next whole time at or after `from`, and where it ends.
fn next_time(text: &[u8], from: usize) -> Option<(i128, usize)> {
    let mut start = from;
    while let Some(first) = text[start..].iter().position(u8::is_ascii_digit) {
        let begin = start + first;
        let length = text[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let end = begin + length;
        if end == text.len() {
            return None;
        }
        if length == DIGITS {
            return std::str::from_utf8(&text[begin..end]).ok()?.parse().ok().map(|time| (time, end));
        }
        start = end;
    }
    None
}
