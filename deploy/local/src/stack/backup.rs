//! The backup agent of a run: it backs the exchange up every few minutes while it trades, restores each backup for a try with
//! the ledger's assertions, and prints each result. It must not decide how a backup is taken.

use std::time::Duration;

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use local_parts::{Launch, PostgresPlan, S3Access, StopSignal, find_program};
use serde_json::Value;
use tokio::{process::Command, time::sleep};

use super::{
    layout::{self, StackLayout, local},
    readiness::text_of,
};

/// Apart from the exchange's own objects.
pub const BUCKET: &str = "backups";
const NAME: &str = "exchange";
/// Seconds, minutes, …: every three minutes.
const SCHEDULE: &str = "0 */3 * * * *";
const MINUTES: u32 = 3;
const POLL: Duration = Duration::from_millis(500);

/// `backup serve` and its settings.
pub fn launch_backup(layout: &StackLayout, postgres: &PostgresPlan, database: &str, store: &S3Access) -> Result<Launch> {
    let assertions = layout::repository()?.join("backup/assertions/exchange.sql");
    let programs = |program: &str| -> Result<String> {
        let path = find_program(program)?;
        Ok(path.parent().context("a program lies in a folder")?.display().to_string())
    };
    let url = postgres.url(database);
    let options = if url.contains('?') { "&" } else { "?" };
    let settings = [
        ("BACKUP_NAME", NAME.to_owned()),
        ("BACKUP_SOURCE_URL", format!("{url}{options}sslmode=disable")),
        ("BACKUP_DATABASES", database.to_owned()),
        ("BACKUP_STORE_ENDPOINT", store.endpoint.clone()),
        ("BACKUP_STORE_REGION", store.region.clone()),
        ("BACKUP_STORE_BUCKET", BUCKET.to_owned()),
        ("BACKUP_STORE_ACCESS_KEY", store.access_key.clone()),
        ("BACKUP_STORE_SECRET_KEY", store.secret_key.clone()),
        ("BACKUP_SIGNING_KEY", BASE64_STANDARD.encode(rand::random::<[u8; 32]>())),
        ("BACKUP_CLIENT_FOLDER", programs("pg_dump")?),
        ("BACKUP_SERVER_FOLDER", programs("initdb")?),
        ("BACKUP_SCHEDULE", SCHEDULE.to_owned()),
        ("BACKUP_VERIFY_AFTER_BACKUP", "true".to_owned()),
        ("BACKUP_ASSERTIONS", assertions.display().to_string()),
        ("BACKUP_ADMIN_LISTEN", local(layout.ports.backup_admin)),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
    Ok(Launch::new("backup", layout::program("backup")?, ["serve"], settings, StopSignal::Terminate))
}

/// Says that it works, and how to ask it.
pub fn said() -> String {
    format!("every {MINUTES} minutes into the bucket {BUCKET}, each restored and verified")
}

/// What its drills say, one at a time.
pub struct Drills<'a> {
    agent: &'a Launch,
    metrics: String,
    seen: f64,
}

impl<'a> Drills<'a> {
    pub fn new(layout: &StackLayout, agent: &'a Launch) -> Self {
        Self { agent, metrics: format!("http://{}/metrics", local(layout.ports.backup_admin)), seen: 0.0 }
    }

    /// Waits until another one is over.
    pub async fn next(&mut self) -> String {
        loop {
            let done = text_of(&self.metrics).await.map_or(0.0, |metrics| {
                let drills = metrics.lines().filter(|line| line.starts_with("backup_verifications_total{"));
                drills.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
            });
            if done > self.seen {
                self.seen = done;
                return match self.newest().await {
                    Ok(told) => told,
                    Err(error) => format!("a drill ended, but its result cannot be read: {error:#}"),
                };
            }
            sleep(POLL).await;
        }
    }

    /// What the newest backup that was tried is, in the agent's own words.
    async fn newest(&self) -> Result<String> {
        let mut command = Command::new(&self.agent.program);
        let answer = command.args(["--output", "json", "show"]).envs(self.agent.environment.iter().cloned()).output();
        let answer = answer.await.context("running backup show")?;
        let shown: Value = serde_json::from_slice(&answer.stdout).context("reading what backup show answers")?;
        Ok(verdict(&shown))
    }
}

fn verdict(shown: &Value) -> String {
    let (manifest, drills) = (&shown["manifest"], shown["verifications"].as_array());
    let id = manifest["id"].as_str().unwrap_or_default();
    let stored = manifest["totals"]["stored_bytes"].as_f64().unwrap_or_default() / f64::from(1 << 20);
    let Some(drill) = drills.and_then(|drills| drills.last()) else { return format!("backup {id} waits for its drill") };
    let assertions = drill["assertions"].as_array().map_or(0, Vec::len);
    if drill["passed"] == true {
        format!(
            "backup {id} is verified: {} rows restored and compared, {assertions} assertions of the ledger hold, {stored:.1} MiB stored",
            drill["rows_compared"]
        )
    } else {
        let faults = drill["faults"].as_array().into_iter().flatten().filter_map(Value::as_str);
        format!("backup {id} FAILED its drill: {}", faults.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::verdict;

    #[test]
    fn a_drill_is_told_in_a_line() {
        let mut shown = json!({
            "manifest": {"id": "x", "totals": {"stored_bytes": 1_572_864}},
            "verifications": [{"passed": true, "rows_compared": 12, "assertions": [{}, {}], "faults": []}],
        });
        let told = verdict(&shown);
        assert_eq!(told, "backup x is verified: 12 rows restored and compared, 2 assertions of the ledger hold, 1.5 MiB stored");
        shown["verifications"][0]["passed"] = false.into();
        shown["verifications"][0]["faults"] = json!(["a: b"]);
        assert_eq!(verdict(&shown), "backup x FAILED its drill: a: b");
    }
}
