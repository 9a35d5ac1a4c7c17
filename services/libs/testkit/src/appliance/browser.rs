//! A headless Chromium, told what to do by its driver's own protocol.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::Http;
use super::until;

/// How long anything on a page may take.
const SOON: Duration = Duration::from_secs(30);
/// The name of an element's id in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser and its driver.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    http: Http,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser; none, with a line that says so, where there is none to start.
    ///
    /// # Panics
    /// When it is there and does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let mut command = Command::new("chromedriver");
        let started = command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut driver) = started else {
            eprintln!("skipped in the browser: chromedriver is not installed");
            return None;
        };
        let said = BufReader::new(driver.stdout.take().expect("it is a pipe"));
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let http = Http::new(port.expect("the driver says its port"), None);
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        let data = format!("--user-data-dir={}", profile.path().display());
        let args =
            ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en-US", &data];
        let options = json!({"args": args, "prefs": {"intl.accept_languages": "en-US"}});
        let capabilities = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}});
        let answer = http.post("/session", &capabilities);
        let mut browser = Self { driver, http, session: String::new(), _profile: profile };
        let session = answer.json()["value"]["sessionId"].as_str().map(str::to_owned);
        browser.session = session.unwrap_or_else(|| panic!("no session: {answer:?}"));
        Some(browser)
    }

    fn tell(&self, what: &str, body: &Value) -> Option<Value> {
        let answer = self.http.post(&format!("/session/{}/{what}", self.session), body);
        (answer.status == 200).then(|| answer.json()["value"].take())
    }

    /// Goes to an address.
    ///
    /// # Panics
    /// When nothing is there.
    pub fn go(&self, url: &str) {
        assert!(self.tell("url", &json!({"url": url})).is_some(), "{url} cannot be shown");
    }

    /// What a script returns; nothing while the page is being left.
    #[must_use]
    pub fn run(&self, script: &str) -> Option<Value> {
        self.tell("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until a condition is true on the page.
    pub fn until(&self, what: &str, condition: &str) {
        let script = format!("return Boolean({condition})");
        until(SOON, what, || (self.run(&script) == Some(Value::Bool(true))).then_some(()));
    }

    fn element(&self, css: &str) -> String {
        until(SOON, css, || {
            let found = self.tell("element", &json!({"using": "css selector", "value": css}))?;
            found[ELEMENT].as_str().map(str::to_owned)
        })
    }

    /// Clicks on what a selector finds.
    pub fn click(&self, css: &str) {
        let element = self.element(css);
        until(SOON, css, || self.tell(&format!("element/{element}/click"), &json!({})));
    }

    /// Types into what a selector finds.
    pub fn type_into(&self, css: &str, words: &str) {
        let element = self.element(css);
        until(SOON, css, || self.tell(&format!("element/{element}/value"), &json!({"text": words})));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session; the driver is told last.
        let _ended = Command::new("curl")
            .args(["-gsS", "-m", "10", "-o", "/dev/null", "-X", "DELETE"])
            .arg(self.http.address(&format!("/session/{}", self.session)))
            .status();
        let _gone = self.driver.kill().and_then(|()| self.driver.wait());
    }
}
