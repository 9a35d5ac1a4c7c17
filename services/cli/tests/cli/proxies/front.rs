//! `conductor up`, the file server, and a proxy with TLS before both.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::PERSON;
use crate::place::{Ended, Going, Place};

/// How long a proxy may take to end when it is asked.
const END: Duration = Duration::from_secs(3);

/// What stands before the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Caddy,
}

/// How it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Host,
    Path,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
        }
    }
}

impl Shape {
    fn host(self) -> &'static str {
        match self {
            Self::Host => "conductor.example.org",
            Self::Path => "example.org",
        }
    }

    /// What every path begins with.
    pub fn path(self) -> &'static str {
        match self {
            Self::Host => "",
            Self::Path => "/conductor",
        }
    }
}

/// All of it; it ends with this.
pub struct Front {
    pub place: Place,
    shape: Shape,
    port: u16,
    files_port: u16,
    has_files: bool,
    token: String,
    up: Going,
    certificate: PathBuf,
    others: Vec<Child>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header that has to be there.
    pub fn header(&self, name: &str) -> String {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("no {name} in {self:?}")).1.to_owned()
    }
}

fn has(program: &str) -> bool {
    let asked = Command::new(program).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

impl Front {
    /// Starts everything; nothing, with a line that says why, where the proxy is not installed.
    pub fn start(kind: Kind, shape: Shape) -> Option<Self> {
        if !has(kind.program()) {
            eprintln!("skipped: {} is not installed", kind.program());
            return None;
        }
        let mut place = Place::new();
        let [port, files_port, inner_files, health] = free_ports();
        let host = shape.host();
        place.world.set("public_url", format!("https://{host}:{port}{}", shape.path()));
        place.world.set("trusted_proxies", "127.0.0.1");
        place.world.set("files.public_url", format!("https://{host}:{files_port}"));
        let up = place.up(&[]);
        place.until("it says where it is", || up.out().contains("try: "));
        let said = up.out();
        let address = |what: &str| {
            let mut lines = said.lines().filter(|line| line.trim_start().starts_with(what));
            lines
                .find_map(|line| line.rsplit_once("http://"))
                .unwrap_or_else(|| panic!("{said}"))
                .1
                .to_owned()
        };
        let (api, dashboard) = (address("API"), address("dashboard"));
        let token =
            place.run(&["token", "create", "far", "--role", "admin"]).with(0).text().trim().to_owned();

        let names = [host.to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (certificate, key) = (place.path("cert.pem"), place.path("key.pem"));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();

        let has_files = has("nginx");
        let mut others = Vec::new();
        if has_files {
            others.push(file_server(&place, &api, inner_files, health));
        } else {
            eprintln!("skipped: the file server, because nginx is not installed");
        }
        let shown = |path: &Path| path.to_str().unwrap().to_owned();
        let changes = [
            ("/etc/ssl/conductor/cert.pem", shown(&certificate)),
            ("/etc/ssl/conductor/key.pem", shown(&key)),
            ("127.0.0.1:8080", dashboard),
            ("127.0.0.1:8081", api),
            ("127.0.0.1:8090", format!("127.0.0.1:{inner_files}")),
        ];
        others.push(match kind {
            Kind::Nginx => nginx(&place, shape, port, files_port, &changes),
            Kind::Caddy => caddy(&place, shape, port, files_port, &changes),
        });
        let front = Self { place, shape, port, files_port, has_files, token, up, certificate, others };
        front
            .place
            .until("the proxy answers", || front.curl(&[&format!("{}/healthz", front.base())]).status == 200);
        if front.has_files {
            let files = format!("https://{host}:{files_port}/");
            front.place.until("the file server answers", || front.curl(&[&files]).status == 401);
        }
        Some(front)
    }

    /// Where people find it.
    pub fn base(&self) -> String {
        format!("{}{}", self.origin(), self.shape.path())
    }

    pub fn origin(&self) -> String {
        format!("https://{}:{}", self.shape.host(), self.port)
    }

    /// Where the file server is found.
    pub fn files(&self) -> Option<String> {
        self.has_files.then(|| format!("https://{}:{}", self.shape.host(), self.files_port))
    }

    /// The link that logs a browser in.
    pub fn login_link(&self) -> String {
        let said = self.up.out();
        let link = said.split_whitespace().find(|word| word.contains("/login?code="));
        link.unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("curl");
        let host = self.shape.host();
        command.args(["-gsSi", "--noproxy", "*", "-m", "70", "--interface", PERSON, "--cacert"]);
        command.arg(&self.certificate);
        for port in [self.port, self.files_port] {
            command.arg("--resolve").arg(format!("{host}:{port}:127.0.0.1"));
        }
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Asks by curl; the status is 0 when nothing answered.
    pub fn curl(&self, args: &[&str]) -> Answer {
        let output = self.command(args).output().expect("curl is installed");
        let mut rest = &output.stdout[..];
        loop {
            let end = rest.windows(4).position(|four| four == b"\r\n\r\n").map_or(rest.len(), |at| at + 4);
            let (head, body) = rest.split_at(end);
            let head = String::from_utf8_lossy(head).into_owned();
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
            if status != 100 {
                return Answer { status, head, body: body.to_vec() };
            }
            rest = body;
        }
    }

    /// The same with a token.
    pub fn api(&self, args: &[&str]) -> Answer {
        let bearer = format!("Authorization: Bearer {}", self.token);
        self.curl(&[&["-H", &bearer], args].concat())
    }

    /// Asks and reads until this was said.
    pub fn hears(&self, url: &str, headers: &[&str], expected: &str) {
        let bearer = format!("Authorization: Bearer {}", self.token);
        let mut command = self.command(&["-N", "--http1.1", url]);
        if !headers.iter().any(|header| header.starts_with("Cookie")) {
            command.args(["-H", &bearer]);
        }
        for header in headers {
            command.args(["-H", header]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("curl is installed");
        let mut out = child.stdout.take().unwrap();
        let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
        // curl itself gives up after its time.
        while !String::from_utf8_lossy(&heard).contains(expected) {
            let read = out.read(&mut piece).unwrap();
            assert!(read > 0, "{url} ended without {expected}: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&piece[..read]);
        }
        let _ended = child.kill().and_then(|()| child.wait());
    }

    /// The command line, from elsewhere.
    pub fn cli(&self, args: &[&str]) -> Ended {
        let here = Place::new();
        let mut command = here.command(args);
        // It resolves no name of an example, so it asks for the address, which the certificate has too.
        let url = format!("https://127.0.0.1:{}{}", self.port, self.shape.path());
        command
            .env("CONDUCTOR_URL", url)
            .env("CONDUCTOR_TOKEN", &self.token)
            .env("SSL_CERT_FILE", &self.certificate);
        here.begin(command).end()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        for other in &mut self.others {
            end(other);
        }
        if std::thread::panicking() {
            for name in ["proxy.said", "files.said"] {
                eprintln!("{name}: {}", fs::read_to_string(self.place.path(name)).unwrap_or_default());
            }
        }
    }
}

/// An nginx that is killed leaves its workers, so it is asked first.
fn end(child: &mut Child) {
    let _asked = kill_process(Pid::from_child(child), Signal::TERM);
    let end = Instant::now() + END;
    while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(10));
    }
    // It may have ended by itself.
    let _ended = child.kill().and_then(|()| child.wait());
}

/// A configuration of `deploy/proxy`, with the addresses of this test.
fn shipped(name: &str, changes: &[(&str, String)]) -> String {
    let path = repository().join("deploy/proxy").join(name);
    let mut text = fs::read_to_string(path).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has {from}");
        text = text.replace(from, to);
    }
    text
}

fn start(place: &Place, name: &str, command: &mut Command) -> Child {
    let said = File::create(place.path(name)).unwrap();
    command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap()
}

fn nginx(place: &Place, shape: Shape, port: u16, files_port: u16, changes: &[(&str, String)]) -> Child {
    let name = match shape {
        Shape::Host => "nginx-host.conf",
        Shape::Path => "nginx-path.conf",
    };
    let listen = [
        ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
        ("listen 8443 ssl", format!("listen 127.0.0.1:{files_port} ssl")),
    ];
    let servers = shipped(name, &[changes, &listen].concat());
    let folder = place.path("nginx");
    fs::create_dir(&folder).unwrap();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {}/{what};\n", folder.display()))
        .concat();
    // Without a master there is one process, which ends with this test.
    let text = format!(
        "daemon off; master_process off; pid {0}/pid; error_log stderr warn;\nevents {{ worker_connections 256; }}\n\
         http {{\naccess_log off;\n{temporary}{servers}}}\n",
        folder.display()
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, text).unwrap();
    start(place, "proxy.said", Command::new("nginx").args(["-e", "stderr", "-c"]).arg(path))
}

fn caddy(place: &Place, shape: Shape, port: u16, files_port: u16, changes: &[(&str, String)]) -> Child {
    let name = match shape {
        Shape::Host => "host.Caddyfile",
        Shape::Path => "path.Caddyfile",
    };
    let host = shape.host();
    let own = format!("https://{host}:{port}, https://127.0.0.1:{port} {{\n");
    let files = format!("https://{host}:{files_port} {{\n");
    let sites = [
        (format!("\n{host}:8443 {{\n"), format!("\n{files}")),
        (format!("\n{host} {{\n"), format!("\n{own}")),
    ];
    let sites: Vec<(&str, String)> = sites.iter().map(|(from, to)| (from.as_str(), to.clone())).collect();
    let text = shipped(name, &[changes, &sites].concat());
    let folder = place.path("caddy");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("Caddyfile");
    let global = format!(
        "{{\nadmin off\nauto_https disable_redirects\ndefault_bind 127.0.0.1\ndefault_sni {host}\n}}\n"
    );
    fs::write(&path, format!("{global}{text}")).unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(path);
    command.env("HOME", &folder).env("XDG_DATA_HOME", &folder).env("XDG_CONFIG_HOME", &folder);
    start(place, "proxy.said", &mut command)
}

/// The file server as its container runs it.
fn file_server(place: &Place, api: &str, port: u16, health: u16) -> Child {
    let shipped = repository().join("nginx");
    let home = place.world.home();
    let url = &place.world.environment();
    let url = url.iter().find(|(name, _)| name == "CONDUCTOR__PUBLIC_URL").unwrap().1.clone();
    let mut command = Command::new("sh");
    command
        .arg(shipped.join("start.sh"))
        .env("CONDUCTOR_NGINX_TEMPLATE", shipped.join("nginx.conf.template"))
        .env("CONDUCTOR_NGINX_RUN", place.path("files"))
        .env("CONDUCTOR_NGINX_WORKERS", "1")
        .env("CONDUCTOR_FILES_LISTEN", format!("127.0.0.1:{port}"))
        .env("CONDUCTOR_FILES_HEALTH_LISTEN", format!("127.0.0.1:{health}"))
        .env("CONDUCTOR_API", api)
        .env("CONDUCTOR_RESOLVER", "127.0.0.1")
        .env("CONDUCTOR_DASHBOARD_URL", url)
        .env("CONDUCTOR_WORKSPACE", &home.workspace)
        .env("CONDUCTOR_LOGS", &home.logs);
    start(place, "files.said", &mut command)
}
