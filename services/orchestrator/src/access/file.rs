//! Tokens of a file, which an operator of many machines writes. The file is only read, and read again when it changes; one
//! that does not hold leaves in force what was read before.

use std::collections::HashSet;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conductor_core::{Groups, Name, Role, SecretDigest, Token, Wall};
use conductor_protocol::control;
use conductor_protocol::text::parse_rfc3339;
use conductor_runtime::lifecycle::Shutdown;
use serde::Deserialize;
use tokio::sync::watch;

use super::{RESERVED, digest_of, fixed, parse_digest};
use crate::view;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The most bytes that the file has.
const MAX_BYTES: u64 = 4 << 20;
/// The most tokens that it holds.
const MAX_TOKENS: usize = 10_000;
/// The fewest characters of a token; a shorter one can be guessed.
const MIN_CHARS: usize = 16;
/// The most.
const MAX_CHARS: usize = 256;

/// The tokens of the file, as they stand now.
pub(crate) type FileTokens = Arc<Vec<Token>>;

/// Why the tokens file does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("failed to read the tokens file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a list in YAML, or too long.
    #[error("the tokens file {path}: {why}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// One of its entries is not a token.
    #[error("the tokens file {path}, entry {entry}: {why}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// Which, from 1, with its name where it has one.
        entry: String,
        /// What is wrong.
        why: String,
    },
}

/// One entry as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    role: control::Role,
    groups: Option<Vec<String>>,
    expires_at: Option<String>,
    token: Option<String>,
    token_sha256: Option<String>,
}

/// The file, what it held last, and how it is told of.
#[derive(Debug)]
pub(crate) struct TokensFile {
    path: PathBuf,
    seen: Option<Seen>,
    tell: watch::Sender<FileTokens>,
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    modified: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl TokensFile {
    /// Reads the file for the first time. The receiver always has what holds.
    ///
    /// # Errors
    /// Names the file and the entry that does not hold.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, watch::Receiver<FileTokens>), Error> {
        let seen = look(&path);
        let (tell, tokens) = watch::channel(Arc::new(read(&path)?));
        Ok((Self { path, seen, tell }, tokens))
    }

    /// Reads the file again whenever it changes, until the end.
    pub(crate) async fn follow(mut self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.draining() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let looking = tokio::task::spawn_blocking(move || {
                self.look_again();
                self
            });
            match looking.await {
                Ok(file) => self = file,
                Err(_) => return tracing::error!("the look at the tokens file panicked"),
            }
        }
    }

    fn look_again(&mut self) {
        let seen = look(&self.path);
        if seen == self.seen {
            return;
        }
        self.seen = seen;
        match read(&self.path) {
            Ok(tokens) => {
                tracing::info!(path = %self.path.display(), tokens = tokens.len(), "the tokens file was read again");
                self.tell.send_replace(Arc::new(tokens));
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the tokens file does not hold; the tokens read before stay in force"
            ),
        }
    }
}

fn look(path: &Path) -> Option<Seen> {
    let found = std::fs::metadata(path).ok()?;
    Some(Seen { modified: (found.mtime(), found.mtime_nsec()), bytes: found.len(), inode: found.ino() })
}

