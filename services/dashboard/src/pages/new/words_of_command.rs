//! A command line and its words, as a shell parts them; nothing is expanded.

/// Parts a command line into words.
///
/// # Errors
/// When a quote is not closed.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            char if char.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(char) => word.push(char),
                        None => return Err("a ' is not closed".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(char @ ('"' | '\\' | '$' | '`')) => word.push(char),
                            Some(char) => word.extend(['\\', char]),
                            None => return Err("a \" is not closed".to_owned()),
                        },
                        Some(char) => word.push(char),
                        None => return Err("a \" is not closed".to_owned()),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Writes words as a command line that is parted into the same.
#[must_use]
pub fn join(words: &[String]) -> String {
    let quoted = |word: &String| {
        let is_plain = |char: char| char.is_alphanumeric() || "_-./:=@%+,".contains(char);
        if !word.is_empty() && word.chars().all(is_plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_as_a_shell_parts_them() {
        let words = split("a  'b c' \"d \\\" $e\" f\\ g '' h'i'j").unwrap();
        assert_eq!(words, ["a", "b c", "d \" $e", "f g", "", "hij"]);
        assert!(split("a 'b").is_err());
        assert!(split("a \"b\\").is_err());
        assert_eq!(split("  ").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_joined_is_parted_into_the_same() {
        let words = ["sh", "-c", "echo 'x' \"$y\" \\ ; ls", "", "漢 字"].map(str::to_owned).to_vec();
        assert_eq!(split(&join(&words)).unwrap(), words);
    }
}
