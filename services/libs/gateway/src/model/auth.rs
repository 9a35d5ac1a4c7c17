//! Who asks: the token of the run is taken out of a request, and the real key goes in where it stood.

use conductor_runtime::credentials::Secret;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use subtle::ConstantTimeEq as _;

/// Where keys stand.
const KEY_HEADERS: [HeaderName; 3] =
    [HeaderName::from_static("x-api-key"), HeaderName::from_static("x-goog-api-key"), AUTHORIZATION];
const BEARER: &[u8] = b"Bearer ";
/// The name of a key in a query.
const QUERY_KEY: &str = "key";

/// Changes a request's headers and query from the token to the key; false when the token is not among them.
pub(super) fn exchange(
    headers: &mut HeaderMap,
    query: &mut Option<String>,
    token: &Secret,
    key: &Secret,
) -> bool {
    let mut is_known = false;
    for name in KEY_HEADERS {
        let shown: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        headers.remove(&name);
        for value in shown {
            let bytes = value.as_bytes();
            let (prefix, shown) = match bytes.get(..BEARER.len()) {
                Some(start) if start.eq_ignore_ascii_case(BEARER) => bytes.split_at(BEARER.len()),
                _ => bytes.split_at(0),
            };
            if !is_same(shown, token) || headers.contains_key(&name) {
                continue;
            }
            let real = [prefix, key.reveal().as_bytes()].concat();
            if let Ok(mut real) = HeaderValue::from_bytes(&real) {
                real.set_sensitive(true);
                headers.insert(name.clone(), real);
                is_known = true;
            }
        }
    }
    if let Some(text) = query {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        if pairs.iter().any(|(name, _)| name == QUERY_KEY) {
            let mut kept = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in &pairs {
                if name != QUERY_KEY {
                    kept.append_pair(name, value);
                } else if is_same(value.as_bytes(), token) {
                    is_known = true;
                    kept.append_pair(name, key.reveal());
                }
            }
            *query = Some(kept.finish()).filter(|text| !text.is_empty());
        }
    }
    is_known
}

fn is_same(shown: &[u8], token: &Secret) -> bool {
    shown.ct_eq(token.reveal().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(
        headers: &[(&'static str, &'static str)],
        query: Option<&str>,
    ) -> (bool, Vec<String>, Option<String>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let mut query = query.map(ToOwned::to_owned);
        let (token, key) = (Secret::new("tok"), Secret::new("real"));
        let is_known = exchange(&mut map, &mut query, &token, &key);
        let all = map.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        (is_known, all.collect(), query)
    }

    #[test]
    fn the_key_stands_where_the_token_stood_and_nothing_else_passes() {
        assert_eq!(
            given(&[("x-api-key", "tok"), ("a", "b")], None),
            (true, vec!["a: b".to_owned(), "x-api-key: real".to_owned()], None)
        );
        let (known, headers, _) = given(&[("authorization", "bearer tok"), ("x-api-key", "mine")], None);
        assert_eq!((known, headers), (true, vec!["authorization: bearer real".to_owned()]));
        let (known, _, query) = given(&[], Some("alt=sse&key=tok"));
        assert_eq!((known, query.as_deref()), (true, Some("alt=sse&key=real")));
    }

    #[test]
    fn without_the_token_nothing_is_known_and_no_key_goes_in() {
        for (headers, query) in [
            (vec![("x-api-key", "toc")], None),
            (vec![("authorization", "Basic tok")], None),
            (vec![("authorization", "Bearer tok2")], Some("key=other")),
            (vec![], None),
        ] {
            let (known, headers, query) = given(&headers, query);
            assert!(!known && headers.is_empty() && query.is_none(), "{headers:?} {query:?}");
        }
    }
}
