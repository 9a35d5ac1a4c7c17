//! What is handed out, and as what.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use crate::nginx::Site;
use crate::place::Answer;

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let found =
        answer.head.lines().find_map(|line| line.split_once(": ").filter(|(known, _)| *known == name));
    found.map(|(_, value)| value.trim()).unwrap_or_default()
}

#[tokio::test]
async fn what_a_browser_would_run_is_text_or_a_download_and_may_do_nothing() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    let evil = "<script>fetch('/logs/')</script>";
    for name in
        ["page.html", "PAGE.HTM", "x.xhtml", "picture.svg", "x.xml", "x.js", "README", "a.txt", "x.md"]
    {
        fs::write(work.join(name), evil).unwrap();
        let answer = site.get(&format!("/tasks/{id}/work/{name}"), Some(&site.place.admin)).await.with(200);
        assert_eq!(header(&answer, "Content-Type"), "text/plain; charset=utf-8", "{name}");
        assert_eq!(header(&answer, "Content-Disposition"), "", "{name}");
        guarded(&answer);
    }
    for name in ["x.pdf", "x.swf", "noend", "x.html.bin", "x.wasm", "x.htmlx"] {
        fs::write(work.join(name), evil).unwrap();
        let answer = site.get(&format!("/tasks/{id}/work/{name}"), Some(&site.place.admin)).await.with(200);
        assert_eq!(header(&answer, "Content-Type"), "application/octet-stream", "{name}");
        assert_eq!(header(&answer, "Content-Disposition"), "attachment", "{name}");
        guarded(&answer);
    }
    for (name, kind) in [("x.png", "image/png"), ("x.JPG", "image/jpeg"), ("x.webp", "image/webp")] {
        fs::write(work.join(name), evil).unwrap();
        let answer = site.get(&format!("/tasks/{id}/work/{name}"), Some(&site.place.admin)).await.with(200);
        assert_eq!((header(&answer, "Content-Type"), header(&answer, "Content-Disposition")), (kind, ""));
        guarded(&answer);
    }
    // A folder with an index is a folder.
    fs::write(work.join("index.html"), evil).unwrap();
    let answer = site.get(&format!("/tasks/{id}/work/"), Some(&site.place.admin)).await.with(200);
    assert!(!answer.body.contains("<script") && answer.body.contains("index.html"), "{answer:?}");
}

fn guarded(answer: &Answer) {
    assert!(
        header(answer, "Content-Security-Policy").starts_with("sandbox; default-src 'none'"),
        "{answer:?}"
    );
    assert_eq!(header(answer, "X-Content-Type-Options"), "nosniff");
    assert_eq!(header(answer, "Cache-Control"), "private, no-store");
}

#[tokio::test]
async fn links_second_names_repositories_and_private_folders_are_not_there() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    let home = &site.place.home;
    let admin = site.place.admin.clone();
    fs::create_dir_all(home.private().join(&id)).unwrap();
    fs::write(home.private().join(&id).join("session"), "hidden").unwrap();
    fs::write(work.join("real.txt"), "seen").unwrap();
    symlink(home.token_file(), work.join("link.txt")).unwrap();
    symlink("real.txt", work.join("beside.txt")).unwrap();
    symlink(&home.config, work.join("way")).unwrap();
    fs::hard_link(home.token_file(), work.join("hard.txt")).unwrap();
    fs::create_dir_all(work.join("repo/.git")).unwrap();
    fs::write(work.join("repo/.git/config"), "hidden").unwrap();
    fs::write(work.join(".git"), "hidden").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, work.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    assert_eq!(site.get(&format!("/tasks/{id}/work/real.txt"), Some(&admin)).await.with(200).body, "seen");
    for path in [
        "work/link.txt",
        "work/beside.txt",
        "work/way/token",
        "work/way/",
        "work/hard.txt",
        "work/pipe",
        "work/.git",
        "work/repo/.git/config",
        "work/repo/.git/",
        "work/repo/%2egit/config",
        "work/../../../private/x",
        "work/..%2f..%2f..%2fprivate",
        "work//real.txt",
        "work/./real.txt",
        "work/none",
    ] {
        let answer = site.get(&format!("/tasks/{id}/{path}"), Some(&admin)).await;
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.body.contains("hidden") && !answer.body.contains(&admin), "{path}: {answer:?}");
    }
    for path in [
        format!("/private/{id}/session"),
        format!("/tasks/../private/{id}/session"),
        format!("/tasks/{id}/../../private/{id}/session"),
        "/config/token".to_owned(),
        "/state/".to_owned(),
        "/logs/../config/token".to_owned(),
        "/logs../config/token".to_owned(),
    ] {
        let answer = site.get(&path, Some(&admin)).await;
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.body.contains("hidden") && !answer.body.contains(&admin), "{path}: {answer:?}");
    }
    // The list names what it does not hand out, and hides repositories.
    let list = site.get(&format!("/tasks/{id}/work/?format=json"), Some(&admin)).await.with(200).json();
    let kind = |name: &str| {
        let items = list["items"].as_array().unwrap();
        items.iter().find(|item| item["name"] == name).map(|item| item["kind"].as_str().unwrap().to_owned())
    };
    assert_eq!(kind("link.txt").as_deref(), Some("link"));
    assert_eq!(kind("hard.txt").as_deref(), Some("linked"));
    assert_eq!((kind("pipe").as_deref(), kind(".git")), (Some("other"), None));
    let page = site.get(&format!("/tasks/{id}/work/"), Some(&admin)).await.with(200);
    assert!(page.body.contains("link.txt") && !page.body.contains("href=\"./link.txt\""), "{page:?}");
}

