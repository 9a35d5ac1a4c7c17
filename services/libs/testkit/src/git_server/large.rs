//! A store of large files, as the batch API of git-lfs has it.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{Answer, Request, Shared};

/// What opens a file on another server.
const SIGNATURE: &str = "signed-by-the-first";

/// Answers who comes to the storage of another server's files, without a token; none when it is no such request.
pub(super) fn stored(shared: &Shared, request: &Request) -> io::Result<Option<Answer>> {
    let Some(oid) = request.path.strip_prefix("/storage/") else { return Ok(None) };
    if request.headers.contains_key("authorization") {
        shared.exposed.fetch_add(1, Ordering::SeqCst);
    }
    if request.headers.get("x-signature").map(String::as_str) != Some(SIGNATURE) {
        return Ok(Some(Answer::json("403 Forbidden", &json!({"message": "no signature"}))));
    }
    transfer(request, shared.root.join("storage").join(oid)).map(Some)
}

/// Answers what is asked of the store of a repository; none when it is no such request.
pub(super) fn answer(shared: &Shared, request: &Request) -> io::Result<Option<Answer>> {
    let Some((repository, what)) = request.path.split_once(".git/info/lfs/objects/") else { return Ok(None) };
    let folder = shared.root.join(format!("{}.git", repository.trim_start_matches('/'))).join("lfs/objects");
    if shared.fails_now() {
        return Ok(Some(Answer::json("502 Bad Gateway", &json!({"message": "come back later"}))));
    }
    if what == "batch" {
        return Ok(Some(batch(shared, request, repository, &folder)));
    }
    let Some(oid) = what.strip_suffix("/verify") else {
        return transfer(request, folder.join(what)).map(Some);
    };
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let lies_elsewhere = shared.storage.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    let is_there = fs::metadata(folder.join(oid)).is_ok_and(|meta| asked["size"] == meta.len());
    Ok(Some(match is_there || lies_elsewhere {
        true => Answer::json("200 OK", &json!({})),
        false => Answer::json("404 Not Found", &json!({"message": "it is not there"})),
    }))
}

fn batch(shared: &Shared, request: &Request, repository: &str, folder: &std::path::Path) -> Answer {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let host = request.headers.get("host").cloned().unwrap_or_default();
    let own = format!("https://{host}{repository}.git/info/lfs/objects");
    let elsewhere = shared.storage.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let objects = asked["objects"].as_array().cloned().unwrap_or_default();
    let told = objects.iter().map(|object| {
        let oid = object["oid"].as_str().unwrap_or_default();
        let is_there = folder.join(oid).exists();
        let action = match &elsewhere {
            Some(base) => json!({"href": format!("{base}/{oid}"), "header": {"X-Signature": SIGNATURE}}),
            None => json!({"href": format!("{own}/{oid}")}),
        };
        let mut told = json!({"oid": oid, "size": object["size"]});
        match (asked["operation"].as_str(), is_there || elsewhere.is_some()) {
            (Some("download"), true) => told["actions"] = json!({"download": action}),
            (Some("upload"), _) if !is_there => {
                told["actions"] =
                    json!({"upload": action, "verify": {"href": format!("{own}/{oid}/verify")}});
            }
            (Some("upload"), _) => {}
            _ => told["error"] = json!({"code": 404, "message": "Object does not exist"}),
        }
        told
    });
    let mut answer =
        Answer::json("200 OK", &json!({"transfer": "basic", "objects": told.collect::<Vec<_>>()}));
    answer.headers = vec![("content-type".to_owned(), "application/vnd.git-lfs+json".to_owned())];
    answer
}

fn transfer(request: &Request, path: PathBuf) -> io::Result<Answer> {
    if path.components().any(|part| part == std::path::Component::ParentDir) {
        return Ok(Answer::json("400 Bad Request", &json!({})));
    }
    match request.method.as_str() {
        "PUT" => {
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(path, &request.body)?;
            Ok(Answer::json("200 OK", &json!({})))
        }
        _ => Ok(match fs::read(path) {
            Ok(body) => Answer {
                status: "200 OK".to_owned(),
                headers: vec![("content-type".to_owned(), "application/octet-stream".to_owned())],
                body,
            },
            Err(_) => Answer::json("404 Not Found", &json!({"message": "it is not there"})),
        }),
    }
}
