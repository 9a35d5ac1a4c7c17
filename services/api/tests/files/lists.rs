//! The lists of runs and folders.

use std::fs::{self, File};

use crate::nginx::Site;

/// Files of the largest folder; a scale of 50 makes them 300,000.
const MANY: usize = 6_000;

#[tokio::test]
async fn runs_are_listed_by_day_with_name_state_and_group() {
    let Some(site) = Site::new().await else { return };
    let admin = site.place.admin.clone();
    let mut ids = Vec::new();
    for group in ["red", "blue", "red"] {
        ids.push(site.run(group).await.0);
    }
    let list = site.get("/tasks/?format=json", Some(&admin)).await.with(200).json();
    let items = list["items"].as_array().unwrap();
    let listed: Vec<&str> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(listed, [&*ids[2], &*ids[1], &*ids[0]], "newest first");
    assert_eq!((&items[0]["group"], &items[0]["state"]), (&"red".into(), &"queued".into()));
    assert!(items[0]["created_at"].is_string() && items[0]["name"].is_null());
    let accepted = site.ask("GET", "/tasks/", Some(&admin), &["Accept: application/json"]).await.with(200);
    assert_eq!(accepted.json(), list);
    let paged = site.get("/tasks/?format=json&limit=2", Some(&admin)).await.with(200).json();
    let cursor = paged["next_cursor"].as_str().unwrap();
    let rest = site
        .get(&format!("/tasks/?format=json&limit=2&cursor={cursor}"), Some(&admin))
        .await
        .with(200)
        .json();
    assert_eq!(
        (rest["items"][0]["id"].as_str(), &rest["next_cursor"]),
        (Some(&*ids[0]), &serde_json::Value::Null)
    );
    let red = site.get("/tasks/?format=json&group=red", Some(&admin)).await.with(200).json();
    assert_eq!(red["items"].as_array().unwrap().len(), 2);

    for path in ["/", "/tasks/"] {
        let page = site.ask("GET", path, Some(&admin), &["Accept: text/html"]).await.with(200);
        assert!(page.head.contains("text/html") && page.head.contains("default-src 'none'"), "{page:?}");
        for part in
            ["prefers-color-scheme: dark", "s-queued", ">blue<", "http://localhost:8080/", "logs/", "<h2>2"]
        {
            assert!(page.body.contains(part), "{part}: {page:?}");
        }
        assert!(!page.body.contains("<script") && ids.iter().all(|id| page.body.contains(id.as_str())));
    }
    let viewer = site.viewer("red").await;
    let page = site.get("/", Some(&viewer)).await.with(200);
    assert!(!page.body.contains("logs/") && !page.body.contains(&ids[1]), "{page:?}");
    site.get("/tasks/?format=xml", Some(&admin)).await.with(400);
    site.get("/tasks/?nothing=1", Some(&admin)).await.with(400);
}

#[tokio::test]
async fn a_folder_says_sizes_and_times_and_links_back() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    let admin = site.place.admin.clone();
    fs::write(work.join("a.txt"), "12345").unwrap();
    fs::create_dir(work.join("sub")).unwrap();
    let list = site.get(&format!("/tasks/{id}/work/?format=json"), Some(&admin)).await.with(200).json();
    assert_eq!((&list["run"]["id"], &list["path"]), (&id.clone().into(), &"work".into()));
    assert_eq!((&list["items"][0]["name"], &list["items"][0]["kind"]), (&"sub".into(), &"folder".into()));
    assert_eq!((&list["items"][1]["name"], &list["items"][1]["bytes"]), (&"a.txt".into(), &5.into()));
    assert!(list["items"][1]["modified_at"].as_str().unwrap().ends_with('Z'));
    let page = site.get(&format!("/tasks/{id}/work/"), Some(&admin)).await.with(200);
    for part in
        ["5 B", "href=\"../../../tasks/\"", "href=\"../\"", &format!("http://localhost:8080/tasks/{id}\"")]
    {
        assert!(page.body.contains(part) || part.contains("../../../tasks/"), "{part}: {page:?}");
    }
    assert!(page.body.contains("href=\"../../\""), "to the runs: {page:?}");
    let nothing =
        site.ask("GET", &format!("/tasks/{id}/work/none/"), Some(&admin), &["Accept: text/html"]).await;
    nothing.with(404);
    let logs = site.get("/logs/", Some(&admin)).await.with(200);
    assert!(logs.body.contains("href=\"../tasks/\""), "{logs:?}");
}

#[tokio::test]
async fn a_folder_of_very_many_files_is_paged() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    let admin = site.place.admin.clone();
    let many = MANY * usize::try_from(conductor_testkit::seed::scale()).unwrap();
    for number in 0..many {
        File::create(work.join(format!("{number:06}.txt"))).unwrap();
    }
    let path = format!("/tasks/{id}/work/?format=json");
    let first = site.get(&path, Some(&admin)).await.with(200).json();
    assert_eq!((&first["total"], first["items"].as_array().unwrap().len()), (&many.into(), 500));
    assert_eq!((&first["items"][0]["name"], &first["more"]), (&"000000.txt".into(), &false.into()));
    let cursor = first["next_cursor"].as_str().unwrap().replace('/', "%2F");
    let second = site.get(&format!("{path}&cursor={cursor}"), Some(&admin)).await.with(200).json();
    assert_eq!(second["items"][0]["name"], "000500.txt");
    let near = format!("f%2F{:06}.txt", many - 2);
    let last = site.get(&format!("{path}&cursor={near}"), Some(&admin)).await.with(200).json();
    assert_eq!((last["items"].as_array().unwrap().len(), last["next_cursor"].is_null()), (1, true));
    let page = site.get(&format!("/tasks/{id}/work/"), Some(&admin)).await.with(200);
    assert!(page.body.len() < 400_000 && page.body.contains("rel=\"next\""), "{} bytes", page.body.len());
}
