//! The containers of a test, from the compose files, and what is done to them from outside.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::http::Http;
use super::image::IMAGE;
use super::options::Options;
use super::until;

const FILES_IMAGE: &str = "conductor-files:test";
const REDIS_IMAGE: &str = "conductor-redis:test";
const PROJECT: &str = "conductor-test";
/// How long a program that supervisord starts again may take to be there.
const AGAIN: Duration = Duration::from_secs(30);
/// How many lines of the log are shown when a test fails.
const SHOWN_LINES: &str = "120";

/// The folder of the compose files.
#[must_use]
pub fn repository() -> &'static Path {
    // <repository>/services/libs/testkit
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("the crate lies in the repository")
}

/// Runs docker with these arguments.
///
/// # Panics
/// When there is no such program.
pub fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().expect("docker can be started")
}

/// Waits for its turn on the engine.
pub(super) fn one_at_a_time() -> File {
    let lock = File::create(std::env::temp_dir().join("conductor-test-appliance.lock"))
        .expect("the folder for temporary files can be written");
    lock.lock().expect("a file can be locked");
    lock
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// A process in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id in the container.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// How it was called.
    pub command: String,
}

/// The containers of a test. They and their volumes are removed when it is dropped.
#[derive(Debug)]
pub struct Stack {
    folder: tempfile::TempDir,
    files: Vec<PathBuf>,
    variables: Vec<(String, String)>,
    ports: [u16; 3],
    keepers: Vec<String>,
    // One at a time on an engine: they share the project's name, and would measure each other.
    _lock: File,
}

