//! The OpenAPI document that lies in docs is the one that the routes make.

use std::path::Path;

#[test]
fn the_committed_document_is_the_one_that_the_routes_make() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = conductor_api::document_text();
    if std::env::var_os("CONDUCTOR_WRITE_DOCUMENTS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "docs/openapi.json is stale; write it anew with\n\
         CONDUCTOR_WRITE_DOCUMENTS=1 cargo nextest run -p conductor-api the_committed_document"
    );
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_what_it_answers() {
    let document: serde_json::Value = serde_json::from_str(conductor_api::document_text()).unwrap();
    let mut names = std::collections::HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(!path.contains('*'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path}"));
            assert!(names.insert(name.to_owned()), "{name} is the name of two operations");
            assert!(operation["summary"].is_string(), "{name} says nothing of itself");
            assert!(operation["x-problems"].is_null(), "{name}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("503"), "{name}: {:?}", responses.keys());
            assert!(responses.keys().any(|status| status.starts_with(['1', '2'])), "{name}");
        }
    }
}
