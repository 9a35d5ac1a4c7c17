//! From secrets to what is looked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::plain::plain;

/// A shorter value is not told from other text, and cannot be kept out of it.
pub const MIN_SECRET_BYTES: usize = 8;
/// The most secrets that one redactor knows.
pub const MAX_SECRETS: usize = 100;
/// The most bytes of all of them.
pub const MAX_TOTAL_BYTES: usize = 128 * 1024;

/// Why secrets cannot be kept out. The place is the one in the list that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(
        "a value is shorter than {MIN_SECRET_BYTES} bytes, and so short a text cannot be told from others"
    )]
    TooShort { place: usize },
    #[error("there are more than {MAX_SECRETS} secrets")]
    TooMany,
    #[error("the secrets have more than {MAX_TOTAL_BYTES} bytes together")]
    TooLarge,
}

/// What is looked for, sorted.
#[derive(Default)]
pub(crate) struct Patterns {
    /// In the bytes as they are.
    pub raw: Vec<Vec<u8>>,
    /// In their plain form.
    pub plain: Vec<Vec<u8>>,
}

impl Patterns {
    pub fn of(secrets: &[&[u8]]) -> Result<Self, Unfit> {
        if secrets.len() > MAX_SECRETS {
            return Err(Unfit::TooMany);
        }
        if secrets.iter().map(|secret| secret.len()).sum::<usize>() > MAX_TOTAL_BYTES {
            return Err(Unfit::TooLarge);
        }
        let mut patterns = Self::default();
        for (place, secret) in secrets.iter().enumerate() {
            if secret.len() < MIN_SECRET_BYTES {
                return Err(Unfit::TooShort { place });
            }
            patterns.add(secret);
            // Each line of a key is telling by itself, and other text may stand between lines.
            for line in secret.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
                let is_frame = line.starts_with(b"-----");
                if line.len() >= MIN_SECRET_BYTES && line.len() < secret.len() && !is_frame {
                    patterns.add(line);
                }
            }
        }
        for list in [&mut patterns.raw, &mut patterns.plain] {
            list.sort_unstable();
            list.dedup();
        }
        Ok(patterns)
    }

    fn add(&mut self, secret: &[u8]) {
        self.raw.push(secret.to_vec());
        let mut add = |spelled: &[u8]| {
            let mut form = Vec::with_capacity(spelled.len());
            plain(spelled, &mut form);
            if form.len() >= MIN_SECRET_BYTES {
                self.plain.push(form);
            }
        };
        add(secret);
        // What follows a backslash may look escaped, and is not where the backslash itself is.
        let bare: Vec<u8> = secret.iter().copied().filter(|byte| *byte != b'\\').collect();
        add(&bare);
        for before in 0..3 {
            add(in_base64(secret, before).as_bytes());
        }
        let hex = hex::encode(secret);
        add(hex.as_bytes());
        add(hex.to_uppercase().as_bytes());
    }
}

/// The characters of base64 that a secret alone determines when so many bytes stand before it in its group of three.
fn in_base64(secret: &[u8], before: usize) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret);
    let whole = STANDARD_NO_PAD.encode(&bytes);
    let (first, last) = ((8 * before).div_ceil(6), 8 * bytes.len() / 6);
    whole[first..last].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_base64_is_the_same_wherever_it_stands() {
        let secret = b"sk-ant-api03-0123456789";
        for before in ["", "a", "ab", "abc", "key=1"] {
            for after in ["", "x", "xy", "xyz"] {
                let text = [before.as_bytes(), secret, after.as_bytes()].concat();
                let encoded = STANDARD_NO_PAD.encode(&text);
                let wanted = in_base64(secret, before.len() % 3);
                assert!(encoded.contains(&wanted), "{before}|{after}");
                assert!(wanted.len() + 3 >= secret.len() * 4 / 3);
            }
        }
    }

    #[test]
    fn what_cannot_be_kept_out_is_refused() {
        assert!(matches!(Patterns::of(&[b"long enough", b"short"]), Err(Unfit::TooShort { place: 1 })));
        assert!(matches!(Patterns::of(&[b"12345678".as_slice(); 101]), Err(Unfit::TooMany)));
        assert!(matches!(Patterns::of(&[[b'x'; MAX_TOTAL_BYTES + 1].as_slice()]), Err(Unfit::TooLarge)));
    }
}
