//! A headless Chromium, driven over its DevTools protocol (<https://chromedevtools.github.io/devtools-protocol/>).

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{SinkExt, StreamExt};
use local_parts::{ChildProcess, Folder, Launch, StopSignal, find_program};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config, tungstenite::Message};

const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);
/// A phone and a desk.
pub const WIDTHS: [u32; 2] = [390, 1280];
const HEIGHT: u32 = 900;

pub struct Browser {
    // Dropped in this order: the process first, then its folder.
    _process: ChildProcess,
    _folder: Folder,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    calls: u64,
}

impl Browser {
    /// `None` where Chromium is not installed.
    pub async fn start() -> Result<Option<Self>> {
        let Ok(program) = find_program("chromium") else { return Ok(None) };
        let folder = Folder::throwaway("browser")?;
        let profile = folder.path().join("profile");
        let arguments = [
            "--headless=new".into(),
            // Root has no sandbox, and a container may have no shared memory.
            "--no-sandbox".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-gpu".into(),
            "--hide-scrollbars".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--remote-debugging-port=0".into(),
            format!("--user-data-dir={}", profile.display()),
            "about:blank".into(),
        ];
        let launch = Launch::new("chromium", program, arguments, Vec::new(), StopSignal::Terminate);
        let mut process = ChildProcess::start(&launch, folder.path())?;
        let port = profile.join("DevToolsActivePort");
        process.ready(DEADLINE, async || fs::read_to_string(&port).is_ok_and(|text| text.lines().count() >= 2)).await?;
        let port = fs::read_to_string(&port)?;
        let (port, path) = port.trim().split_once('\n').context("DevToolsActivePort has two lines")?;
        let (socket, _) = connect_async_with_config(format!("ws://127.0.0.1:{port}{path}"), None, true).await?;
        let mut browser = Self { _process: process, _folder: folder, socket, session: String::new(), calls: 0 };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await?["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true})).await?;
        attached["sessionId"].as_str().context("a session has an id")?.clone_into(&mut browser.session);
        browser.call("Page.enable", json!({})).await?;
        Ok(Some(browser))
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.calls += 1;
        let mut request = json!({"id": self.calls, "method": method, "params": parameters});
        if !self.session.is_empty() {
            request["sessionId"] = self.session.clone().into();
        }
        self.socket.send(Message::text(request.to_string())).await?;
        loop {
            let message = tokio::time::timeout(DEADLINE, self.socket.next()).await.context(method.to_owned())?;
            let Message::Text(text) = message.context("Chromium closed the connection")?? else { continue };
            let answer: Value = serde_json::from_str(&text)?;
            if answer["id"] == self.calls {
                ensure!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
                return Ok(answer["result"].clone());
            }
        }
    }

    pub async fn open(&mut self, url: &str) -> Result<()> {
        let opened = self.call("Page.navigate", json!({"url": url})).await?;
        ensure!(opened.get("errorText").is_none(), "{url}: {}", opened["errorText"]);
        Ok(())
    }

    /// The value of an expression in the page.
    pub async fn ask(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", parameters).await?;
        ensure!(answer.get("exceptionDetails").is_none(), "{expression}: {}", answer["exceptionDetails"]);
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until an expression is true in the page.
    pub async fn until(&mut self, what: &str, expression: &str) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        loop {
            // A navigation may destroy the page in which the expression runs.
            let last = self.ask(expression).await;
            if last.as_ref().is_ok_and(|value| value == true) {
                return Ok(());
            }
            if Instant::now() >= end {
                let page = self.ask("location.href + '\\n' + document.body.innerText.slice(0, 2000)").await.unwrap_or_default();
                bail!("{what} did not appear within {} s ({last:?}): {page}", DEADLINE.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Clicks on the first link that matches, in this tab, and returns its address once the click left the page.
    pub async fn click(&mut self, what: &str, link: &str) -> Result<String> {
        self.until(what, &format!("!!({link})")).await?;
        let address = self.ask(&format!("({link}).href")).await?;
        let address = address.as_str().with_context(|| format!("{what} has no address"))?.to_owned();
        self.ask(&format!("(() => {{ const link = {link}; link.target = ''; link.click(); }})()")).await?;
        let arrived = format!("location.href === {} && document.readyState === 'complete'", json!(address));
        self.until(&format!("the page of {what}"), &arrived).await?;
        Ok(address)
    }

    /// Writes the page as a PNG, as wide as `width`, dark or light.
    pub async fn picture(&mut self, file: &Path, width: u32, dark: bool) -> Result<()> {
        let phone = width < 800;
        let size = json!({"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": phone});
        self.call("Emulation.setDeviceMetricsOverride", size).await?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await?;
        // Charts follow the width and the scheme at their next draw.
        self.call("Page.reload", json!({})).await?;
        self.until("the page", "document.readyState === 'complete'").await?;
        let settled = "!document.querySelector('#board') || document.querySelectorAll('.panel .foot').length === document.querySelectorAll('.panel').length";
        self.until("every panel", settled).await?;
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"})).await?;
        let png = STANDARD.decode(shot["data"].as_str().context("a picture has data")?)?;
        fs::write(file, png).with_context(|| format!("writing {}", file.display()))
    }

    /// The page must not be wider than the window.
    pub async fn fits(&mut self) -> Result<bool> {
        Ok(self.ask("document.documentElement.scrollWidth <= window.innerWidth").await? == true)
    }
}
