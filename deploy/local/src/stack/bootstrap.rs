//! The first assets, markets, accounts and keys, through `exchange admin` as an operator would.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::{
    process::Command,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    accounts::{ASSETS, BALANCES, DEMO, MARKETS, MINIMUM_NOTIONAL, PROBE, QUOTE, SIMULATOR},
    endpoints::AccountEndpoint,
    layout,
};

/// What `exchange admin` says of a server that does not lead.
const NO_LEADER: &str = "this server accepts no commands at present";
/// Time for another replica to take the lead.
const LEAD_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// Commands of one account wait for each other; accounts do not.
#[derive(Clone)]
pub struct OperatorQueue {
    pub environment: Vec<(String, String)>,
}

/// Who can trade after the bootstrap.
pub struct Traders {
    pub demo: Vec<AccountEndpoint>,
    pub simulator: Vec<AccountEndpoint>,
    pub probe: AccountEndpoint,
}

impl OperatorQueue {
    /// Opens the markets and creates every account with its key and its money.
    pub async fn bootstrap(&self) -> Result<Traders> {
        for asset in ASSETS {
            self.admin(&["asset", "create", asset]).await?;
        }
        for market in MARKETS {
            let filters = ["--tick-size", market.tick_size, "--step-size", market.step_size, "--min-quantity", market.step_size];
            let base =
                ["market", "create", market.symbol, "--base", market.base, "--quote", QUOTE, "--min-notional", MINIMUM_NOTIONAL];
            self.admin(&[&base[..], &filters[..]].concat()).await?;
        }
        let mut accounts = JoinSet::new();
        for (position, name) in DEMO.iter().chain(&SIMULATOR).chain([&PROBE]).enumerate() {
            let operator = self.clone();
            accounts.spawn(async move { operator.account(name).await.map(|account| (position, account)) });
        }
        let mut created = Vec::new();
        while let Some(account) = accounts.join_next().await {
            created.push(account.context("creating an account")??);
        }
        created.sort_by_key(|(position, _)| *position);
        let mut demo: Vec<_> = created.into_iter().map(|(_, account)| account).collect();
        let mut simulator = demo.split_off(DEMO.len());
        let probe = simulator.pop().context("the probe's account is the last")?;
        Ok(Traders { demo, simulator, probe })
    }

    async fn account(&self, name: &str) -> Result<AccountEndpoint> {
        let created = self.admin(&["account", "create", name]).await?;
        let id = match &created["account"] {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => bail!("`exchange admin account create` returned no account: {created}"),
        };
        for (asset, amount) in BALANCES {
            let reference = format!("bootstrap-{name}-{asset}");
            self.admin(&["credit", &id, asset, amount, "--reference", &reference]).await?;
        }
        let key = self.admin(&["api-key", "create", &id, "--label", name]).await?;
        let text = |member: &str| key[member].as_str().map(str::to_owned);
        let (api_key, secret_key) = text("apiKey")
            .zip(text("secretKey"))
            .with_context(|| format!("`exchange admin api-key create` returned no key of {name}"))?;
        Ok(AccountEndpoint { name: name.to_owned(), api_key, secret_key })
    }

    /// Repeats a command that was refused while the lead went to another replica: it certainly had no effect.
    async fn admin(&self, arguments: &[&str]) -> Result<Value> {
        let end = Instant::now() + LEAD_WITHIN;
        loop {
            match self.try_admin(arguments).await {
                Err(error) if error.to_string().contains(NO_LEADER) && Instant::now() < end => sleep(POLL).await,
                done => return done,
            }
        }
    }

    async fn try_admin(&self, arguments: &[&str]) -> Result<Value> {
        let output = Command::new(layout::program("exchange")?)
            .args(["admin", "--actor", "local", "--reason", "first markets and accounts"])
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .output()
            .await
            .context("running exchange admin")?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let complained = String::from_utf8_lossy(&output.stderr);
            bail!("`exchange admin {}` failed ({}): {}{}", arguments.join(" "), output.status, said, complained);
        }
        serde_json::from_str(&said).with_context(|| format!("`exchange admin {}` answered no JSON", arguments.join(" ")))
    }
}