fn read(path: &Path) -> Result<Vec<Token>, Error> {
    let form = |why: String| Error::Form { path: path.to_owned(), why };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    if text.len() as u64 > MAX_BYTES {
        return Err(form(format!("it has more than {MAX_BYTES} bytes")));
    }
    let entries: Option<Vec<serde_norway::Value>> =
        serde_norway::from_str(&text).map_err(|error| form(format!("it is not a list in YAML: {error}")))?;
    let entries = entries.unwrap_or_default();
    if entries.len() > MAX_TOKENS {
        return Err(form(format!("it holds more than {MAX_TOKENS} tokens")));
    }
    let (mut names, mut digests) = (HashSet::new(), HashSet::new());
    let mut tokens = Vec::with_capacity(entries.len());
    for (number, value) in (1..).zip(entries) {
        let called = value.get("name").and_then(|name| name.as_str()).map(ToOwned::to_owned);
        let bad = |why: String| {
            let entry =
                called.as_ref().map_or_else(|| format!("{number}"), |name| format!("{number} ({name})"));
            Error::Entry { path: path.to_owned(), entry, why }
        };
        // What serde says of a bad value may hold the value; only a field's name is passed on.
        let entry: Entry = serde_norway::from_value(value).map_err(|error| bad(without_values(&error)))?;
        let token = token(entry).map_err(bad)?;
        let fresh = names.insert(token.name.clone()) && digests.insert(token.digest);
        if !fresh {
            return Err(bad("its name or its token comes twice".to_owned()));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// What is wrong with an entry, without anything that might be a secret.
fn without_values(error: &serde_norway::Error) -> String {
    let said = error.to_string();
    let known = ["missing field", "unknown field", "unknown variant"];
    match known.iter().any(|known| said.starts_with(known)) {
        true => said,
        false => "it has name, role, and token or token_sha256, may have groups and expires_at, and all but groups \
                  are texts"
            .to_owned(),
    }
}

fn token(entry: Entry) -> Result<Token, String> {
    let name = Name::new(&entry.name).map_err(|error| format!("name: {error}"))?;
    if RESERVED.contains(&name.as_str()) {
        return Err(format!("name: {name} stands for somebody already"));
    }
    let expires_at = entry.expires_at.as_deref().map(parse_rfc3339).transpose();
    Ok(Token {
        name,
        role: role(entry.role),
        groups: groups(entry.groups)?,
        digest: digest(entry.token.as_deref(), entry.token_sha256.as_deref())?,
        created_at: Wall::default(),
        created_by: fixed("file"),
        expires_at: expires_at.map_err(|error| format!("expires_at: {error}"))?,
    })
}

fn role(role: control::Role) -> Role {
    view::role_from_wire(role)
}

fn groups(names: Option<Vec<String>>) -> Result<Groups, String> {
    let Some(names) = names else { return Ok(Groups::All) };
    if names.is_empty() {
        return Err("groups: an empty list reaches nothing; leave it out for all".to_owned());
    }
    let name = |text: &String| Name::new(text).map_err(|error| format!("groups: {text:?}: {error}"));
    Ok(Groups::Only(names.iter().map(name).collect::<Result<_, _>>()?))
}

fn digest(token: Option<&str>, sha256: Option<&str>) -> Result<SecretDigest, String> {
    match (token, sha256) {
        (Some(token), None) if token.len() < MIN_CHARS => {
            Err(format!("token: shorter than {MIN_CHARS} characters"))
        }
        (Some(token), None) if token.len() > MAX_CHARS => {
            Err(format!("token: longer than {MAX_CHARS} characters"))
        }
        (Some(token), None) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("token: holds white space or characters beyond ASCII".to_owned())
        }
        (Some(token), None) => Ok(digest_of(token)),
        (None, Some(digest)) => {
            parse_digest(digest).ok_or_else(|| "token_sha256: not 64 hexadecimal digits".to_owned())
        }
        (None, None) | (Some(_), Some(_)) => Err("it needs either token or token_sha256".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Vec<Token>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.yaml");
        std::fs::write(&path, text).expect("it is written");
        read(&path).map_err(|error| {
            let said = error.to_string();
            assert!(said.contains("tokens.yaml"), "it names the file: {said}");
            said
        })
    }

    #[test]
    fn a_list_of_tokens_is_read() {
        let digest = "ab".repeat(32);
        let text = format!(
            "- {{name: ci, role: operator, groups: [red, blue], token: secret-of-the-ci-system}}\n\
             - {{name: watch, role: viewer, expires_at: 2027-01-01T00:00:00Z, token_sha256: {digest}}}\n"
        );
        let tokens = written(&text).expect("it holds");
        assert_eq!(tokens[0].digest, digest_of("secret-of-the-ci-system"));
        assert_eq!((tokens[0].role, tokens[0].expires_at), (Role::Operator, None));
        assert!(tokens[0].groups.reach(&fixed("blue")) && !tokens[0].groups.reach(&fixed("green")));
        assert_eq!((&tokens[1].groups, tokens[1].digest), (&Groups::All, SecretDigest([0xab; 32])));
        assert_eq!(tokens[1].expires_at, Some(Wall(1_798_761_600_000)));
        assert_eq!(written("").expect("an empty file holds nothing"), []);
    }

    #[test]
    fn what_is_wrong_is_said_by_entry_without_the_secret() {
        let good = "- {name: ci, role: viewer, token: secret-of-the-ci-system}\n";
        for (entry, part) in [
            ("{role: viewer, token: topsecret-topsecret}", "entry 2: missing field `name`"),
            ("{name: x, role: boss, token: topsecret-topsecret}", "entry 2 (x): unknown variant `boss`"),
            ("{name: x, role: viewer, token: topsecret}", "shorter"),
            ("{name: x, role: viewer, token: [topsecret-topsecret]}", "are texts"),
            ("{name: x, role: viewer}", "either"),
            ("{name: x, role: viewer, token: topsecret-topsecret, token_sha256: ab}", "either"),
            ("{name: x, role: viewer, token_sha256: topsecret}", "64"),
            ("{name: x, role: viewer, groups: [], token: topsecret-topsecret}", "groups"),
            ("{name: x, role: viewer, expires_at: soon, token: topsecret-topsecret}", "expires_at"),
            ("{name: owner, role: viewer, token: topsecret-topsecret}", "somebody"),
            ("{name: ci, role: viewer, token: topsecret-topsecret}", "twice"),
            ("{name: x, role: viewer, token: secret-of-the-ci-system}", "twice"),
            ("{name: x, role: viewer, tokne: topsecret-topsecret}", "unknown field `tokne`"),
        ] {
            let said = written(&format!("{good}- {entry}\n")).expect_err(entry);
            assert!(said.contains("entry 2") && said.contains(part), "{entry}: {said}");
            assert!(!said.contains("topsecret") && !said.contains("secret-of"), "{said}");
        }
        assert!(written("ci: {}").expect_err("no list").contains("not a list"));
    }

    #[test]
    fn a_file_that_does_not_hold_any_more_leaves_in_force_what_was_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.yaml");
        let write = |text: &str| std::fs::write(&path, text).expect("it is written");
        write("- {name: ci, role: viewer, token: secret-of-the-ci-system}");
        let (mut file, tokens) = TokensFile::open(path.clone()).expect("it holds");
        let names = || tokens.borrow().iter().map(|token| token.name.to_string()).collect::<Vec<_>>();
        write("nonsense");
        file.look_again();
        assert_eq!(names(), ["ci"]);
        std::fs::remove_file(&path).expect("it is removed");
        file.look_again();
        assert_eq!(names(), ["ci"]);
        write("- {name: other, role: viewer, token: secret-of-the-other-system}");
        file.look_again();
        assert_eq!(names(), ["other"]);
        assert!(TokensFile::open(folder.path().join("absent")).is_err(), "the start is refused");
    }
}
