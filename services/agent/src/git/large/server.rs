//! A server's store of large files: asked where they lie, and then fetched or brought there.
//!
//! The address of the store is that of the repository; what a `.lfsconfig` says of others is never read. The credential goes
//! to that host alone: where a file lies on another one, the server has given the headers that open it there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use conductor_outbound::{Answer, At, Call, Method, Post};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::super::http::Http;
use super::super::program::{Error, Git};
use super::super::remote::{Remote, Transport};
use super::Pointer;
use super::incoming::Incoming;

/// The most files that are asked about at once, and the most bytes of an answer.
const MAX_ASKED: usize = 100;
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// How often a file is tried when the way to the server seems to be the trouble, and the pause after the first try, which
/// grows fivefold.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const WHAT: &str = "lfs";
const JSON: &str = "application/vnd.git-lfs+json";
const OWN: [&str; 3] = ["host", "content-length", "transfer-encoding"];
const BYTES: &str = "application/octet-stream";

/// What a server says of some files.
#[derive(Deserialize)]
struct Answered {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    #[serde(default)]
    actions: Actions,
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Actions {
    download: Option<Action>,
    upload: Option<Action>,
    verify: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: Url,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

/// The way to the store of a repository.
pub(super) struct Server<'a> {
    http: Http<'a>,
    /// Ends in a slash.
    store: Url,
}

impl<'a> Server<'a> {
    pub fn of(git: &Git<'a>, remote: &Remote) -> Result<Self, Error> {
        let Transport::Https { .. } = remote.transport else {
            return Err(Error::Workspace {
                why: "large files are fetched over https alone".to_owned(),
                hint: "give the https address of the repository, or ask for it without lfs",
            });
        };
        let whole = format!("{}.git/info/lfs/", remote.url.trim_end_matches('/').trim_end_matches(".git"));
        let store = whole.parse().map_err(|_| failed("its address cannot be made"))?;
        let login = git.settings.login(&remote.host())?;
        let http = Http::open(git, login, WHAT, git.settings.config.timeout)?;
        Ok(Self { http, store })
    }

    /// Fetches files into a folder of such; what is not what was asked for is not kept.
    pub fn fetch(&self, wanted: &[Pointer], folder: &Path) -> Result<(), Error> {
        for some in wanted.chunks(MAX_ASKED) {
            let mut found = self.ask("download", some)?;
            for pointer in some {
                let missing = || failed(format!("the server has not {}", pointer.oid));
                let object = found.remove(&pointer.oid).ok_or_else(missing)?;
                if let Some(error) = &object.error {
                    return Err(self.refused(error, pointer));
                }
                let action = object.actions.download.ok_or_else(missing)?;
                self.tried(|| self.fetch_one(pointer, &action, folder))?;
            }
        }
        Ok(())
    }

    fn fetch_one(&self, pointer: &Pointer, action: &Action, folder: &Path) -> Result<(), Error> {
        let disk = || Error::disk("keep a large file");
        let mut new = Incoming::begin(folder, pointer).map_err(disk())?;
        let (mut hasher, mut bytes) = (Sha256::new(), 0);
        let take = |piece: &[u8]| {
            bytes += piece.len() as u64;
            if bytes > pointer.size {
                return Err(io::Error::other("it is larger than its pointer says"));
            }
            hasher.update(piece);
            new.file().write_all(piece)
        };
        match self.http.wait(self.http.outbound.fetch(self.at(action)?, take))? {
            200..=299 => {}
            status => return Err(failed(format!("the server answered {status} for {}", pointer.oid))),
        }
        if bytes != pointer.size || hex::encode(hasher.finalize()) != pointer.oid {
            return Err(failed(format!("what came for {} is something else", pointer.oid)));
        }
        new.keep(&pointer.below(folder)).map_err(disk())
    }

    /// Brings files to the server that it has not; `open` finds their content.
    pub fn bring(
        &self,
        given: &[Pointer],
        open: impl Fn(&Pointer) -> Result<File, Error>,
    ) -> Result<(), Error> {
        for some in given.chunks(MAX_ASKED) {
            let mut found = self.ask("upload", some)?;
            for pointer in some {
                let Some(object) = found.remove(&pointer.oid) else {
                    return Err(failed(format!("the server says nothing of {}", pointer.oid)));
                };
                if let Some(error) = &object.error {
                    return Err(self.refused(error, pointer));
                }
                // It has those already for which it asks nothing.
                let Some(action) = &object.actions.upload else { continue };
                self.tried(|| {
                    let mut at = self.at(action)?;
                    if !at.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                        at.headers.push(("content-type".to_owned(), BYTES.to_owned()));
                    }
                    let put = self.http.outbound.put(at, open(pointer)?, pointer.size, MAX_ANSWER_BYTES);
                    self.taken(&self.http.wait(put)?, pointer)
                })?;
                if let Some(action) = &object.actions.verify {
                    let body = json!({"oid": pointer.oid, "size": pointer.size});
                    self.tried(|| self.taken(&self.post(self.at(action)?, &body)?, pointer))?;
                }
            }
        }
        Ok(())
    }

