//! Whether the audit is as it was written, on its page.

use conductor_protocol::control::{AuditCall, Groups, Role};

use super::place::Place;

/// What the page tells of a check.
fn said(page: &str) -> &str {
    page.split("id=\"verified\">").nth(1).expect("it tells what was found").split("</div>").next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_how_far_the_audit_is_as_it_was_written_and_what_to_keep() {
    let place = Place::new().await;
    for number in 0..3 {
        place.submit(serde_json::json!({"prompt": number.to_string()})).await;
    }
    let browser = place.log_in(&place.admin).await;
    let csrf = browser.csrf().await;
    let page = browser.post("/audit", &[("csrf", &csrf)]).await.with(200).body;
    let entries = place.control.audit(AuditCall::default()).await.unwrap().items;
    let until = entries[0].seq;
    assert_eq!(said(&page), format!("{} records are as they were written, up to #{until}.", entries.len()));
    let head = page.split("id=\"audit-head\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(head.starts_with(&format!("{until}:")), "{head}");

    place.submit(serde_json::json!({"prompt": "later"})).await;
    let page = browser.post("/audit", &[("csrf", &csrf), ("head", &head)]).await.with(200).body;
    assert!(said(&page).contains(&format!("{} records are", entries.len() + 1)), "{page}");
    let other = format!("{until}:{}", "0".repeat(64));
    let page = browser.post("/audit", &[("csrf", &csrf), ("head", &other)]).await.with(200).body;
    assert!(said(&page).contains("it is not the record that this digest was kept of"), "{page}");
    assert!(!page.contains("id=\"audit-head\""), "what is not as it was is not worth keeping: {page}");
    browser.post("/audit", &[("csrf", &csrf), ("head", "1:zz")]).await.with(400);
    browser.post("/audit", &[("csrf", "forged")]).await.with(403);
    let viewer = place.token("looker", Role::Operator, Groups::All).await;
    let viewer = place.log_in(&viewer).await;
    let csrf = viewer.csrf().await;
    viewer.post("/audit", &[("csrf", &csrf)]).await.with(403);
}
