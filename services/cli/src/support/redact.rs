//! Taking secrets out of texts: those that are known, and what looks like one.

use std::fs;
use std::path::Path;

use conductor_runtime::config::Loaded;

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";
/// A shorter text is no secret of its own.
const SHORTEST: usize = 8;
/// A file of the config folder that is longer is no secret.
const MAX_SECRET_BYTES: u64 = 4_096;
/// What secrets begin with, of ours and of others.
const PREFIXES: [&str; 17] = [
    "cnd_",
    "cns_",
    "cnl_",
    "sk-",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "ASIA",
    "AIza",
    "eyJ",
    "whsec_",
];
/// Names whose values are secrets.
const NAMES: [&str; 7] = ["token", "secret", "password", "passwd", "api_key", "apikey", "authorization"];

/// Takes secrets out of texts.
#[derive(Debug)]
pub struct Redactor {
    known: Vec<String>,
}

impl Redactor {
    /// Knows what lies in the files of the config folder and in the variables of this process that hold secrets.
    pub fn new(loaded: &Loaded) -> Self {
        let mut known = Vec::new();
        collect(&loaded.home.config, &mut known, 0);
        let values = std::env::vars().filter(|(name, _)| is_name(name)).map(|(_, value)| value);
        known.extend(values);
        Self::knowing(known)
    }

    fn knowing(mut known: Vec<String>) -> Self {
        known.retain(|secret| secret.len() >= SHORTEST);
        // A longer one may hold a shorter one.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { known }
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.known {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REDACTED);
            }
        }
        let mut clean = String::with_capacity(text.len());
        let mut before = String::new();
        let mut word = String::new();
        for letter in text.chars().chain(['\n']) {
            if is_of_a_word(letter) {
                word.push(letter);
                continue;
            }
            clean.push_str(redacted(&before, &word).as_deref().unwrap_or(&word));
            clean.push(letter);
            let word = std::mem::take(&mut word);
            if word.contains(|letter: char| letter.is_ascii_alphanumeric()) {
                before = word;
            }
            if letter == '\n' {
                before.clear();
            }
        }
        clean.pop();
        clean
    }
}

/// Letters that secrets are made of, and addresses with a password in them.
fn is_of_a_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_-./+:@%~".contains(letter)
}

/// What a word becomes, when it is a secret or holds one; `before` is the word before it.
fn redacted(before: &str, word: &str) -> Option<String> {
    if word.len() < SHORTEST {
        return None;
    }
    if let Some((scheme, rest)) = word.split_once("://")
        && let Some((_, host)) = rest.split('/').next().unwrap_or_default().rsplit_once('@')
    {
        let path = rest.find('/').map_or("", |at| &rest[at..]);
        return Some(format!("{scheme}://{REDACTED}@{host}{path}"));
    }
    let is_marked = before.eq_ignore_ascii_case("bearer") || before.eq_ignore_ascii_case("basic");
    let has_name = is_name(before.trim_end_matches(':')) && word.len() >= 2 * SHORTEST;
    let bare = word.rsplit([':', '/']).next().unwrap_or(word);
    let is_known = PREFIXES.iter().any(|prefix| bare.starts_with(prefix)) && bare.len() >= 2 * SHORTEST;
    (is_marked || has_name || is_known).then(|| REDACTED.to_owned())
}

fn is_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|part| name.ends_with(part))
}

fn collect(folder: &Path, known: &mut Vec<String>, depth: usize) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(found) = entry.metadata() else { continue };
        if found.is_dir() && depth < 3 {
            collect(&path, known, depth + 1);
        }
        let is_settings = path.extension().is_some_and(|kind| kind == "yaml");
        if found.is_file() && !is_settings && found.len() <= MAX_SECRET_BYTES {
            known.extend(fs::read_to_string(&path).ok().map(|text| text.trim().to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_secrets_go_wherever_they_stand() {
        let redactor = Redactor::knowing(vec!["correct horse battery".to_owned(), "short".to_owned()]);
        assert_eq!(redactor.text("a correct horse battery, short"), "a [redacted], short");
    }

    #[test]
    fn what_looks_like_a_secret_goes_and_the_rest_stays() {
        let redactor = Redactor::knowing(Vec::new());
        for (text, clean) in [
            ("Authorization: Bearer abcdefgh12", "Authorization: Bearer [redacted]"),
            ("redis://user:pass@host:6379/0 away", "redis://[redacted]@host:6379/0 away"),
            ("key=sk-ant-0123456789abcdef\n", "key=[redacted]\n"),
            (r#"{"token":"cnd_0123456789abcdef0123"}"#, r#"{"token":"[redacted]"}"#),
            (r#""password": "0123456789abcdefgh""#, r#""password": "[redacted]""#),
            (
                "task 0193e5a0-0000-7000-8000-000000000000 ended",
                "task 0193e5a0-0000-7000-8000-000000000000 ended",
            ),
            ("http://127.0.0.1:8081/v1/tasks", "http://127.0.0.1:8081/v1/tasks"),
        ] {
            assert_eq!(redactor.text(text), clean);
        }
    }
}
