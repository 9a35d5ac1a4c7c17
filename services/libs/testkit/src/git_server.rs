//! A server of private repositories: HTTPS with a certificate of its own, `git http-backend` behind it, and the parts of the
//! APIs of GitHub, GitLab and Gitea that open pull requests, and a store of large files. Who shows no token is refused.

mod forge;
mod large;

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The longest a client may take.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_BODY: usize = 64 << 20;
const MAX_LINE: u64 = 16 << 10;

/// The server. It ends when it is dropped.
#[derive(Debug)]
pub struct GitServer {
    address: SocketAddr,
    certificate: String,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    root: PathBuf,
    token: String,
    ended: AtomicBool,
    refused: AtomicUsize,
    /// How many answers of the API and of the store of large files are failures before it works, and how many refusals.
    failing: AtomicUsize,
    refusing: AtomicUsize,
    pull_requests: Mutex<Vec<Value>>,
    /// Where the store of large files lies, where that is another server.
    storage: Mutex<Option<String>>,
    /// How many requests to the storage of another server showed a credential of that one.
    exposed: AtomicUsize,
}

impl Shared {
    /// Whether the next answer is to be a failure.
    fn fails_now(&self) -> bool {
        takes_one(&self.failing)
    }
}

fn takes_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("root", &self.root).finish_non_exhaustive()
    }
}

impl GitServer {
    /// Serves the repositories below a folder to who shows the token.
    ///
    /// # Panics
    /// When no port or certificate can be had.
    #[must_use]
    pub fn start(root: &Path, token: &str) -> Self {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let chain: Vec<CertificateDer<'static>> = vec![made.cert.der().clone()];
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has what the protocol's versions need")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the certificate fits its key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            token: token.to_owned(),
            ended: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
            failing: AtomicUsize::new(0),
            refusing: AtomicUsize::new(0),
            pull_requests: Mutex::default(),
            storage: Mutex::default(),
            exposed: AtomicUsize::new(0),
        });
        let (config, inside) = (Arc::new(config), Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if inside.ended.load(Ordering::SeqCst) {
                    return;
                }
                let (config, shared) = (Arc::clone(&config), Arc::clone(&inside));
                std::thread::spawn(move || {
                    // A client that goes away is its own affair.
                    let _ = serve(&shared, config, stream);
                });
            }
        });
        Self { address, certificate: made.cert.pem(), shared, listener: Some(thread) }
    }

    /// The host as credentials name it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// Where a repository is, by its path below the root without `.git`.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        format!("https://{}/{repository}.git", self.host())
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The pull requests that were opened.
    #[must_use]
    pub fn pull_requests(&self) -> Vec<Value> {
        self.shared.pull_requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests came without the token.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Lets large files lie on another server, as forges do.
    pub fn store_at(&self, other: &Self) {
        let base = format!("https://{}/storage", other.host());
        *self.shared.storage.lock().unwrap_or_else(PoisonError::into_inner) = Some(base);
    }

    /// How many of those who came for large files of another server showed a credential.
    #[must_use]
    pub fn exposed(&self) -> usize {
        self.shared.exposed.load(Ordering::SeqCst)
    }

    /// Makes the next answers of the API and of the store of large files failures.
    pub fn fail_next(&self, count: usize) {
        self.shared.failing.store(count, Ordering::SeqCst);
    }

    /// Makes the next answers of the API refusals, as of a token that may not do it.
    pub fn refuse_next(&self, count: usize) {
        self.shared.refusing.store(count, Ordering::SeqCst);
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // It waits for a connection, so it gets one.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn json(status: &str, body: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status: status.to_owned(), headers, body: body.to_string().into_bytes() }
    }
}

fn serve(shared: &Shared, config: Arc<ServerConfig>, stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    while let Some(request) = read(&mut stream)? {
        let answer = answer(shared, &request)?;
        let mut head = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let stream = stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(&answer.body)?;
        stream.flush()?;
    }
    Ok(())
}

fn read(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let line = line(stream)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next().filter(|word| !word.is_empty()), words.next()) else {
        return Ok(None);
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HashMap::new();
    loop {
        let line = self::line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        loop {
            let length = usize::from_str_radix(self::line(stream)?.trim(), 16).map_err(io::Error::other)?;
            if body.len() + length > MAX_BODY {
                return Err(io::ErrorKind::InvalidData.into());
            }
            io::copy(&mut stream.by_ref().take(length as u64), &mut body)?;
            self::line(stream)?;
            if length == 0 {
                break;
            }
        }
    } else {
        let length: usize = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        io::copy(&mut stream.by_ref().take(length.min(MAX_BODY) as u64), &mut body)?;
    }
    let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
    Ok(Some(Request { method, path, query, headers, body }))
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.by_ref().take(MAX_LINE).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn answer(shared: &Shared, request: &Request) -> io::Result<Answer> {
    use base64::Engine as _;
    if let Some(answer) = large::stored(shared, request)? {
        return Ok(answer);
    }
    let shown = request.headers.get("authorization").map(String::as_str).unwrap_or_default();
    let is_known = match shown.split_once(' ') {
        Some(("Basic", text)) => base64::engine::general_purpose::STANDARD
            .decode(text)
            .is_ok_and(|text| text.ends_with(format!(":{}", shared.token).as_bytes())),
        Some(("Bearer" | "token", text)) => text == shared.token,
        Some(_) | None => request.headers.get("private-token") == Some(&shared.token),
    };
    if !is_known {
        shared.refused.fetch_add(1, Ordering::SeqCst);
        let mut answer = Answer::json("401 Unauthorized", &json!({"message": "Bad credentials"}));
        answer.headers.push(("www-authenticate".to_owned(), "Basic realm=\"git\"".to_owned()));
        return Ok(answer);
    }
    if let Some(answer) = large::answer(shared, request)? {
        return Ok(answer);
    }
    match forge::answer(shared, request) {
        Some(answer) => Ok(answer),
        None => backend(shared, request),
    }
}

/// Lets `git http-backend` answer, as a web server does by CGI.
fn backend(shared: &Shared, request: &Request) -> io::Result<Answer> {
    let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", "someone")
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut input, body) = (child.stdin.take().expect("it is piped"), request.body.clone());
    let writer = std::thread::spawn(move || input.write_all(&body));
    let mut output = Vec::new();
    child.stdout.take().expect("it is piped").read_to_end(&mut output)?;
    child.wait()?;
    // It may have answered before it read everything.
    let _ = writer.join();
    let split =
        output.windows(4).position(|window| window == b"\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let mut answer =
        Answer { status: "200 OK".to_owned(), headers: Vec::new(), body: output[split + 4..].to_vec() };
    for line in String::from_utf8_lossy(&output[..split]).lines() {
        match line.split_once(": ") {
            Some(("Status", status)) => answer.status = status.to_owned(),
            Some((name, value)) => answer.headers.push((name.to_owned(), value.to_owned())),
            None => {}
        }
    }
    Ok(answer)
}
