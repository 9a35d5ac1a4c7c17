//! Who is let in, and who is held up.

use conductor_protocol::control::Role;
use conductor_runtime::clock::ManualClock;
use std::time::Duration;

use crate::place::Place;

const TOKEN: &str = "cdr_0123456789abcdef";

async fn place() -> Place {
    let place = Place::new().await;
    place.people.let_in(TOKEN, "ci", Role::Operator);
    place
}

fn advance(clock: &ManualClock, ms: u64) {
    clock.advance(Duration::from_millis(ms));
}

#[tokio::test]
async fn who_shows_a_token_is_known_and_who_shows_none_is_told_how_to_get_one() {
    let place = place().await;
    assert_eq!(place.with_token("/me", TOKEN).await.ok(), "ci from 127.0.0.1");
    let refused = place.ask("GET", "/me", &[]).await.problem(401, "unauthorized");
    assert!(refused.body().contains("conductor token show"), "{refused:?}");
    assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
    place.with_token("/me", "cdr_of_nobody_at_all").await.problem(401, "unauthorized");
    for header in ["Authorization: Basic YTpi", "Authorization: Bearer", "Authorization: Bearer \u{e9}"] {
        place.ask("GET", "/me", &[header]).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn what_is_asked_is_asked_on_behalf_of_the_caller() {
    let place = place().await;
    assert_eq!(place.with_token("/actor", TOKEN).await.ok(), "ci by http from 127.0.0.1");
}

#[tokio::test]
async fn a_revoked_token_is_refused_within_a_second() {
    let place = place().await;
    place.with_token("/me", TOKEN).await.ok();
    place.people.put_out(TOKEN);
    advance(&place.clock, 999);
    place.with_token("/me", TOKEN).await.ok();
    assert_eq!(place.people.asked(), 1, "it is remembered for a moment");
    advance(&place.clock, 1);
    place.with_token("/me", TOKEN).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn the_eleventh_guess_in_a_minute_is_held_up() {
    let place = place().await;
    for guess in 0..10 {
        place.with_token("/me", &format!("cdr_9999{guess}")).await.problem(401, "unauthorized");
    }
    let asked = place.people.asked();
    let refused = place.with_token("/me", "cdr_9999x").await.problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("60"));
    assert_eq!(place.people.asked(), asked, "it is not even looked at");
    place.with_token("/me", TOKEN).await.ok();
    advance(&place.clock, 60_000);
    place.with_token("/me", "cdr_9999x").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn one_bad_token_that_is_shown_again_and_again_is_held_up() {
    let place = place().await;
    for _ in 0..10 {
        place.with_token("/me", "cdr_bad_bad_bad").await.problem(401, "unauthorized");
    }
    place.with_token("/me", "cdr_bad_bad_bad").await.problem(429, "rate_limited");
    assert_eq!(place.people.asked(), 1, "the answer to a bad token is remembered too");
}

#[tokio::test]
async fn a_browser_with_an_old_cookie_is_sent_to_the_login_however_often_it_comes() {
    let place = place().await;
    for _ in 0..30 {
        place.ask("GET", "/me", &["Cookie: conductor=old-session-1"]).await.problem(401, "unauthorized");
        advance(&place.clock, 1_500);
    }
    for guess in 0..9 {
        let cookie = format!("Cookie: conductor=old-session-guess{guess}");
        place.ask("GET", "/me", &[&cookie]).await.problem(401, "unauthorized");
    }
    let guess = place.ask("GET", "/me", &["Cookie: conductor=old-session-other"]).await;
    guess.problem(429, "rate_limited");
}

#[tokio::test]
async fn guesses_of_one_address_hold_up_strangers_but_not_who_was_let_in() {
    let place = place().await;
    place.with_token("/me", TOKEN).await.ok();
    for guess in 0..100 {
        place.with_token("/me", &format!("{guess:08}-guess")).await.problem(401, "unauthorized");
    }
    place.with_token("/me", "newcomer-of-the-same-address").await.problem(429, "rate_limited");
    advance(&place.clock, 2_000);
    place.with_token("/me", TOKEN).await.ok();
}

#[tokio::test]
async fn a_change_by_cookie_has_to_come_from_the_sessions_own_page() {
    let place = place().await;
    place.people.let_in("session-secret", "ann", Role::Operator);
    let cookie = "Cookie: conductor=session-secret";
    assert!(place.ask("GET", "/me", &[cookie]).await.ok().starts_with("ann"));
    place.ask("POST", "/change", &[cookie]).await.problem(403, "forbidden");
    place.ask("POST", "/change", &[cookie, "Sec-Fetch-Site: same-origin"]).await.ok();
    place.ask("POST", "/change", &[cookie, &format!("Origin: http://{}", place.address)]).await.ok();
    place.ask("POST", "/change", &[cookie, "X-Conductor-CSRF: guessed"]).await.problem(403, "forbidden");
    place.ask("POST", "/change", &[cookie, "Sec-Fetch-Site: cross-site"]).await.problem(403, "forbidden");
    place.ask("POST", "/change", &["Cookie: conductor=other"]).await.problem(401, "unauthorized");
    place.ask("POST", "/change", &[&format!("Authorization: Bearer {TOKEN}")]).await.ok();
}

#[tokio::test]
async fn a_forms_token_is_the_sessions_own() {
    let place = Place::with(|options| options.forms = true).await;
    place.people.let_in("session-a", "ann", Role::Operator);
    place.people.let_in("session-b", "bob", Role::Operator);
    let post = async |cookie: &str, token: &str| {
        let (address, length) = (place.address, token.len());
        let head = format!("POST /form HTTP/1.1\r\nHost: {address}\r\nCookie: conductor={cookie}\r\n");
        place.send(&format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{token}")).await
    };
    let csrf = conductor_web::csrf_of("session-a");
    post("session-a", &csrf).await.ok();
    post("session-b", &csrf).await.problem(403, "forbidden");
    post("session-a", "").await.problem(403, "forbidden");
}

#[tokio::test]
async fn without_an_orchestrator_nobody_is_let_in_and_it_is_said_why() {
    let place = place().await;
    place.with_token("/me", TOKEN).await.ok();
    place.people.hang_up();
    advance(&place.clock, 1_000);
    let refused = place.with_token("/me", TOKEN).await.problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    assert!(place.site.why_not_ready().await.is_some());
    assert_eq!(place.ask("GET", "/open", &[]).await.ok(), "open");
}

#[tokio::test]
async fn asking_again_and_again_whether_it_is_ready_asks_the_orchestrator_little() {
    let place = place().await;
    place.site.control_soon().await.expect("it connects");
    for _ in 0..50 {
        assert_eq!(place.site.why_not_ready().await, None);
    }
    assert_eq!(place.people.asked(), 1);
    advance(&place.clock, 500);
    assert_eq!(place.site.why_not_ready().await, None);
    assert_eq!(place.people.asked(), 2);
}

#[tokio::test]
async fn where_everybody_is_let_in_a_foreign_page_still_is_not() {
    let place = Place::with(|options| options.open = true).await;
    assert!(place.ask("POST", "/change", &[]).await.ok().starts_with("anybody"));
    place.ask("POST", "/change", &["Origin: http://evil.example"]).await.problem(403, "forbidden");
    place.ask("GET", "/me", &["Host: evil.example"]).await.problem(403, "forbidden");
}
