//! Asking git about a folder of the person's.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::exit::Failure;
use crate::screen::clean;

/// Nothing that a repository configures runs, but for the filters of files, without which git does not know what changed.
const OFF: [&str; 10] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "core.splitIndex=false",
    "-c",
    "core.quotePath=false",
];
/// The most characters of what git says that are told.
const MAX_SHOWN_CHARS: usize = 600;

/// A repository of the person's.
#[derive(Debug)]
pub struct Repository {
    /// As it was named.
    named: PathBuf,
    /// Its folder of files.
    pub top: PathBuf,
    pub objects: PathBuf,
    pub index: PathBuf,
    /// Where it says at which commits its own history was cut.
    pub shallow: PathBuf,
    pub object_format: String,
}

impl Repository {
    /// Looks at the repository in a folder; none when there is no git.
    ///
    /// # Errors
    /// When git does not take it for one.
    pub fn open(dir: &Path) -> Result<Option<Self>, Failure> {
        let none = PathBuf::new();
        let mut found = Self {
            named: dir.to_owned(),
            top: dir.canonicalize()?,
            objects: none.clone(),
            index: none.clone(),
            shallow: none,
            object_format: String::new(),
        };
        let mut ask = found.in_folder(&found.top);
        ask.args(["rev-parse", "--path-format=absolute", "--show-toplevel", "--show-object-format"]);
        for name in ["objects", "index", "shallow"] {
            ask.args(["--git-path", name]);
        }
        match Command::new("git").arg("--version").stdin(Stdio::null()).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Ok(_) | Err(_) => {}
        }
        let output = found.run(&mut ask)?;
        let lines: Vec<&[u8]> = output.split(|byte| *byte == b'\n').collect();
        let [top, format, objects, index, shallow, b""] = lines[..] else {
            return Err(found.fault("its path has a line break"));
        };
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        if path(top).canonicalize()? != found.top {
            return Err(found.fault("its .git belongs to another folder"));
        }
        found.object_format = String::from_utf8_lossy(format).into_owned();
        (found.objects, found.index, found.shallow) = (path(objects), path(index), path(shallow));
        Ok(Some(found))
    }

    /// The commit that it is at; none before the first.
    pub fn head(&self) -> Result<Option<String>, Failure> {
        self.maybe(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
    }

    /// The full name of the branch that it is on; none when it is on none.
    pub fn branch(&self) -> Result<Option<String>, Failure> {
        self.maybe(&["symbolic-ref", "--quiet", "HEAD"])
    }

    /// A line that git may not know: it says so by its status and in no words.
    pub fn maybe(&self, args: &[&str]) -> Result<Option<String>, Failure> {
        let output = self.in_folder(&self.top).args(args).output()?;
        match output.status.code() {
            Some(0) => Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())),
            Some(1) if output.stderr.is_empty() => Ok(None),
            Some(_) | None => Err(self.said(&output.stderr)),
        }
    }

    pub fn line(&self, args: &[&str]) -> Result<String, Failure> {
        let output = self.run(self.in_folder(&self.top).args(args))?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    /// A call of git in a folder, in which nothing but the folder says which repository is meant.
    pub fn in_folder(&self, folder: &Path) -> Command {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            let bytes = name.as_bytes();
            if bytes.starts_with(b"GIT_") && !bytes.starts_with(b"GIT_CONFIG_") {
                command.env_remove(name);
            }
        }
        let quiet = [
            ("LC_ALL", "C"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ];
        command.current_dir(folder).envs(quiet).args(OFF).stdin(Stdio::null());
        command
    }

    /// Makes a call that must succeed, and gives what it printed.
    pub fn run(&self, command: &mut Command) -> Result<Vec<u8>, Failure> {
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
        if output.status.success() { Ok(output.stdout) } else { Err(self.said(&output.stderr)) }
    }

    fn said(&self, words: &[u8]) -> Failure {
        let text = String::from_utf8_lossy(words);
        let lines: Vec<String> = text.lines().map(clean).filter(|line| !line.trim().is_empty()).collect();
        let words: String = lines.join("; ").chars().take(MAX_SHOWN_CHARS).collect();
        self.fault(&format!("git says: {words}; --no-history sends the files alone"))
    }

    /// What is wrong with it.
    pub fn fault(&self, why: &str) -> Failure {
        Failure::Usage(format!("--dir {}: {why}", self.named.display()))
    }
}
