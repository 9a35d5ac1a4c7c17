//! How much a browser loads before the first view of the dashboard is there.

use std::collections::BTreeSet;
use std::io;

use super::super::programs::Home;
use super::super::report::Bar;
use super::super::suite::Suite;
use super::client::{Client, request};

const KB: f64 = 1_000.0;

/// Loads the overview and all that it names, and adds up the bytes.
pub fn first_view(suite: &mut Suite<'_>) -> io::Result<()> {
    let (home, orchestrator, dashboard, address) = super::with(suite, Home::dashboard)?;
    let token = home.token()?;
    let mut client = Client::open(address)?;
    let page = client.ask(&request("GET", "/", &token, None))?;
    if page.status != 200 {
        return Err(io::Error::other(format!("the page answered {}: {}", page.status, page.head)));
    }
    let mut bytes = page.bytes;
    let mut seen = BTreeSet::new();
    let mut wanted = assets(&page.body);
    while let Some(path) = wanted.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let asset = client.ask(&request("GET", &path, &token, None))?;
        if asset.status != 200 {
            return Err(io::Error::other(format!("{path} answered {}", asset.status)));
        }
        bytes += asset.bytes;
        wanted.extend(imports(&asset.body, &path));
    }
    println!("    the page and {} assets", seen.len());
    suite.report.add(
        "dashboard: the first view, not compressed",
        bytes as f64 / KB,
        "KB",
        Bar::AtMost(150.0),
    );
    dashboard.stop()?;
    orchestrator.stop()
}

/// What a page loads by itself: style sheets, icons, scripts, images.
fn assets(html: &str) -> Vec<String> {
    let tags =
        html.split('<').filter(|tag| ["link", "script", "img"].iter().any(|name| tag.starts_with(name)));
    let value = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    tags.filter_map(|tag| value(tag, "src").or_else(|| value(tag, "href"))).collect()
}

/// The modules that a script imports.
fn imports(script: &str, path: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let named = script.lines().filter(|line| line.starts_with("import ")).filter_map(|line| {
        let (_, rest) = line.split_once(['"', '\''])?;
        rest.split_once(['"', '\'']).map(|(name, _)| name.to_owned())
    });
    named
        .map(|name| match name.strip_prefix("./") {
            Some(rest) => format!("{folder}/{rest}"),
            None => name,
        })
        .collect()
}
