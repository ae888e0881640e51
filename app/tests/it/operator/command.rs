//! This module runs the program as an operator does.

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    exchange::{Exchange, Trader},
    test_app::INTERNAL_TOKEN,
};

pub const ACTOR: &str = "olga";
pub const REASON: &str = "ticket 17";

/// An operator with the settings of one exchange.
pub struct Operator {
    pub database_url: String,
    pub token: String,
    pub actor: &'static str,
    pub reason: &'static str,
}

impl Operator {
    pub fn of(exchange: &Exchange) -> Self {
        Self { database_url: exchange.app.database_url.clone(), token: INTERNAL_TOKEN.to_owned(), actor: ACTOR, reason: REASON }
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_exchange"))
            .args(["admin", "--actor", self.actor, "--reason", self.reason])
            .args(arguments)
            .env_clear()
            .env("EXCHANGE_DATABASE_URL", &self.database_url)
            .env("EXCHANGE_INTERNAL_TOKEN", &self.token)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap()
    }

    /// Output of a successful command.
    pub async fn does(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("one JSON document")
    }

    /// Error of a refused command.
    pub async fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    /// An account that the operator created, with a key and some money.
    pub async fn trader<'a>(&self, exchange: &'a Exchange, reference: &str) -> Trader<'a> {
        let created = self.does(&["account", "create", reference]).await;
        for (asset, amount) in [("BTC", "10"), ("USDT", "100000")] {
            self.does(&["credit", reference, asset, amount, "--reference", &format!("first {reference} {asset}")]).await;
        }
        let key = self.does(&["api-key", "create", reference]).await;
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        let account = created["account"].as_u64().unwrap().try_into().unwrap();
        Trader { exchange, account, api_key: text("apiKey"), secret: text("secretKey") }
    }
}
