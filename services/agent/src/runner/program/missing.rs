//! Commands that a run missed, by what shells say of them.

/// The longest name that is believed to be a command.
const MAX_NAME_CHARS: usize = 64;
/// How much of an output is looked through.
const MAX_LOOKED_BYTES: usize = 64 << 10;

/// The command that an output says is missing.
pub(super) fn command_in(output: &str) -> Option<String> {
    let end = (0..=MAX_LOOKED_BYTES.min(output.len())).rev().find(|at| output.is_char_boundary(*at))?;
    output[..end].lines().find_map(in_line)
}

fn in_line(line: &str) -> Option<String> {
    let line = line.trim();
    let name = if let Some((_, name)) = line.split_once("command not found: ") {
        name
    } else if let Some(before) = line.strip_suffix(": command not found") {
        before.rsplit(": ").next()?
    } else if let Some(before) = line.strip_suffix(": not found") {
        // As dash says it: `sh: 1: name: not found`.
        let (shell, name) = before.rsplit_once(": ")?;
        if !shell.contains("sh: ") {
            return None;
        }
        name
    } else {
        return None;
    };
    let fits = |c: char| c.is_alphanumeric() || "._+-/".contains(c);
    let is_name = !name.is_empty() && name.len() <= MAX_NAME_CHARS && name.chars().all(fits);
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_found_as_each_shell_names_it() {
        for (line, name) in [
            ("bash: line 1: cargo: command not found", Some("cargo")),
            ("sh: 1: npm: not found", Some("npm")),
            ("/bin/sh: 3: go: not found", Some("go")),
            ("zsh: command not found: uv", Some("uv")),
            ("first\nbash: foo: command not found\nlast", Some("foo")),
            ("the page was: not found", None),
            ("error: module x: not found", None),
        ] {
            assert_eq!(command_in(line).as_deref(), name, "{line}");
        }
    }
}
