//! Parts of a whole: `Range` and what answers it.

use axum::http::{HeaderMap, header};

/// What of a whole is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// From the first offset to the one before the second.
    Between(u64, u64),
    /// Nothing of it.
    Nothing,
}

/// The part of a whole of so many bytes that is asked for. Several parts at once, and what is no range of bytes, count as
/// all of it, as HTTP allows.
pub(crate) fn part(headers: &HeaderMap, bytes: u64) -> Part {
    let text = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    // A condition on the whole that cannot be told to hold.
    if headers.contains_key(header::IF_RANGE) {
        return Part::Whole;
    }
    let asked =
        text.and_then(|text| text.strip_prefix("bytes=")).and_then(|text| text.trim().split_once('-'));
    let Some((first, last)) = asked else { return Part::Whole };
    let (first, last) = (number(first), number(last));
    let (from, to) = match (first, last) {
        (Ok(Some(first)), Ok(Some(last))) if first > last => return Part::Whole,
        (Ok(Some(first)), Ok(Some(last))) => (first, last.saturating_add(1).min(bytes)),
        (Ok(Some(first)), Ok(None)) => (first, bytes),
        (Ok(None), Ok(Some(count))) => (bytes.saturating_sub(count), bytes),
        _ => return Part::Whole,
    };
    if from < to { Part::Between(from, to) } else { Part::Nothing }
}

fn number(text: &str) -> Result<Option<u64>, ()> {
    let text = text.trim();
    match text.is_empty() {
        true => Ok(None),
        false if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().map(Some).map_err(drop),
        false => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn asked(range: &str) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range).expect("a header"));
        part(&headers, 10)
    }

    #[test]
    fn a_range_is_cut_to_the_whole() {
        assert_eq!(part(&HeaderMap::new(), 10), Part::Whole);
        assert_eq!(asked("bytes=0-3"), Part::Between(0, 4));
        assert_eq!(asked("bytes=4-"), Part::Between(4, 10));
        assert_eq!(asked("bytes=-3"), Part::Between(7, 10));
        assert_eq!(asked("bytes=-30"), Part::Between(0, 10));
        assert_eq!(asked("bytes=8-30"), Part::Between(8, 10));
        assert_eq!(asked("bytes=10-"), Part::Nothing);
        assert_eq!(asked("bytes=-0"), Part::Nothing);
    }

    #[test]
    fn what_is_no_range_is_passed_over() {
        for range in ["bytes=3-2", "bytes=a-b", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=+1-2"] {
            assert_eq!(asked(range), Part::Whole, "{range}");
        }
    }
}
