//! The audit by HTTP.

use serde_json::json;

use crate::place::Place;

#[tokio::test]
async fn the_audit_is_checked_stretch_by_stretch() {
    let place = Place::new().await;
    place.run("print a").await;
    place.run("print b").await;
    let all = place.get("/v1/audit/verify").await.with(200).json();
    let listed = place.get("/v1/audit").await.with(200).json()["items"].as_array().unwrap().clone();
    assert!(listed.len() >= 2, "{listed:?}");
    assert_eq!(
        (&all["records"], &all["more"], &all["fault"]),
        (&json!(listed.len()), &json!(false), &json!(null))
    );
    assert_eq!(all["through"], listed[0]["seq"], "it went to the newest");

    let first = &listed[listed.len() - 1]["seq"];
    let begun = place.get(&format!("/v1/audit/verify?until={first}")).await.with(200).json();
    assert_eq!((&begun["records"], &begun["through"]), (&json!(1), first));
    let digest = begun["digest"].as_str().unwrap();
    let rest = place.get(&format!("/v1/audit/verify?after={first}&digest={digest}")).await.with(200).json();
    assert_eq!((&rest["records"], &rest["digest"]), (&json!(listed.len() - 1), &all["digest"]));
    let other = "0".repeat(64);
    let forged = place.get(&format!("/v1/audit/verify?after={first}&digest={other}")).await.with(200).json();
    assert_eq!((&forged["records"], &forged["fault"]["seq"]), (&json!(0), &listed[listed.len() - 2]["seq"]));
}

#[tokio::test]
async fn what_names_no_stretch_is_refused() {
    let place = Place::new().await;
    for (query, pointer) in
        [("after=x", "/after"), ("until=-1", "/until"), ("digest=zz", "/digest"), ("head=1", "/head")]
    {
        let problem = place.get(&format!("/v1/audit/verify?{query}")).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
}
