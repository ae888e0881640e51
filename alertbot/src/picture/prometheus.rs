//! Asks a Prometheus for the points of a query over a range: `POST /api/v1/query_range`
//! (<https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries>). Never: what becomes of them.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::Deserialize;

use super::PictureFault;
use crate::config::Credentials;

/// Points of one series at most: more than a phone has columns for would only cost.
pub const POINTS: u64 = 240;
/// Largest answer that is read.
const ANSWER_BYTES: usize = 8 << 20;
/// Shortest distance of two points.
const STEP_MIN: Duration = Duration::from_secs(1);

/// Where to ask.
#[derive(Debug, Clone)]
pub struct Prometheus {
    client: reqwest::Client,
    /// Without a slash at its end.
    url: String,
    credentials: Option<Credentials>,
}

/// One line of the picture. A gap is where the time jumps by more than a step.
#[derive(Debug, Clone, PartialEq)]
pub struct PlottedSeries {
    pub labels: BTreeMap<String, String>,
    /// Seconds since 1970, and the value; finite.
    pub points: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct PrometheusAnswer {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Row {
    metric: BTreeMap<String, String>,
    /// Missing if the series has only native histograms.
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Prometheus {
    pub fn new(client: reqwest::Client, url: &str, credentials: Option<Credentials>) -> Self {
        Self { client, url: url.trim_end_matches('/').to_owned(), credentials }
    }

    /// How far apart points are over such a range.
    pub fn step(range: Duration) -> Duration {
        range.div_f64(POINTS as f64).max(STEP_MIN)
    }

    /// The series of `query` from `start` to `end`.
    pub async fn range(&self, query: &str, start: Timestamp, end: Timestamp) -> Result<Vec<PlottedSeries>, PictureFault> {
        let range = Duration::try_from(end.duration_since(start)).unwrap_or_default();
        let seconds = |moment: Timestamp| format!("{:.3}", moment.as_millisecond() as f64 / 1e3);
        let step = format!("{:.3}", Self::step(range).as_secs_f64());
        let form = [("query", query), ("start", &seconds(start)), ("end", &seconds(end)), ("step", &step)];
        let request = self.client.post(format!("{}/api/v1/query_range", self.url)).form(&form);
        let request = match &self.credentials {
            Some(Credentials::Bearer(token)) => request.bearer_auth(token.expose()),
            Some(Credentials::Basic { user, password }) => request.basic_auth(user, Some(password.expose())),
            None => request,
        };
        // An address may hold a password: errors are told without it.
        let unreachable = |error: reqwest::Error| PictureFault::Prometheus(error.without_url().to_string());
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES {
                return Err(PictureFault::Prometheus(format!("its answer is larger than {ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        read(&body).map_err(|fault| match status.is_success() {
            true => fault,
            false => PictureFault::Prometheus(format!("it answered {status}: {fault}")),
        })
    }
}

fn read(body: &[u8]) -> Result<Vec<PlottedSeries>, PictureFault> {
    let refused = |reason: String| Err(PictureFault::Prometheus(reason));
    let answer: PrometheusAnswer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(error) => return refused(format!("its answer is not Prometheus's: {error}")),
    };
    let data = match (answer.status.as_str(), answer.data) {
        ("success", Some(data)) if data.result_type == "matrix" => data,
        ("success", _) => return refused("the query has no series over time".into()),
        _ => return refused(answer.error),
    };
    match serde_json::from_value::<Vec<Row>>(data.result) {
        Ok(rows) => Ok(rows.into_iter().filter_map(series).collect()),
        Err(error) => refused(format!("its answer is not Prometheus's: {error}")),
    }
}

/// Without points that no axis can hold (NaN, infinities); `None` when nothing is left.
fn series(row: Row) -> Option<PlottedSeries> {
    let finite = |(at, value): (f64, String)| Some((at, value.parse().ok().filter(|value: &f64| value.is_finite())?));
    let points: Vec<_> = row.values.into_iter().filter_map(finite).collect();
    (!points.is_empty()).then_some(PlottedSeries { labels: row.metric, points })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_answer_is_read() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"up","job":"a"},"values":[[1435781430.781,"1"],[1435781445.781,"NaN"],[1435781460.781,"+Inf"]]},
            {"metric":{"job":"b"},"values":[[1435781430.781,"NaN"]]},
            {"metric":{"job":"c"},"histograms":[[1435781430.781,{"count":"2","sum":"3"}]]}]},"warnings":["w"]}"#;
        let read = read(body).unwrap();
        assert_eq!(read.len(), 1, "{read:?}");
        assert_eq!((read[0].labels["job"].as_str(), &read[0].points[..]), ("a", &[(1_435_781_430.781, 1.0)][..]));
    }

    #[test]
    fn a_refusal_is_told_in_prometheus_words() {
        let fault = |body: &str| read(body.as_bytes()).unwrap_err().to_string();
        let refused =
            fault(r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:3: parse error"}"#);
        assert!(refused.contains("1:3: parse error"), "{refused}");
        assert!(fault("<html>").contains("not Prometheus's"));
        assert!(fault(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#).contains("no series"));
    }
}
