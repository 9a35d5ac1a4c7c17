//! Places of run folders and of the logs, for the file server.

use std::path::PathBuf;

use conductor_core::Wall;
use conductor_protocol::control::{Browse, BrowseView, EntryKind, EntryView};
use conductor_protocol::{Code, Problem, limits};
use conductor_store::runs::Directory;
use conductor_store::runs::browse::{self, After, Named, PlaceKind};

use super::super::Context;

/// Looks at a place. Who may see it was checked before.
pub(super) async fn browse(context: &Context, call: Browse) -> Result<BrowseView, Problem> {
    let root = match call.id {
        Some(task) => Directory::new(&context.workspace).folder(task),
        None => context.logs.clone(),
    };
    let after = call.after.as_deref().map(str::parse::<After>).transpose();
    let after = after.map_err(|()| Problem::at("/cursor", "not a place in this folder"))?;
    let looked = tokio::task::spawn_blocking(move || look(root, &call.path, call.limit, after)).await;
    match looked {
        Ok(Ok(Some(view))) => Ok(view),
        Ok(Ok(None)) => Err(Problem::new(Code::NotFound, "there is nothing at this path")),
        Ok(Err(error)) => Err(Problem::new(Code::Internal, format!("the folder cannot be read: {error}"))),
        Err(_) => Err(Problem::new(Code::Internal, "the reading of a folder panicked")),
    }
}

fn look(
    root: PathBuf,
    path: &str,
    limit: Option<u32>,
    after: Option<After>,
) -> std::io::Result<Option<BrowseView>> {
    let Some(place) = browse::look(&root, path)? else { return Ok(None) };
    let kind = kind(place.kind);
    let view = BrowseView { kind, items: Vec::new(), total: 0, more: false, next: None };
    let Some(limit) = limit.filter(|_| kind == EntryKind::Folder) else { return Ok(Some(view)) };
    let most = limit.min(limits::MAX_PAGE) as usize;
    let Some(page) = browse::page(&root, path, after.as_ref(), most)? else { return Ok(None) };
    Ok(Some(BrowseView {
        items: page.items.into_iter().map(entry).collect(),
        total: page.total,
        more: page.more,
        next: page.next.map(|next| next.to_string()),
        ..view
    }))
}

fn entry(named: Named) -> EntryView {
    let Named { name, place } = named;
    EntryView { name, kind: kind(place.kind), bytes: place.bytes, modified_at: Wall(place.modified_ms) }
}

fn kind(kind: PlaceKind) -> EntryKind {
    match kind {
        PlaceKind::Folder => EntryKind::Folder,
        PlaceKind::File => EntryKind::File,
        PlaceKind::Linked => EntryKind::Linked,
        PlaceKind::Link => EntryKind::Link,
        PlaceKind::Other => EntryKind::Other,
    }
}