#[tokio::test]
async fn text_is_compressed_and_any_file_is_read_in_ranges() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    let admin = site.place.admin.clone();
    let text = "0123456789".repeat(1_000);
    fs::write(work.join("a.txt"), &text).unwrap();
    fs::write(work.join("a.bin"), &text).unwrap();
    let path = |name: &str| format!("/tasks/{id}/work/{name}");
    let whole = site.get(&path("a.txt"), Some(&admin)).await.with(200);
    assert_eq!((whole.body.as_str(), header(&whole, "Content-Encoding")), (text.as_str(), ""));
    let gzip = ["Accept-Encoding: gzip"];
    let packed = site.ask("GET", &path("a.txt"), Some(&admin), &gzip).await.with(200);
    assert_eq!(header(&packed, "Content-Encoding"), "gzip");
    let other = site.ask("GET", &path("a.bin"), Some(&admin), &gzip).await.with(200);
    assert_eq!(header(&other, "Content-Encoding"), "");
    let part = site.ask("GET", &path("a.bin"), Some(&admin), &["Range: bytes=9998-"]).await.with(206);
    assert_eq!((part.body.as_str(), header(&part, "Content-Range")), ("89", "bytes 9998-9999/10000"));
    assert_eq!(header(&part, "Content-Disposition"), "attachment");
    site.ask("GET", &path("a.bin"), Some(&admin), &["Range: bytes=10000-"]).await.with(416);

    let sparse = File::create(work.join("sparse.bin")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    let head = site.ask("HEAD", &path("sparse.bin"), Some(&admin), &[]).await.with(200);
    assert_eq!(header(&head, "Content-Length"), (1_u64 << 40).to_string());
    let end = format!("Range: bytes={}-", (1_u64 << 40) - 3);
    let part = site.ask("GET", &path("sparse.bin"), Some(&admin), &[&end]).await.with(206);
    assert_eq!(part.body, "\0\0\0");
    let list = site.get(&format!("/tasks/{id}/work/"), Some(&admin)).await.with(200);
    assert!(list.body.contains("1.1 TB"), "{list:?}");
}

#[tokio::test]
async fn odd_names_are_reached_by_the_links_of_their_list() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    let admin = site.place.admin.clone();
    let names = [
        "a b.txt",
        "100%.txt",
        "a&b=c?d#e.txt",
        "ä漢.txt",
        "<i>\"'.txt",
        "a\nb.txt",
        "x:y.txt",
        "%2e%2e.txt",
    ];
    for name in names {
        fs::create_dir(work.join(format!("d {name}"))).unwrap();
        fs::write(work.join(name), name).unwrap();
        fs::write(work.join(format!("d {name}")).join(name), name).unwrap();
    }
    let page = site.get(&format!("/tasks/{id}/work/"), Some(&admin)).await.with(200);
    let links = |body: &str| -> Vec<String> {
        body.split("href=\"./").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let (folders, files): (Vec<_>, Vec<_>) =
        links(&page.body).into_iter().filter(|link| !link.is_empty()).partition(|link| link.ends_with('/'));
    assert_eq!((folders.len(), files.len()), (names.len(), names.len()), "{page:?}");
    let mut read = Vec::new();
    for link in files {
        read.push(site.get(&format!("/tasks/{id}/work/{link}"), Some(&admin)).await.with(200).body);
    }
    read.sort();
    let mut expected = names.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(read, expected);
    for folder in folders {
        let below = site.get(&format!("/tasks/{id}/work/{folder}"), Some(&admin)).await.with(200);
        let link = links(&below.body).into_iter().rfind(|link| !link.is_empty()).unwrap();
        let file = site.get(&format!("/tasks/{id}/work/{folder}{link}"), Some(&admin)).await.with(200);
        assert!(names.contains(&file.body.as_str()), "{file:?}");
        // Without its slash it is the same folder.
        let bare = folder.trim_end_matches('/');
        let moved = site.get(&format!("/tasks/{id}/work/{bare}"), Some(&admin)).await.with(301);
        assert!(header(&moved, "Location").starts_with("/tasks/"), "{moved:?}");
    }
}
