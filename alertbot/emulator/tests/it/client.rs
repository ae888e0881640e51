//! A bot that speaks raw HTTP.

use serde_json::{Value, json};
use telegram_emulator::{Emulator, Seed, TelegramLimits};

pub const ADA: i64 = 11;
pub const GROUP: i64 = -4_001;
pub const SUPERGROUP: i64 = -1_001_000_000_001;
pub const FORUM: i64 = -1_001_000_000_002;

pub struct Client {
    pub emulator: Emulator,
    pub token: String,
    http: reqwest::Client,
}

impl Client {
    pub async fn start() -> Self {
        Self::with(TelegramLimits { off: true, ..TelegramLimits::default() }).await
    }

    pub async fn with(limits: TelegramLimits) -> Self {
        let seed = Seed { limits, ..Seed::demo() };
        let token = seed.bots[0].token.clone();
        let emulator = Emulator::start(seed).await.unwrap();
        Self { emulator, token, http: reqwest::Client::new() }
    }

    pub fn url(&self, method: &str) -> String {
        format!("{}/bot{}/{method}", self.emulator.url(), self.token)
    }

    pub async fn send(&self, method: &str, parameters: Value) -> reqwest::Result<(u16, Value)> {
        let reply = self.http.post(self.url(method)).json(&parameters).send().await?;
        Ok((reply.status().as_u16(), reply.json().await.unwrap_or_default()))
    }

    pub async fn call(&self, method: &str, parameters: Value) -> (u16, Value) {
        self.send(method, parameters).await.unwrap()
    }

    /// The result of a call that succeeds.
    pub async fn result(&self, method: &str, parameters: Value) -> Value {
        let (code, body) = self.call(method, parameters).await;
        assert!(code == 200 && body["ok"] == true, "{code} {body}");
        body["result"].clone()
    }

    /// What a refusal says.
    pub async fn refused(&self, method: &str, parameters: Value) -> String {
        let (code, body) = self.call(method, parameters).await;
        assert!(body["ok"] == false && body["error_code"] == code, "{code} {body}");
        body["description"].as_str().unwrap().to_owned()
    }

    pub async fn text(&self, chat: i64, text: &str) -> (u16, Value) {
        self.call("sendMessage", json!({"chat_id": chat, "text": text})).await
    }
}
