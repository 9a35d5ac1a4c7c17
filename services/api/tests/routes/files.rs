//! What runs leave.

use std::io::Read as _;

use crate::place::Place;

#[tokio::test]
async fn files_are_listed_read_and_guarded() {
    let place = Place::new().await;
    let id = place
        .run("write a/b.txt hi there; write evil.html <script>alert(1)</script>; write data.bin 0123456789")
        .await;
    let list = place.get(&format!("/v1/tasks/{id}/files")).await.with(200).json();
    assert_eq!(list["files_total"], 3);
    let file = async |path: &str| place.get(&format!("/v1/tasks/{id}/files/{path}")).await;
    let text = file("a/b.txt").await.with(200);
    assert_eq!((text.text().as_str(), text.header("content-disposition")), ("hi there\n", None));
    let page = file("evil.html").await.with(200);
    assert_eq!(page.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.header("content-security-policy").unwrap().starts_with("sandbox"));
    let other = file("data.bin").await.with(200);
    assert!(other.header("content-disposition").unwrap().starts_with("attachment"));
    let part =
        place.ask("GET", &format!("/v1/tasks/{id}/files/data.bin")).header("Range: bytes=2-4").send().await;
    assert_eq!(part.with(206).text(), "234");
    file("none.txt").await.problem(404, "not_found");
    for path in ["..%2f..%2fstate/x", "%2e%2e/task.json", "/etc/passwd", "%2fetc%2fpasswd", "a", "%ff"] {
        let answer = file(path).await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn links_lead_nowhere() {
    let place = Place::new().await;
    let command = ["sh", "-c", "ln -s /etc/passwd link; ln -s / root; echo x > real.txt"];
    let id = place.submit(serde_json::json!({"command": command})).await;
    assert_eq!(place.over(&id).await["state"], "succeeded");
    for path in ["link", "root/etc/passwd"] {
        place.get(&format!("/v1/tasks/{id}/files/{path}")).await.problem(404, "not_found");
    }
    let names = archived(&place.get(&format!("/v1/tasks/{id}/archive")).await.with(200).body);
    assert_eq!(names, [("real.txt".to_owned(), "x\n".to_owned())]);
}

/// The files of an archive.
fn archived(bytes: &[u8]) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let mut files = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        assert!(entry.header().entry_type().is_file());
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.push((entry.path().unwrap().display().to_string(), text));
    }
    files.sort();
    files
}

#[tokio::test]
async fn an_archive_holds_every_file_also_with_a_long_name() {
    let place = Place::with(|world| world.with("files.max_archive_bytes", 2_000_000)).await;
    let long = format!("{}/{}.txt", "d".repeat(120), "f".repeat(120));
    let id = place.run(&format!("write a.txt one; write {long} two")).await;
    let answer = place.get(&format!("/v1/tasks/{id}/archive")).await.with(200);
    assert_eq!(answer.header("x-conductor-files-left-out"), Some("0"));
    assert_eq!(archived(&answer.body), [("a.txt".into(), "one\n".into()), (long, "two\n".into())]);
    let id =
        place.submit(serde_json::json!({"command": ["sh", "-c", "head -c 3000000 /dev/zero > big"]})).await;
    place.over(&id).await;
    place.get(&format!("/v1/tasks/{id}/archive")).await.problem(413, "payload_too_large");
}

#[tokio::test]
async fn runs_are_compared_and_their_diffs_read() {
    let place = Place::new().await;
    let (a, b) = (place.run("write x.txt one").await, place.run("write x.txt two").await);
    let diff = place.get(&format!("/v1/tasks/{a}/diff")).await.with(200);
    assert!(diff.text().contains("+one"), "{}", diff.text());
    assert_eq!(diff.header("content-type"), Some("text/x-diff; charset=utf-8"));
    let both = place.get(&format!("/v1/tasks/{a}/compare/{b}")).await.with(200).json();
    assert_eq!(both["differs"], serde_json::json!(["prompt"]));
    assert!(both["a"]["diff"].as_str().unwrap().contains("+one"));
    assert!(both["b"]["diff"].as_str().unwrap().contains("+two"));
    assert!(both["a"]["run_seconds"].is_number());
    place
        .get(&format!("/v1/tasks/{a}/compare/01920000-0000-7000-8000-000000000001"))
        .await
        .problem(404, "not_found");
}
