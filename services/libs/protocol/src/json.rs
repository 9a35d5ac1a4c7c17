//! JSON that people and their programs send: read to the letter, and its faults told in words.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::problem::Problem;

mod strict;

use strict::Strict;

/// Reads a value. Other than serde by itself, it takes no list in place of an object, and no key of a map
/// twice.
///
/// # Errors
/// Says what is wrong and where.
pub fn read<T: DeserializeOwned>(json: &str, at: &str) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = T::deserialize(Strict(&mut deserializer));
    value.and_then(|value| deserializer.end().map(|()| value)).map_err(|_| explain::<T>(json, at))
}

/// Reads JSON again, slowly, to say where its first fault is.
fn explain<T: DeserializeOwned>(json: &str, at: &str) -> Problem {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let fault = match serde_path_to_error::deserialize::<_, T>(Strict(&mut deserializer)) {
        Err(fault) => fault,
        Ok(_) => return Problem::at(at, "not one JSON value: something follows it"),
    };
    let mut pointer = at.to_owned();
    for segment in fault.path() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escaped(key))),
            Segment::Enum { variant } => pointer.push_str(&format!("/{variant}")),
            Segment::Unknown => {}
        }
    }
    let message = fault.inner().to_string();
    // A field that is unknown, or there twice, is named by its parent's path alone; its own name stands in the message.
    let named =
        ["unknown field `", "duplicate field `"].into_iter().find_map(|words| message.strip_prefix(words));
    if let Some(field) = named.and_then(|rest| rest.split('`').next()) {
        let field = escaped(field);
        if pointer.rsplit('/').next() != Some(&field) {
            pointer = format!("{pointer}/{field}");
        }
    }
    Problem::at(pointer, in_words(&message))
}

/// A key as a JSON pointer writes it.
#[must_use]
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// What serde says with the names of Rust's types, with those that JSON has.
fn in_words(message: &str) -> String {
    const WORDS: [(&str, &str); 9] = [
        ("expected u8", "expected a whole number from 0 to 255"),
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u64", "expected a whole number that is not negative"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected an object"),
        ("invalid type: sequence", "invalid type: list"),
        ("invalid type: map", "invalid type: object"),
    ];
    let mut told = message.to_owned();
    for (technical, plain) in WORDS {
        if let Some(at) = told.find(technical)
            && !told[at + technical.len()..].starts_with(|next: char| next.is_ascii_alphanumeric())
        {
            told.replace_range(at..at + technical.len(), plain);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::submit::SubmitTask;

    fn refused<T: DeserializeOwned>(json: &str) -> (String, String) {
        let Err(problem) = read::<T>(json, "") else { panic!("{json} was taken") };
        let error = problem.errors.into_iter().next().expect("a fault");
        (error.pointer, error.detail)
    }

    #[test]
    fn a_list_is_no_object() {
        for (json, pointer) in [
            (r#"["print hello"]"#, ""),
            (r#"{"prompt":"x","retry":[3,1]}"#, "/retry"),
            (r#"{"prompt":"x","files":[["a","text"]]}"#, "/files/0"),
            (r#"{"prompt":"x","webhook":["https://example.com"]}"#, "/webhook"),
            (r#"{"prompt":"x","workspace":{"git":["https://example.com/x"]}}"#, "/workspace/git"),
        ] {
            let (at, detail) = refused::<SubmitTask>(json);
            assert_eq!(at, pointer, "{json}: {detail}");
            assert!(detail.contains("list, expected an object"), "{json}: {detail}");
        }
        let whole = r#"{"prompt":"x","retry":{"max_attempts":3},"files":[{"path":"a","content":""}],
            "workspace":{"git":{"url":"https://example.com/x"}},"subtasks":[{"prompt":"y"}],"labels":{"a":"b"},
            "depends_on":[{"ref":"a"}],"budget_usd":1}"#;
        let task: SubmitTask = read(whole, "").expect("a task");
        assert_eq!(task.subtasks[0].get(), r#"{"prompt":"y"}"#);
        assert_eq!((task.files.len(), task.labels.len(), task.depends_on.len()), (1, 1, 1));
    }

    #[test]
    fn a_list_is_no_choice_with_fields() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Shape {
            Box { width: u32, height: u32 },
        }
        let (at, detail) = refused::<Shape>(r#"{"box":[1,2]}"#);
        assert_eq!(at, "/box");
        assert!(detail.contains("list, expected an object"), "{detail}");
        let shape: Shape = read(r#"{"box":{"width":1,"height":2}}"#, "").expect("a box");
        assert_eq!(shape, Shape::Box { width: 1, height: 2 });
    }

    #[test]
    fn a_choice_says_what_there_is_to_choose() {
        for json in [
            r#"{"prompt":"x","workspace":{}}"#,
            r#"{"prompt":"x","workspace":5}"#,
            r#"{"prompt":"x","workspace":[]}"#,
            r#"{"prompt":"x","workspace":{"copy":"/a","continue":"b"}}"#,
        ] {
            let (at, detail) = refused::<SubmitTask>(json);
            assert_eq!(at, "/workspace", "{json}");
            assert!(detail.contains("exactly one of `git`, `copy`, `continue`"), "{json}: {detail}");
        }
    }

    #[test]
    fn a_fault_is_told_without_the_types_of_the_program() {
        for (json, pointer, words) in [
            (r#"{"priority":-1}"#, "/priority", "`-1`, expected a whole number from 0 to 255 "),
            (r#"{"priority":"5"}"#, "/priority", "expected a whole number from 0 to 255 "),
            (
                r#"{"timeout_seconds":1.5}"#,
                "/timeout_seconds",
                "expected a whole number that is not negative ",
            ),
            (r#"{"command":"ls"}"#, "/command", "expected a list "),
            (r#"{"labels":[]}"#, "/labels", "list, expected an object "),
            ("null", "", "null, expected an object "),
            (r#"{"prompt":"x","prompt":"y"}"#, "/prompt", "duplicate field"),
            (r#"{"labels":{"a":"x","b":"y","a":"z"}}"#, "/labels/a", "duplicate field"),
            (r#"{"retry":{"a/b":1}}"#, "/retry/a~1b", "unknown field"),
        ] {
            let (at, detail) = refused::<SubmitTask>(json);
            assert_eq!(at, pointer, "{json}: {detail}");
            assert!(detail.contains(words), "{json}: {detail}");
        }
        let (at, detail) = refused::<BTreeMap<String, u8>>(r#"{"a": 1} {}"#);
        assert_eq!((at.as_str(), detail.as_str()), ("", "not one JSON value: something follows it"));
    }
}