    /// Asks where files lie or go.
    fn ask(&self, operation: &str, some: &[Pointer]) -> Result<BTreeMap<String, Object>, Error> {
        let objects: Vec<Value> =
            some.iter().map(|pointer| json!({"oid": pointer.oid, "size": pointer.size})).collect();
        let body = json!({"operation": operation, "transfers": ["basic"], "hash_algo": "sha256", "objects": objects});
        let url = self.store.join("objects/batch").expect("it ends in a slash");
        let action = Action { href: url, header: BTreeMap::new() };
        let answer = self.tried(|| {
            let answer = self.post(self.at(&action)?, &body)?;
            match answer.status {
                200..=299 => Ok(answer),
                status => {
                    let said = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
                    let said =
                        self.http.shown(said["message"].as_str().unwrap_or("it has no store of large files"));
                    Err(failed(format!("the server answered {status}: {said}")))
                }
            }
        })?;
        let answered: Answered =
            serde_json::from_slice(&answer.body).map_err(|_| failed("the answer is not what was asked"))?;
        Ok(answered.objects.into_iter().map(|object| (object.oid.clone(), object)).collect())
    }

    fn post(&self, at: At, body: &Value) -> Result<Answer, Error> {
        let mut headers = vec![("accept", JSON.to_owned())];
        for (name, value) in at.headers {
            // A POST is ours but for what lets it in.
            if name.eq_ignore_ascii_case("authorization") {
                headers.push(("authorization", value));
            }
        }
        let post = Post { url: at.url, content_type: JSON, headers, body: body.to_string().into_bytes() };
        let call = Call { method: Method::POST, post, max_answer_bytes: MAX_ANSWER_BYTES };
        self.http.wait(self.http.outbound.call(call))
    }

    /// Where an action leads, with the credential where that is the repository's own host.
    fn at(&self, action: &Action) -> Result<At, Error> {
        if action.href.scheme() != "https" {
            return Err(failed("the server names an address that is not https"));
        }
        // How long the body is and how it comes is said by who sends it.
        let is_ours = |name: &str| OWN.iter().any(|own| name.eq_ignore_ascii_case(own));
        let given = action.header.iter().filter(|(name, _)| !is_ours(name));
        let mut headers: Vec<(String, String)> =
            given.map(|(name, value)| (name.clone(), value.clone())).collect();
        let lets_in = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if let Some(login) = &self.http.login
            && !lets_in
            && action.href.origin() == self.store.origin()
        {
            let both = format!("{}:{}", login.user, login.token.reveal());
            let both = base64::engine::general_purpose::STANDARD.encode(both);
            headers.push(("authorization".to_owned(), format!("Basic {both}")));
        }
        Ok(At { url: action.href.clone(), headers })
    }

    fn taken(&self, answer: &Answer, pointer: &Pointer) -> Result<(), Error> {
        match answer.status {
            200..=299 => Ok(()),
            status => Err(failed(format!("the server answered {status} for {}", pointer.oid))),
        }
    }

    fn refused(&self, error: &Value, pointer: &Pointer) -> Error {
        let said = self.http.shown(error["message"].as_str().unwrap_or("no reason"));
        failed(format!("the server says of {}: {} {said}", pointer.oid, error["code"]))
    }

    /// Tries again what may have failed in passing.
    fn tried<T>(&self, what: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let (mut tries, mut pause) = (1..TRIES, FIRST_PAUSE);
        loop {
            match what() {
                Err(Error::Git { words, .. }) if is_passing(&words) && tries.next().is_some() => {
                    tracing::warn!(%words, "a large file failed and is tried again");
                    self.http.rest(pause)?;
                    pause *= 5;
                }
                done => return done,
            }
        }
    }
}

fn is_passing(words: &str) -> bool {
    ["answered 5", "answered 429", "no connection", "no answer within", "broke off", "did not answer"]
        .iter()
        .any(|passing| words.contains(passing))
}

fn failed(words: impl Into<String>) -> Error {
    Error::Git { what: WHAT.to_owned(), words: words.into() }
}
