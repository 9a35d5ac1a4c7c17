//! The stack of `docker-stack.yml` on a swarm of one node.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::http::Http;
use super::image::IMAGE;
use super::stack::{docker, one_at_a_time, repository};
use super::until;

/// Names the stack, its volumes, its config and its secret.
const STACK: &str = "conductor-stack-test";
const TOKEN: &str = "the-admin-token-of-a-stack-under-test-0123456789";
/// How long containers and networks may take to go.
const GONE: Duration = Duration::from_secs(90);
/// How many lines of each service's log are shown when a test fails.
const SHOWN_LINES: &str = "40";

/// A swarm of one node, and what is deployed on it. It is left again when it is dropped.
#[derive(Debug)]
pub struct Swarm {
    ports: [u16; 3],
    // One at a time on an engine: it has one swarm at most.
    _lock: File,
}

impl Swarm {
    /// Makes the swarm; none, with a line that says why, where that cannot be.
    ///
    /// # Panics
    /// When there is no room for its files.
    #[must_use]
    pub fn new() -> Option<Self> {
        if !docker(&["image", "inspect", IMAGE]).status.success() {
            eprintln!("skipped: no Docker Engine answers, or it has no {IMAGE}; see scripts/test appliance");
            return None;
        }
        let lock = one_at_a_time();
        let made = docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
        if !made.status.success() {
            eprintln!("skipped: this engine makes no swarm: {}", text(&made.stderr));
            return None;
        }
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
        let ports = listeners.map(|listener| listener.local_addr().expect("it listens").port());
        let swarm = Self { ports, _lock: lock };
        let node = text(&docker(&["node", "ls", "--quiet"]).stdout);
        must(&["node", "update", "--label-add", "conductor.state=true", &node]);
        Some(swarm)
    }

    /// Deploys the stack file with these variables.
    ///
    /// # Panics
    /// When docker cannot be started.
    #[must_use]
    pub fn deploy(&self, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new("docker");
        command.current_dir(repository());
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CONDUCTOR_"))
        {
            command.env_remove(name);
        }
        let [dashboard, api, files] = self.ports.map(|port| port.to_string());
        command.env("CONDUCTOR_DASHBOARD_PORT", dashboard).env("CONDUCTOR_API_PORT", api);
        command.env("CONDUCTOR_FILES_PORT", files).env("CONDUCTOR_IMAGE", IMAGE);
        command.env("CONDUCTOR_FILES_IMAGE", "conductor-files:test");
        command.env("CONDUCTOR_REDIS_IMAGE", "conductor-redis:test");
        command.env("CONDUCTOR_STACK", STACK).env("CONDUCTOR_ADMIN_SECRET", STACK);
        command.envs(variables.iter().copied());
        command.args([
            "stack",
            "deploy",
            "--resolve-image",
            "never",
            "--compose-file",
            "docker-stack.yml",
            STACK,
        ]);
        command.output().expect("docker can be started")
    }

    /// Brings the secret that the stack asks for.
    ///
    /// # Panics
    /// When the engine refuses it.
    pub fn bring_token(&self) {
        let mut command = Command::new("docker");
        command.args(["secret", "create", STACK, "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().expect("docker can be started");
        let mut input = child.stdin.take().expect("it is a pipe");
        input.write_all(TOKEN.as_bytes()).expect("docker reads it");
        drop(input);
        assert!(child.wait().expect("docker ends").success(), "the secret is refused");
    }

    /// The full name of a service.
    #[must_use]
    pub fn service(&self, role: &str) -> String {
        format!("{STACK}_{role}")
    }

    /// What a service's containers printed.
    #[must_use]
    pub fn log(&self, role: &str) -> String {
        let output = docker(&["service", "logs", "--raw", &self.service(role)]);
        text(&output.stdout) + &text(&output.stderr)
    }

    /// Changes a service, or takes its last change back, without waiting for it.
    ///
    /// # Panics
    /// When the engine refuses it.
    pub fn change(&self, role: &str, args: &[&str]) {
        must(&[&["service"], args, &["--detach", &self.service(role)]].concat());
    }

    /// How the last change of a service stands.
    #[must_use]
    pub fn update_state(&self, role: &str) -> String {
        let format = "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}";
        text(&docker(&["service", "inspect", "--format", format, &self.service(role)]).stdout)
    }

    /// The image that a service is to run.
    #[must_use]
    pub fn image(&self, role: &str) -> String {
        let format = "{{.Spec.TaskTemplate.ContainerSpec.Image}}";
        text(&docker(&["service", "inspect", "--format", format, &self.service(role)]).stdout)
    }

    /// How many containers of each service run, of how many there should be.
    #[must_use]
    pub fn replicas(&self) -> BTreeMap<String, String> {
        let listed =
            text(&docker(&["stack", "services", "--format", "{{.Name}} {{.Replicas}}", STACK]).stdout);
        let parse = |line: &str| {
            let (name, replicas) = line.split_once(' ')?;
            Some((name.strip_prefix(STACK)?.trim_start_matches('_').to_owned(), replicas.to_owned()))
        };
        listed.lines().filter_map(parse).collect()
    }

    /// The API, with the admin token.
    #[must_use]
    pub fn api(&self) -> Http {
        Http::new(self.ports[1], Some(TOKEN.to_owned()))
    }

    /// The dashboard.
    #[must_use]
    pub fn dashboard(&self) -> Http {
        Http::new(self.ports[0], None)
    }

    /// The file server.
    #[must_use]
    pub fn files(&self) -> Http {
        Http::new(self.ports[2], Some(TOKEN.to_owned()))
    }

    /// Removes the services; the volumes stay.
    ///
    /// # Panics
    /// When they do not go.
    pub fn remove_services(&self) {
        docker(&["stack", "rm", STACK]);
        let filter = format!("label=com.docker.stack.namespace={STACK}");
        until(GONE, "the stack is gone", || {
            let kinds: [&[&str]; 2] = [&["ps", "--all"], &["network", "ls"]];
            let left = kinds.map(|kind| docker(&[kind, &["--quiet", "--filter", &filter]].concat()).stdout);
            left.iter().all(Vec::is_empty).then_some(())
        });
    }

    /// Removes a volume, as if a service had come to a node without it.
    ///
    /// # Panics
    /// When it is in use.
    pub fn lose_volume(&self, name: &str) {
        must(&["volume", "rm", &format!("{STACK}_{name}")]);
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let format = "{{.Name}} {{.CurrentState}} {{.Error}}";
            eprintln!("{}", text(&docker(&["stack", "ps", "--no-trunc", "--format", format, STACK]).stdout));
            for role in ["orchestrator", "api", "agent", "redis"] {
                let name = self.service(role);
                let said = docker(&["service", "logs", "--raw", "--tail", SHOWN_LINES, &name]);
                eprintln!("{role}:\n{}\n{}", text(&said.stdout), text(&said.stderr));
            }
        } else {
            self.remove_services();
        }
        docker(&["stack", "rm", STACK]);
        docker(&["swarm", "leave", "--force"]);
        for name in ["workspace", "logs", "config", "state", "redis", "redis_secret", "run"] {
            docker(&["volume", "rm", "--force", &format!("{STACK}_{name}")]);
        }
    }
}

fn must(args: &[&str]) {
    let output = docker(args);
    assert!(output.status.success(), "docker {args:?}: {}", text(&output.stderr));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
