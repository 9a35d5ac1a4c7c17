//! What is open to anybody: the login, which takes few wrong guesses, and the answers for health checks.

use crate::place::Place;

#[tokio::test]
async fn wrong_guesses_at_the_login_are_held_up_and_others_are_not() {
    let place = Place::with(&[("CONDUCTOR__AUTH__FAILURES_PER_MINUTE", "3")]).await;
    let guess = async |secret: &str| place.nobody().post("/login", &[("token", secret)]).await.status;
    for number in 0..3 {
        assert_eq!(guess(&format!("guessed-{number}")).await, 401);
    }
    assert_eq!(guess("guessed-again").await, 429, "it begins like the others");
    let code = place.control.make_login().await.unwrap().code;
    let held = place.nobody().post("/login", &[("code", "guessed-as-a-code")]).await;
    assert_eq!(held.status, 429, "a code is guessed no sooner");
    place.nobody().post("/login", &[("code", &code)]).await.with(303);
    place.log_in(&place.admin).await;
}

#[tokio::test]
async fn anybody_may_ask_whether_it_runs_and_can_serve() {
    let place = Place::new().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(place.nobody().get(path).await.with(200).body, "ok");
    }
}