impl Stack {
    /// Prepares the containers; none, with a line that says why, where there is no engine or no image.
    ///
    /// # Panics
    /// When there is no room for its files.
    #[must_use]
    pub fn new(options: &Options) -> Option<Self> {
        let engine = Command::new("docker").args(["image", "inspect", IMAGE]).output();
        if !engine.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no Docker Engine answers, or it has no {IMAGE}; see scripts/test appliance");
            return None;
        }
        let lock = one_at_a_time();
        let folder =
            tempfile::Builder::new().prefix("appliance-").tempdir().expect("a temporary folder can be made");
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
        let ports = listeners.map(|listener| listener.local_addr().expect("it listens").port());
        let own = folder.path().join("docker-compose.test.yml");
        std::fs::write(&own, options.compose_file(PROJECT)).expect("the folder can be written");
        let mut files = vec![repository().join("docker-compose.yml")];
        files.extend(options.redis.then(|| repository().join("docker-compose.redis.yml")));
        files.extend(options.files.iter().map(|file| repository().join(file)));
        files.push(own);
        let variables = options.variables.clone();
        let stack = Self { folder, files, variables, ports, keepers: Vec::new(), _lock: lock };
        stack.remove();
        Some(stack)
    }

    /// Runs docker compose on it.
    ///
    /// # Panics
    /// When docker cannot be started.
    pub fn compose(&self, args: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.args(["compose", "--project-name", PROJECT, "--env-file", "/dev/null"]);
        for file in &self.files {
            command.arg("--file").arg(file);
        }
        self.prepare(&mut command);
        command.args(args).output().expect("docker can be started")
    }

    /// Runs a script of the repository on it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn script(&self, name: &str, args: &[&str]) -> Output {
        let mut command = Command::new(repository().join("scripts").join(name));
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        self.prepare(&mut command);
        command.env("COMPOSE_PROJECT_NAME", PROJECT).env("COMPOSE_FILE", files.join(":"));
        command
            .env("COMPOSE_ENV_FILES", "/dev/null")
            .env("CONDUCTOR_UPGRADE_DIR", self.folder().join("upgrade"));
        command.args(args).output().expect("the script can be started")
    }

    /// Sets what the compose files read, and nothing of whoever runs the tests.
    fn prepare(&self, command: &mut Command) {
        command.current_dir(repository());
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("CONDUCTOR_") || name_text.ends_with("_API_KEY") {
                command.env_remove(&name);
            }
        }
        let [dashboard, api, files] = self.ports.map(|port| port.to_string());
        command.env("CONDUCTOR_DASHBOARD_URL", format!("http://localhost:{dashboard}"));
        command.env("CONDUCTOR_DASHBOARD_PORT", dashboard).env("CONDUCTOR_API_PORT", api);
        command.env("CONDUCTOR_FILES_PORT", files).env("CONDUCTOR_WITH_CLIS", "no");
        command.env("CONDUCTOR_IMAGE", IMAGE).env("CONDUCTOR_FILES_IMAGE", FILES_IMAGE);
        command.env("CONDUCTOR_REDIS_IMAGE", REDIS_IMAGE);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    /// The same as [`Stack::compose`], and it has to succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn must(&self, args: &[&str]) -> String {
        let output = self.compose(args);
        assert!(output.status.success(), "docker compose {args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Starts everything and waits until it is healthy; gives how long that took.
    ///
    /// # Panics
    /// When it does not become healthy.
    pub fn up(&self) -> Duration {
        let begin = Instant::now();
        self.must(&["up", "--detach", "--no-build", "--wait", "--wait-timeout", "90"]);
        begin.elapsed()
    }

    /// The name of the container with the programs.
    #[must_use]
    pub fn container(&self) -> &'static str {
        PROJECT
    }

    /// A folder of the test's own.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a shell in the container says to a script.
    pub fn shell(&self, script: &str) -> Output {
        docker(&["exec", PROJECT, "sh", "-c", script])
    }

    /// The same, and the script has to succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn say(&self, script: &str) -> String {
        let output = self.shell(script);
        assert!(output.status.success(), "{script}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Everything that was printed since the container was made.
    pub fn log(&self) -> String {
        let output = docker(&["logs", PROJECT]);
        format!("{}\n{}", text(&output.stdout), text(&output.stderr)).trim().to_owned()
    }

    /// What the engine knows of the container, by a template.
    pub fn inspect(&self, format: &str) -> String {
        text(&docker(&["inspect", "--format", format, PROJECT]).stdout)
    }

    /// The processes in the container.
    pub fn processes(&self) -> Vec<Process> {
        let script = "for one in /proc/[0-9]*; do \
            read -r line <$one/stat && printf '%s %s\n' \"${line##*) }\" \"$one $(tr '\\0' ' ' <$one/cmdline)\"; done 2>/dev/null; :";
        let parse = |line: &str| {
            let parent = line.split(' ').nth(1)?.parse().ok()?;
            let (_, rest) = line.split_once(" /proc/")?;
            let (pid, command) = rest.split_once(' ')?;
            Some(Process { pid: pid.parse().ok()?, parent, command: command.trim().to_owned() })
        };
        self.say(script).lines().filter_map(parse).collect()
    }

    /// The process whose call holds this.
    pub fn process(&self, call: &str) -> Option<Process> {
        self.processes().into_iter().find(|process| process.command.contains(call))
    }

    /// The processes in the container, each with its share of the memory (PSS) in KiB.
    pub fn memory_kib(&self) -> Vec<(Process, u64)> {
        let measure = |process: Process| {
            let path = format!("/proc/{}/smaps_rollup", process.pid);
            let said = self.shell(&format!("grep ^Pss: {path}"));
            let kib = text(&said.stdout).split_whitespace().nth(1)?.parse().ok()?;
            Some((process, kib))
        };
        self.processes().into_iter().filter_map(measure).collect()
    }

    /// Kills the process whose call holds this, as `kill -9` does, and waits for another in its place.
    ///
    /// # Panics
    /// When there is none, or none comes again.
    pub fn kill_program(&self, call: &str) {
        let killed = until(AGAIN, &format!("{call} runs"), || self.process(call));
        self.say(&format!("kill -9 {}", killed.pid));
        until(AGAIN, &format!("{call} runs again"), || {
            self.process(call).filter(|process| process.pid != killed.pid)
        });
    }

    /// Keeps a volume of memory as it is while the containers are away.
    pub fn keep(&mut self, volume: &str) {
        let volume = format!("{PROJECT}_{volume}:/kept");
        let output =
            docker(&["run", "--detach", "--rm", "--volume", &volume, "--entrypoint", "sleep", IMAGE, "600"]);
        self.keepers.push(text(&output.stdout));
    }

    /// The API, with the admin token.
    pub fn api(&self) -> Http {
        Http::new(self.ports[1], Some(self.token()))
    }

    /// The admin token.
    pub fn token(&self) -> String {
        self.say("conductor token show")
    }

    /// The address of the dashboard.
    #[must_use]
    pub fn dashboard_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// The file server, with this token.
    #[must_use]
    pub fn files(&self, token: Option<String>) -> Http {
        Http::new(self.ports[2], token)
    }

    fn remove(&self) {
        for keeper in &self.keepers {
            docker(&["rm", "--force", "--volumes", keeper]);
        }
        self.compose(&["down", "--volumes", "--timeout", "1", "--remove-orphans"]);
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("state: {}", self.inspect("{{json .State}}"));
            eprintln!("{}", text(&self.compose(&["logs", "--no-color", "--tail", SHOWN_LINES]).stdout));
        }
        self.remove();
    }
}
