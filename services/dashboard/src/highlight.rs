//! Source text with its comments, strings, numbers and keywords told apart, well enough for a preview.

/// A piece of source and its class, which is empty for plain text.
pub type Span = (&'static str, String);

const KEYWORDS: &[&str] = &[
    "abstract",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "begin",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "class",
    "const",
    "continue",
    "def",
    "default",
    "del",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "end",
    "enum",
    "esac",
    "except",
    "export",
    "extends",
    "extern",
    "false",
    "False",
    "fi",
    "final",
    "finally",
    "float",
    "fn",
    "for",
    "from",
    "func",
    "function",
    "global",
    "go",
    "if",
    "impl",
    "implements",
    "import",
    "in",
    "int",
    "interface",
    "is",
    "lambda",
    "let",
    "local",
    "long",
    "loop",
    "match",
    "mod",
    "mut",
    "namespace",
    "new",
    "nil",
    "none",
    "None",
    "not",
    "null",
    "or",
    "package",
    "pass",
    "private",
    "protected",
    "pub",
    "public",
    "raise",
    "ref",
    "return",
    "select",
    "self",
    "Self",
    "static",
    "str",
    "string",
    "struct",
    "super",
    "switch",
    "then",
    "this",
    "throw",
    "trait",
    "true",
    "True",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "use",
    "using",
    "var",
    "void",
    "where",
    "while",
    "with",
    "yield",
];

/// How comments are written in a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comments {
    /// `// …` and `/* … */`
    Slashes,
    /// `# …`
    Hash,
    /// `-- …`
    Dashes,
    /// Words without code.
    Prose,
}

fn comments_of(path: &str) -> Comments {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.').map_or(name, |(_, extension)| extension) {
        "rs" | "c" | "h" | "cc" | "cpp" | "hpp" | "js" | "mjs" | "ts" | "tsx" | "jsx" | "java" | "go"
        | "kt" | "swift" | "css" | "scss" | "php" | "cs" | "scala" | "proto" | "json" => Comments::Slashes,
        "py" | "sh" | "bash" | "zsh" | "rb" | "yml" | "yaml" | "toml" | "conf" | "ini" | "pl" | "r"
        | "mk" | "tf" | "Makefile" | "Dockerfile" => Comments::Hash,
        "sql" | "lua" | "hs" => Comments::Dashes,
        _ => Comments::Prose,
    }
}

/// Tells apart what the text of a file holds, line by line.
#[must_use]
pub fn lines(path: &str, text: &str) -> Vec<Vec<Span>> {
    let comments = comments_of(path);
    let mut in_comment = false;
    text.lines()
        .map(|line| match comments {
            Comments::Prose => vec![("", line.to_owned())],
            Comments::Slashes | Comments::Hash | Comments::Dashes => code(comments, line, &mut in_comment),
        })
        .collect()
}

fn code(comments: Comments, line: &str, in_comment: &mut bool) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut push = |class: &'static str, text: &str| match spans.last_mut() {
        Some((last, known)) if *last == class => known.push_str(text),
        _ => spans.push((class, text.to_owned())),
    };
    let mut rest = line;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let (class, length) = if *in_comment {
            let end = rest.find("*/");
            *in_comment = end.is_none();
            ("hc", end.map_or(rest.len(), |at| at + 2))
        } else if comments == Comments::Slashes && rest.starts_with("/*") {
            *in_comment = true;
            ("hc", 2)
        } else if begins_comment(comments, rest, before) {
            ("hc", rest.len())
        } else if matches!(first, '"' | '\'' | '`') && !before.is_alphanumeric() {
            match string(rest, first) {
                Some(length) => ("hs", length),
                None => ("", 1),
            }
        } else if first.is_ascii_digit() {
            ("hn", word(rest))
        } else if first.is_alphabetic() || first == '_' {
            let length = word(rest);
            (if KEYWORDS.contains(&&rest[..length]) { "hk" } else { "" }, length)
        } else {
            ("", first.len_utf8())
        };
        push(class, &rest[..length]);
        before = rest[..length].chars().next_back().unwrap_or(' ');
        rest = &rest[length..];
    }
    spans
}

fn begins_comment(comments: Comments, rest: &str, before: char) -> bool {
    match comments {
        Comments::Slashes => rest.starts_with("//") && before != ':',
        Comments::Hash => rest.starts_with('#') && (before.is_whitespace()),
        Comments::Dashes => rest.starts_with("--"),
        Comments::Prose => false,
    }
}

fn word(rest: &str) -> usize {
    rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len())
}

/// How long the string at the front is; none when it does not end on its line, as a lifetime does not.
fn string(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, char) in rest.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            char if char == quote => return Some(at + char.len_utf8()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_code_is_told_apart() {
        let told = &lines("a.rs", "let x = \"a\\\"b\"; // why 1")[0];
        let classes: Vec<_> = told.iter().map(|(class, text)| (*class, text.as_str())).collect();
        assert_eq!(
            classes,
            [("hk", "let"), ("", " x = "), ("hs", "\"a\\\"b\""), ("", "; "), ("hc", "// why 1")]
        );
    }

    #[test]
    fn comments_go_on_over_lines() {
        let told = lines("a.c", "a /* b\nc */ 12");
        assert_eq!(told[0][1], ("hc", "/* b".to_owned()));
        assert_eq!(told[1][0], ("hc", "c */".to_owned()));
        assert_eq!(told[1][2], ("hn", "12".to_owned()));
    }

    #[test]
    fn nothing_of_a_text_is_lost() {
        let text = "def f(a): # 漢字\n  return 'x' + a['y\" \\\nfn g<'a>() {}\n";
        for path in ["a.py", "a.rs", "a.sql", "a.md", "Makefile"] {
            let told = lines(path, text);
            let back: Vec<String> =
                told.iter().map(|line| line.iter().map(|(_, text)| text.as_str()).collect()).collect();
            assert_eq!(back.join("\n"), text.trim_end_matches('\n'), "{path}");
        }
    }
}
