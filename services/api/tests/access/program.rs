//! The program: it waits for its orchestrator, and goes on over its restarts.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use conductor_client::{Options, Target};
use conductor_protocol::control::{CreateToken, Groups, Role};
use conductor_runtime::lifecycle::Shutdown;
use conductor_testkit::world::eventually;
use rustix::process::{Pid, Signal, kill_process};

use crate::place::{Answer, LIMIT, ask, home, orchestrate};

struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    /// Starts the program and reads where it listens.
    fn start(home: &std::path::Path) -> Self {
        let mut child =
            command(home, "127.0.0.1:0").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (found, address) = std::sync::mpsc::channel();
        // Reads on to the end, so that the program never waits for its reader.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("http://") {
                    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':')));
                    let _nobody_waits = found.send(rest[..end.unwrap_or(rest.len())].parse().unwrap());
                }
            }
        });
        let address = address.recv_timeout(LIMIT).expect("it says where it listens");
        Self { child, address }
    }

    async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        ask(self.address, "GET", path, token, &[], "").await.expect("the program listens")
    }

    async fn until_ready(&self) {
        let ready = async || (self.get("/readyz", None).await.status == 200).then_some(());
        eventually(LIMIT, "it is ready", ready).await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn command(home: &std::path::Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conductor-api"));
    command.env("CONDUCTOR_HOME", home).env("CONDUCTOR__API__LISTEN", listen);
    command.env_remove("CONDUCTOR_LAYOUT").stdin(Stdio::null());
    command
}

#[tokio::test]
async fn it_waits_for_its_orchestrator_and_goes_on_over_a_restart() {
    let (folder, loaded) = home(&[]);
    let mut program = Program::start(folder.path());
    program.get("/healthz", None).await.with(200);
    let refused = program.get("/readyz", None).await.with(503);
    assert!(refused.head.to_lowercase().contains("retry-after"), "{refused:?}");
    assert!(
        !refused.body.contains(&folder.path().display().to_string()),
        "where it lies is nobody's business"
    );
    program.get("/v1/me", Some("cnd_whatever")).await.with(503);

    let mut secrets = Vec::new();
    for round in 0..2 {
        let shutdown = Shutdown::new();
        let running = orchestrate(&loaded, &shutdown).await;
        program.until_ready().await;
        let target = Target::of_home(&loaded.home);
        let control = target.connect(Options::new("test")).await.unwrap();
        let token = CreateToken {
            name: format!("ci-{round}"),
            role: Role::Viewer,
            groups: Groups::All,
            expires_in_seconds: None,
        };
        secrets.push(control.create_token(token).await.unwrap().secret);
        for secret in &secrets {
            program.get("/v1/me", Some(secret)).await.with(200);
        }
        drop(control);
        shutdown.finish(LIMIT).await;
        running.finish().await.unwrap();
        let away = async || (program.get("/readyz", None).await.status == 503).then_some(());
        eventually(LIMIT, "it says that it is not ready", away).await;
    }
    kill_process(Pid::from_child(&program.child), Signal::TERM).unwrap();
    let status = program.child.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn a_taken_port_is_told_with_its_holder() {
    let (folder, _) = home(&[]);
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let output = command(folder.path(), &address).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains(&address) && said.contains(&std::process::id().to_string()), "{said}");
}
