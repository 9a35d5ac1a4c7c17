//! An agent that only speaks the protocol: it has no runs and no folders, and reports every task as done at once.

use std::io;
use std::path::Path;
use std::thread::JoinHandle;

use serde::Deserialize;

use super::programs::Home;
use super::wire::Connection;

/// A word of the orchestrator, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    assign: Vec<Assigned<'a>>,
    #[serde(borrow, default)]
    acknowledged: Vec<&'a str>,
}

#[derive(Debug, Deserialize)]
struct Assigned<'a> {
    lease: &'a str,
}

/// An agent on a thread of its own.
#[derive(Debug)]
pub struct Agent(JoinHandle<io::Result<()>>);

impl Agent {
    /// Connects one with so many slots; it ends when `enough` of its reports were acknowledged in all, which `enough` is
    /// told of, or when the orchestrator ends.
    pub fn start(
        home: &Home,
        number: u32,
        slots: u32,
        enough: impl FnMut(usize) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let (socket, key) = (home.agent_socket(), home.agent_key()?);
        let thread = std::thread::Builder::new()
            .name(format!("agent-{number}"))
            .spawn(move || work(&socket, &key, number, slots, enough))?;
        Ok(Self(thread))
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for its end.
    pub fn join(self) -> io::Result<()> {
        self.0.join().expect("an agent does not panic")
    }
}

fn work(
    socket: &Path,
    key: &str,
    number: u32,
    slots: u32,
    mut enough: impl FnMut(usize) -> bool,
) -> io::Result<()> {
    let mut connection = Connection::open(socket)?;
    let id = |kind: &str| format!("01900000-0000-7000-8000-{kind}{number:08}");
    connection.say(&format!(
        r#"{{"hello":{{"protocol":1,"key":"{key}","agent_id":"{}","instance":"{}","name":"bench-{number}",
        "host":"bench","version":"1","slots":{slots},"runners":[{{"name":"mock","ready":true}}],"credits":{slots},
        "shares_workspace":true}}}}"#,
        id("aaaa"),
        id("bbbb"),
    ))?;
    let answer = connection.hear()?;
    if !answer.starts_with(r#"{"welcome""#) {
        return Err(io::Error::other(format!("the agent was not let in: {answer}")));
    }
    let mut reports = String::new();
    loop {
        let acknowledged = {
            let said: Said<'_> = serde_json::from_str(connection.hear()?).map_err(io::Error::other)?;
            reports.clear();
            report(&said.assign, &mut reports);
            said.acknowledged.len()
        };
        if !reports.is_empty() {
            connection.say(&reports)?;
        }
        if enough(acknowledged) {
            return Ok(());
        }
    }
}

/// Reports tasks as done and asks for as many more.
fn report(assigned: &[Assigned<'_>], text: &mut String) {
    use std::fmt::Write as _;
    for (index, task) in assigned.iter().enumerate() {
        text.push_str(if index == 0 { r#"{"finished":["# } else { "," });
        text.push_str(r#"{"lease":""#);
        text.push_str(task.lease);
        text.push_str(r#"","end":"succeeded","simulated":true}"#);
    }
    if !assigned.is_empty() {
        write!(text, r#"],"credits":{}}}"#, assigned.len()).expect("a string takes any text");
    }
}
