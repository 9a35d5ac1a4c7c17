//! A headless Chromium of a test's own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use axum::http::Method;
use base64::Engine as _;
use conductor_testkit::world::eventually;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::{ParseError, Url};

use super::world::SOON;

/// The browsers that are tried, in this order.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// How a browser looks at things.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub language: &'static str,
    pub is_dark: bool,
    pub width: u32,
    pub height: u32,
}

impl Default for Look {
    fn default() -> Self {
        Self { language: "en-US", is_dark: false, width: 1_400, height: 900 }
    }
}

/// A browser and its driver.
pub struct Chrome {
    pub client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

impl Chrome {
    /// Starts a browser; nothing, and the test says so, where there is none.
    pub async fn start(test: &str, look: Look) -> Option<Self> {
        let browser = BROWSERS.into_iter().find(|browser| is_there(browser));
        let (Some(browser), true) = (browser, is_there("chromedriver")) else {
            eprintln!("{test}: skipped, chromium or chromedriver is not installed");
            return None;
        };
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(driver.stdout.take().unwrap());
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let port = port.expect("the driver says its port");
        let profile = tempfile::tempdir().unwrap();
        let mut args = vec![
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
            format!("--lang={}", look.language),
            format!("--window-size={},{}", look.width, look.height),
        ];
        if look.is_dark {
            args.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let mut options = json!({ "args": args, "prefs": { "intl.accept_languages": look.language } });
        if browser != "chromium" {
            options["binary"] = json!(browser);
        }
        let capabilities = json!({
            "browserName": "chrome",
            // The certificate of a test is signed by nobody.
            "acceptInsecureCerts": true,
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it was made an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let connected = builder.connect(&format!("http://127.0.0.1:{port}")).await;
        let client = match connected {
            Ok(client) => client,
            Err(error) => {
                driver.kill().unwrap();
                panic!("no session: {error}");
            }
        };
        Some(Self { client, driver, _profile: profile })
    }

    pub async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Runs a script and gives what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Waits until a script returns true.
    pub async fn until(&self, what: &str, condition: &str) {
        let script = format!("return Boolean({condition})");
        let true_now = async || {
            // A page that is being left has nothing to say.
            let told = self.client.execute(&script, vec![]).await.unwrap_or(Value::Bool(false));
            (told == Value::Bool(true)).then_some(())
        };
        eventually(SOON, what, true_now).await;
    }

    pub async fn click(&self, css: &str) {
        self.client.wait().at_most(SOON).for_element(Locator::Css(css)).await.unwrap().click().await.unwrap();
    }

    pub async fn type_into(&self, css: &str, text: &str) {
        let field = self.client.wait().at_most(SOON).for_element(Locator::Css(css)).await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Types where the focus is.
    pub async fn press(&self, keys: &str) {
        let mut typed = KeyActions::new("keyboard".to_owned());
        for value in keys.chars() {
            typed = typed.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.client.perform_actions(typed).await.unwrap();
    }

    /// Runs a script on every page before the page's own.
    pub async fn before_each_page(&self, script: &str) {
        let name = "Page.addScriptToEvaluateOnNewDocument";
        self.client.issue_cmd(Devtools { name, params: json!({ "source": script }) }).await.unwrap();
    }

    /// Makes the window as wide as a phone.
    pub async fn become_a_phone(&self) {
        let metrics = json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true });
        let command = Devtools { name: "Emulation.setDeviceMetricsOverride", params: metrics };
        self.client.issue_cmd(command).await.unwrap();
    }

    /// A picture of the page, also of what is below the window.
    pub async fn whole_page(&self) -> Vec<u8> {
        let size = "const page = document.documentElement; return [page.clientWidth, page.scrollHeight]";
        let size = self.run(size).await;
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
        let params = json!({ "captureBeyondViewport": true, "format": "png", "clip": clip });
        let told = self.client.issue_cmd(Devtools { name: "Page.captureScreenshot", params }).await.unwrap();
        base64::engine::general_purpose::STANDARD.decode(told["data"].as_str().unwrap()).unwrap()
    }

    /// Drops files and folders of this host on the page, as the browser does when a person lets them go there.
    pub async fn drop_on_page(&self, paths: &[&str]) {
        let data = json!({ "items": [], "files": paths, "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            let params = json!({ "type": kind, "x": 400, "y": 300, "data": data });
            self.client.issue_cmd(Devtools { name: "Input.dispatchDragEvent", params }).await.unwrap();
        }
    }

    async fn log(&self, kind: &'static str) -> Vec<Value> {
        let told: Result<Value, CmdError> = self.client.issue_cmd(Log(kind)).await;
        told.unwrap().as_array().cloned().unwrap_or_default()
    }

    /// Checks that the page complained of nothing and asked no other host, and ends the browser. Complaints about
    /// what holds one of `expected` are none.
    pub async fn end(mut self, url: &str, expected: &[&str]) {
        let complaints: Vec<_> = self
            .log("browser")
            .await
            .into_iter()
            .filter(|entry| {
                let message = entry["message"].as_str().unwrap_or_default();
                entry["level"] != "DEBUG" && !expected.iter().any(|expected| message.contains(expected))
            })
            .collect();
        assert!(complaints.is_empty(), "the console says {complaints:#?}");
        let mut asked = 0;
        for entry in self.log("performance").await {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let (method, params) = (&message["message"]["method"], &message["message"]["params"]);
            let address = match method.as_str().unwrap_or_default() {
                "Network.requestWillBeSent" => params["request"]["url"].as_str(),
                "Network.webSocketCreated" => params["url"].as_str(),
                _ => continue,
            };
            let address = address.unwrap();
            asked += 1;
            let is_ours = address.starts_with(url) || address.starts_with(&url.replace("http", "ws"));
            assert!(
                is_ours || address.starts_with("data:") || address.starts_with("chrome"),
                "{address} was asked for"
            );
        }
        assert!(asked > 0, "no request was seen");
        self.client.clone().close().await.unwrap();
        self.driver.kill().unwrap();
        self.driver.wait().unwrap();
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        // A test that failed leaves the browser behind: it ends with its driver.
        if let Ok(None) = self.driver.try_wait() {
            let children = conductor_testkit::world::children(self.driver.id());
            children.iter().for_each(|child| child.kill());
            let _ended = self.driver.kill().and_then(|()| self.driver.wait());
        }
    }
}

/// Reads one of the browser's logs.
#[derive(Debug)]
struct Log(&'static str);

impl WebDriverCompatibleCommand for Log {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": self.0 }).to_string()))
    }
}

/// Says something to the browser's developer tools.
#[derive(Debug)]
struct Devtools {
    name: &'static str,
    params: Value,
}

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "cmd": self.name, "params": self.params }).to_string()))
    }
}
