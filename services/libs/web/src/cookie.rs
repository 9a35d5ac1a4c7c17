//! The cookie that holds a browser's session.

use axum::http::{HeaderMap, HeaderValue, header};

/// Its name by http and by https, where the browser itself keeps others from setting it.
pub const SESSION_COOKIES: [&str; 2] = ["conductor", "__Host-conductor"];
/// No session is longer.
const MAX_SECRET_CHARS: usize = 256;

fn name(https: bool) -> &'static str {
    SESSION_COOKIES[usize::from(https)]
}

/// The `Set-Cookie` that begins a session.
#[must_use]
pub fn set_session(secret: &str, https: bool) -> Option<HeaderValue> {
    let fits = is_fit(secret);
    let secure = if https { "; Secure" } else { "" };
    let text = format!("{}={secret}; HttpOnly; SameSite=Strict; Path=/{secure}", name(https));
    fits.then(|| HeaderValue::from_str(&text).ok()).flatten()
}

/// The `Set-Cookie` that ends one.
#[must_use]
pub fn clear_session(https: bool) -> HeaderValue {
    HeaderValue::from_static(match https {
        true => "__Host-conductor=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0; Secure",
        false => "conductor=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0",
    })
}

/// The session that a request carries. By https only the name counts that other sites cannot set; by http the other one is
/// looked at where the first is not, because the file server passes on what came by https to it.
pub(crate) fn session(headers: &HeaderMap, https: bool) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs: Vec<(&str, &str)> =
        cookies.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('=')).collect();
    let called = |name: &str| pairs.iter().find(|(found, _)| *found == name).map(|(_, secret)| *secret);
    let secret = called(name(https)).or_else(|| called(name(true)))?;
    is_fit(secret).then(|| secret.to_owned())
}

fn is_fit(secret: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_SECRET_CHARS).contains(&secret.len()) && secret.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(text).unwrap());
        headers
    }

    #[test]
    fn a_session_is_read_back_under_the_name_of_its_scheme_alone() {
        let headers = cookies("a=b; conductor=plain; __Host-conductor=safe");
        assert_eq!(session(&headers, false).as_deref(), Some("plain"));
        assert_eq!(session(&headers, true).as_deref(), Some("safe"));
        assert_eq!(session(&cookies("conductor=plain"), true), None);
        assert_eq!(session(&cookies("__Host-conductor=safe"), false).as_deref(), Some("safe"));
        assert_eq!(session(&cookies("conductor="), false), None);
    }

    #[test]
    fn a_secret_that_would_add_to_the_cookie_is_refused() {
        assert!(set_session("abc; Domain=evil", false).is_none());
        assert!(set_session("abc\r\nX: y", false).is_none());
        let set = set_session("abc", true).unwrap();
        assert_eq!(set, "__Host-conductor=abc; HttpOnly; SameSite=Strict; Path=/; Secure");
    }
}
