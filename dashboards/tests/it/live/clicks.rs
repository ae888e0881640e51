//! The way of a person on call, in a browser: message, board, logs, trace. The failed request's trace id is on the last page.

use std::{env, path::PathBuf};

use anyhow::{Context, Result, ensure};
use local_parts::Folder;
use serde_json::Value;

use super::browser::{Browser, WIDTHS};

/// A trace id that no program creates by chance.
const TRACE: &str = "5eeafa11ed0000000000000000c11c45";
/// A folder for pictures of each page, at two widths, dark and light.
const PICTURES: &str = "VIEWER_PICTURES";

/// Clicks from the message about `alert` to the trace of a request that fails. `false`: there is no browser here.
pub async fn lead_from_a_message_to_the_failed_request(endpoints: &Value, alert: &str) -> Result<bool> {
    let Some(browser) = Browser::start().await? else { return Ok(false) };
    let mut way = Way { browser, pictures: Folder::throwaway("pictures")? };
    way.walk(endpoints, alert).await?;
    Ok(true)
}

struct Way {
    browser: Browser,
    pictures: Folder,
}

impl Way {
    async fn walk(&mut self, endpoints: &Value, alert: &str) -> Result<()> {
        fail_a_request(endpoints).await?;
        let telegram = endpoints["telegram"].as_str().context("endpoints.json names no Telegram")?;
        let message = format!("[...document.querySelectorAll('#messages > li')].filter((m) => m.innerText.includes('{alert}'))");
        let link =
            |part: &str| format!("{message}.flatMap((m) => [...m.querySelectorAll('a')]).find((a) => a.href.includes('{part}'))");
        let named = |text: &str| format!("[...document.querySelectorAll('a')].find((a) => a.innerText === '{text}')");
        self.browser.open(telegram).await?;
        self.browser.until("the message", &format!("{message}.length > 0")).await?;
        self.browser.picture(&self.file("message", WIDTHS[1], false), WIDTHS[1], false).await?;
        self.browser.click("the board's link", &link("/d/")).await?;
        self.browser.until("a chart", "document.querySelectorAll('.panel canvas').length > 0").await?;
        self.fits("board").await?;
        self.browser.click("the logs' link", &named("Failed requests of this time")).await?;
        self.browser.until("the request's line", &format!("!!{}", named(TRACE))).await?;
        self.fits("logs").await?;
        self.browser.click("the trace's link", &named(TRACE)).await?;
        for shown in ["POST /api/v3/order", TRACE] {
            self.browser.until(shown, &format!("document.body.innerText.includes('{shown}')")).await?;
        }
        self.browser.until("a line of the request", "document.querySelectorAll('#trace table tr').length > 0").await?;
        self.fits("trace").await?;
        // The fourth link of a message: its runbook.
        self.browser.open(telegram).await?;
        self.browser.click("the runbook's link", &link("/runbooks/")).await?;
        self.browser.until("the runbook", "document.body.innerText.includes('Meaning')").await?;
        self.fits("runbook").await
    }

    /// No page is wider than its window: a phone is 390 pixels wide.
    async fn fits(&mut self, page: &str) -> Result<()> {
        for width in WIDTHS {
            for dark in [false, true] {
                let file = self.file(page, width, dark);
                self.browser.picture(&file, width, dark).await?;
                ensure!(self.browser.fits().await?, "the page {page} is wider than {width} pixels");
            }
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "a person sets where the pictures are stored, to look at them")]
    fn file(&self, page: &str, width: u32, dark: bool) -> PathBuf {
        let folder = env::var_os(PICTURES).map_or_else(|| self.pictures.path().to_owned(), PathBuf::from);
        folder.join(format!("{page}-{width}-{}.png", if dark { "dark" } else { "light" }))
    }
}

/// An order of an unknown key: the client names the trace, as an instrumented one does.
async fn fail_a_request(endpoints: &Value) -> Result<()> {
    let rest = endpoints["exchange"]["rest"].as_str().context("endpoints.json names no API")?;
    let request = reqwest::Client::new().post(format!("{rest}/api/v3/order?symbol=BTCUSDT"));
    let reply = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01")).send().await?;
    ensure!(reply.status().is_client_error(), "the request did not fail: {}", reply.status());
    Ok(())
}
