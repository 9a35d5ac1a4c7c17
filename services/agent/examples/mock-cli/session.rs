//! The session: what is left of a script, in a file where the real program has its own.

use std::fs;
use std::path::PathBuf;

use crate::Dialect;

/// A session that is going on.
#[derive(Debug)]
pub struct Session {
    pub id: String,
    path: PathBuf,
}

impl Session {
    pub fn new(dialect: Dialect, id: Option<&str>) -> Self {
        let id = id.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
        let folder = |variable: &str| PathBuf::from(std::env::var_os(variable).unwrap_or_default());
        let path = match dialect {
            Dialect::Claude => folder("CLAUDE_CONFIG_DIR").join("projects/mock"),
            Dialect::Codex => folder("CODEX_HOME").join("sessions"),
            Dialect::Acp => folder("HOME").join(".gemini/acp"),
            Dialect::Gemini => folder("HOME").join(".gemini/sessions"),
        };
        Self { path: path.join(format!("{id}.json")), id }
    }

    /// What is left; none where there is no such session.
    pub fn left(&self) -> Option<Vec<String>> {
        serde_json::from_slice(&fs::read(&self.path).ok()?).ok()
    }

    pub fn keep(&self, left: &[String]) -> std::io::Result<()> {
        fs::create_dir_all(self.path.parent().expect("it lies in a folder"))?;
        fs::write(&self.path, serde_json::to_vec(left)?)
    }
}
