//! Where a path of the file server leads.

use conductor_core::TaskId;

/// Folders that are never shown, wherever they lie.
const HIDDEN: [&str; 1] = [".git"];

/// Where a path of the file server leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The list of runs.
    Front,
    /// A path in the folder of a run, without slashes at its ends.
    Run(TaskId, String),
    /// A path in the folder of the logs, likewise.
    Logs(String),
    /// Nothing that is ever handed out.
    Nothing,
}

impl Place {
    /// Reads a path as it stands in a request. What does not have the one form that nginx uses leads nowhere, so that both
    /// always mean the same file.
    pub(crate) fn of(uri: &str) -> Self {
        let path = uri.split(['?', '#']).next().unwrap_or_default();
        let Some(path) = decoded(path) else { return Self::Nothing };
        let Some(inner) = path.strip_prefix('/') else { return Self::Nothing };
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        if inner.is_empty() {
            return if path == "/" { Self::Front } else { Self::Nothing };
        }
        let strange = |name: &str| {
            matches!(name, "" | "." | "..") || name.contains(['\\', '\0']) || HIDDEN.contains(&name)
        };
        if inner.split('/').any(strange) {
            return Self::Nothing;
        }
        let (top, rest) = inner.split_once('/').unwrap_or((inner, ""));
        let (id, below) = rest.split_once('/').unwrap_or((rest, ""));
        match (top, id) {
            ("tasks", "") => Self::Front,
            // Only the one spelling of an id is a folder's name.
            ("tasks", id) => match id.parse::<TaskId>() {
                Ok(task) if task.to_string() == id => Self::Run(task, below.to_owned()),
                Ok(_) | Err(_) => Self::Nothing,
            },
            ("logs", _) => Self::Logs(rest.to_owned()),
            (_, _) => Self::Nothing,
        }
    }
}

/// Resolves `%..`, once, as nginx does; nothing when that is malformed, would hide a slash, or is no text.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = u8::try_from(digit()? * 16 + digit()?).ok()?;
        if matches!(value, b'/' | b'\0') {
            return None;
        }
        bytes.push(value);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01920000-0000-7000-8000-000000000001";

    #[test]
    fn paths_of_a_run_lead_into_its_folder() {
        for (path, inner) in [
            ("", ""),
            ("/", ""),
            ("/work/a.txt", "work/a.txt"),
            ("/attempts/1/output.log?x=/private", "attempts/1/output.log"),
            ("/work/a%20b/", "work/a b"),
            ("/work/%2e%2ex", "work/..x"),
            ("/work/100%25.txt", "work/100%.txt"),
            ("/work/.gitignore", "work/.gitignore"),
            ("/work/a%0Ab", "work/a\nb"),
        ] {
            let run = Place::Run(ID.parse().unwrap(), inner.to_owned());
            assert_eq!(Place::of(&format!("/tasks/{ID}{path}")), run, "{path}");
        }
    }

    #[test]
    fn paths_that_could_mean_another_file_lead_nowhere() {
        for path in [
            "/private/x",
            "/tasks/x/..",
            &format!("/tasks/{ID}/../other"),
            &format!("/tasks/{ID}/%2e%2e/other"),
            &format!("/tasks/{ID}/..%2fother"),
            &format!("/tasks/{ID}//x"),
            &format!("/tasks/{ID}/x//"),
            &format!("//tasks/{ID}"),
            &format!("/tasks/{ID}/%zz"),
            &format!("/tasks/{ID}/%"),
            &format!("/tasks/{ID}/%00"),
            &format!("/tasks/{ID}/%ff"),
            &format!("/tasks/{ID}/a\\b"),
            &format!("/tasks/{ID}/work/.git/config"),
            &format!("/tasks/{ID}/work/%2Egit"),
            &format!("/tasks/{}/x", ID.replace('-', "")),
            "/../logs/x",
            "/logs/../tasks",
            "/etc/passwd",
            "//",
            "",
            "tasks",
        ] {
            assert_eq!(Place::of(path), Place::Nothing, "{path}");
        }
        assert_eq!(Place::of("/logs/a/api.log"), Place::Logs("a/api.log".into()));
        assert_eq!(
            (Place::of("/logs"), Place::of("/logs/")),
            (Place::Logs("".into()), Place::Logs("".into()))
        );
        assert_eq!(
            (Place::of("/"), Place::of("/tasks/"), Place::of("/tasks")),
            (Place::Front, Place::Front, Place::Front)
        );
    }
}
