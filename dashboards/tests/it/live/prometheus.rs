//! Questions to Prometheus.

use std::collections::BTreeSet;

use serde_json::Value;

pub struct Prometheus {
    url: String,
}

pub enum Answer {
    /// So many series with a value that is a number; at least one.
    Data(usize),
    Nothing,
    Refused(String),
}

impl Prometheus {
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    pub async fn ask(&self, query: &str) -> Answer {
        let answer = self.get("query", query).await;
        if answer["status"] != "success" {
            return Answer::Refused(answer["error"].to_string());
        }
        let is_number = |value: &Value| value.as_str().is_some_and(|value| value != "NaN");
        let found = match answer["data"]["resultType"].as_str() {
            Some("vector") => series(&answer).iter().filter(|series| is_number(&series["value"][1])).count(),
            _ => usize::from(is_number(&answer["data"]["result"][1])),
        };
        if found == 0 { Answer::Nothing } else { Answer::Data(found) }
    }

    /// Names of the rules that it evaluates.
    pub async fn rules(&self) -> BTreeSet<String> {
        let answer = self.get("rules", "").await;
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
        rules.filter_map(|rule| rule["name"].as_str().map(str::to_owned)).collect()
    }

    /// Alerts that fire, each its name followed by its labels.
    pub async fn firing(&self) -> Vec<String> {
        let answer = self.get("query", r#"ALERTS{alertstate="firing"}"#).await;
        let told =
            |series: &Value| format!("{} {}", series["metric"]["alertname"].as_str().unwrap_or_default(), series["metric"]);
        series(&answer).iter().map(told).collect()
    }

    async fn get(&self, what: &str, query: &str) -> Value {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/{what}", self.url)).expect("an address");
        if !query.is_empty() {
            url.query_pairs_mut().append_pair("query", query);
        }
        reqwest::get(url).await.expect("Prometheus answers").json().await.expect("Prometheus answers JSON")
    }
}

fn series(answer: &Value) -> Vec<Value> {
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}
