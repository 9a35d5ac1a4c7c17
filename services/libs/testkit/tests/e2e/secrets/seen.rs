//! What was seen of a world, and where the secret is in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// With what JSON and URLs escape, late enough that the pieces that are searched for have none of it.
pub const SECRET: &str = "tok_4hT9xLq2Wm8ZbV1c\"Ns7Kd0/FgJpQr+uIo";

/// Pieces of it and of its encodings from both halves, so that it would show wherever it was cut; in small letters.
fn pieces() -> Vec<String> {
    let halves = [&SECRET[4..14], &SECRET[23..35]];
    let mut pieces: Vec<String> = halves.iter().map(ToString::to_string).collect();
    for before in ["", "x", "xx"] {
        let encoded = STANDARD.encode(format!("{before}{SECRET}"));
        pieces.extend([encoded[8..20].to_owned(), encoded[32..44].to_owned()]);
    }
    for (sign, count) in [("", 8), ("%", 5), ("\\u00", 4)] {
        let spelled = |text: &str| text.bytes().map(|byte| format!("{sign}{byte:02x}")).collect::<String>();
        pieces.extend(halves.iter().map(|half| spelled(&half[..count])));
    }
    pieces.iter().map(|piece| piece.to_ascii_lowercase()).collect()
}

/// What was seen, by where.
#[derive(Default)]
pub struct Seen(pub Vec<(String, Vec<u8>)>);

impl Seen {
    pub fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    /// The places where the secret, or a piece of it, is.
    pub fn leaks(&self) -> Vec<String> {
        let pieces = pieces();
        let mut leaks = Vec::new();
        for (place, bytes) in self.0.iter().filter(|(place, _)| !is_the_tasks_own(place)) {
            let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
            // Base64 that is wrapped, and text that is cut by the framing of a stream, are the same without line ends.
            let joined: String = text.chars().filter(|char| !char.is_whitespace()).collect();
            let found = pieces.iter().find(|piece| text.contains(*piece) || joined.contains(*piece));
            leaks.extend(found.map(|piece| format!("{piece} is in {place}")));
        }
        leaks
    }

    /// What a place showed last.
    pub fn of(&self, place: &str) -> String {
        let (_, bytes) = self.0.iter().rfind(|(known, _)| known == place).expect("it was looked at");
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// Whether a place shows a file as its task made it; only what is told of it, as its diff, is Conductor's.
fn is_the_tasks_own(place: &str) -> bool {
    place.ends_with("/work/own.txt") || place.ends_with("/archive")
}
