//! This module starts the viewer of boards, runbooks and logs, and completes the links of the rules with its address.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use local_parts::{Launch, StopSignal, find_program};

use super::{
    layout::{self, StackLayout, local},
    readiness::{answers, ready},
    supervisor::Supervisor,
    traces,
};

/// The viewer of a run.
pub struct Viewer {
    launch: Launch,
}

impl Viewer {
    pub fn prepare(layout: &StackLayout, prometheus: &str) -> Result<Self> {
        let server = layout::repository()?.join("deploy/local/viewer/server.py");
        let arguments = [
            server.into_os_string(),
            "--port".into(),
            layout.ports.viewer.to_string().into(),
            "--prometheus".into(),
            prometheus.into(),
            "--traces".into(),
            traces::url(layout).into(),
            "--logs".into(),
            layout.folder.join("logs").into_os_string(),
        ];
        let launch = Launch::new("viewer", find_program("python3")?, arguments, Vec::new(), StopSignal::Terminate);
        Ok(Self { launch })
    }

    pub fn launch(&self) -> Launch {
        self.launch.clone()
    }

    /// Where it serves.
    pub fn url(layout: &StackLayout) -> String {
        format!("http://{}", local(layout.ports.viewer))
    }

    /// Returns when it answers.
    pub async fn start(layout: &StackLayout, supervisor: &Supervisor) -> Result<()> {
        let pid = supervisor.start("viewer").await?;
        let url = Self::url(layout);
        ready("viewer", pid, &layout.log("viewer"), async || answers(&url, |_| true).await).await
    }
}

/// Copies the rule files into the run, with the viewer's address in front of the links of each alert.
pub fn rules(layout: &StackLayout) -> Result<Vec<PathBuf>> {
    let source = layout::repository()?.join("dashboards/prometheus");
    let copies = layout.folder.join("rules");
    for kind in ["recording", "alerts"] {
        let (from, to) = (source.join(kind), copies.join(kind));
        fs::create_dir_all(&to).with_context(|| format!("creating {}", to.display()))?;
        for entry in fs::read_dir(&from).with_context(|| format!("reading {}", from.display()))? {
            copy(&entry.context("reading a folder of rules")?.path(), &to, &Viewer::url(layout))?;
        }
    }
    Ok(["recording", "alerts"].map(|kind| copies.join(kind).join("*.y*ml")).into())
}

fn copy(file: &Path, folder: &Path, viewer: &str) -> Result<()> {
    let name = file.file_name().context("a rule file has a name")?;
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let copy = folder.join(name);
    fs::write(&copy, completed(&text, viewer)).with_context(|| format!("writing {}", copy.display()))
}

fn completed(rules: &str, viewer: &str) -> String {
    rules
        .replace("runbook_url: '/", &format!("runbook_url: '{viewer}/"))
        .replace("dashboard_url: '/", &format!("dashboard_url: '{viewer}/"))
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use local_parts::{ChildProcess, Folder};
    use serde_json::Value;

    use super::{Viewer, completed};
    use crate::stack::{StackLayout, readiness::answers};

    const DEADLINE: Duration = Duration::from_secs(30);
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn links_of_rules_get_the_address_of_the_viewer() {
        let rules = "runbook_url: '/runbooks/A.md'\ndashboard_url: '/d/b?viewPanel=1'\nexpr: a / b\n";
        let expected = "runbook_url: 'http://v/runbooks/A.md'\ndashboard_url: 'http://v/d/b?viewPanel=1'\nexpr: a / b\n";
        assert_eq!(completed(rules, "http://v"), expected);
    }

    /// From a message to the lines of the failed request: board, runbook, logs, trace.
    #[tokio::test]
    async fn each_link_from_an_alert_to_a_trace_opens() {
        let folder = Folder::throwaway("viewer").unwrap();
        let layout = StackLayout::new(0, Some(folder.path().to_owned())).unwrap();
        fs::create_dir_all(folder.path().join("logs")).unwrap();
        let line = |trace: &str, at: &str| {
            format!(
                "{{\"@timestamp\":\"{at}\",\"log.level\":\"error\",\"message\":\"m\",\"trace.id\":\"{trace}\",\"event.duration\":5000000}}\n"
            )
        };
        let (now, to) = ("2026-11-30T10:00:00.000Z", "1796032860000");
        let text = line(TRACE, now) + "not JSON\n" + &line("other", now) + &line(TRACE, "2026-11-30T07:00:00.000Z");
        fs::write(folder.path().join("logs/serve.log"), text).unwrap();
        let viewer = Viewer::prepare(&layout, "http://127.0.0.1:9").unwrap();
        let mut process = ChildProcess::start(&viewer.launch(), folder.path()).unwrap();
        let url = Viewer::url(&layout);
        process.ready(DEADLINE, async || answers(&url, |_| true).await).await.unwrap();
        let get = async |path: &str| {
            let reply = reqwest::get(format!("{url}{path}")).await.unwrap();
            (reply.status().as_u16(), reply.text().await.unwrap())
        };
        for (path, shown) in [
            ("/", "href=\"/d/overview\""),
            ("/d/exchange?viewPanel=104", "data-uid=\"exchange\""),
            ("/api/board/exchange", "\"uid\": \"exchange\""),
            ("/runbooks/ExchangeNoLeader.md", "<h1>ExchangeNoLeader</h1>"),
            ("/runbooks/", "ExchangeNoLeader"),
            ("/logs", "id=\"logs\""),
            ("/traces", "id=\"traces\""),
            ("/trace/0af7651916cd43dd8448eb211c80319c", "data-id=\"0af7651916cd43dd8448eb211c80319c\""),
            ("/static/traces.js", "showTrace"),
            ("/static/viewer.js", "showBoard"),
            ("/static/vendor/uPlot.iife.min.js", "uPlot"),
        ] {
            let (status, text) = get(path).await;
            assert!(status == 200 && text.contains(shown), "{path}: {status} {}", &text[..text.len().min(200)]);
        }
        let (_, found) = get(&format!("/api/logs?trace={TRACE}&minutes=60&to={to}")).await;
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
        assert_eq!(found[0]["program"], "serve");
        let slow = get(&format!("/api/logs?min_ms=6&minutes=60&to={to}")).await.1;
        assert_eq!(slow, "[]");
        assert_eq!(get("/api/logs?minutes=many").await.0, 400);
        assert_eq!(get("/api/logs?min_status=high").await.0, 400);
        assert_eq!(get("/trace/0AF7").await.0, 400);
        assert_eq!(get("/d/none").await.0, 404);
        assert_eq!(get("/runbooks/..%2FREADME.md").await.0, 404);
        assert_eq!(get("/api/query?query=up").await.0, 502, "Prometheus does not run here");
        process.stop(local_parts::StopSignal::Terminate).await.unwrap();
    }
}
