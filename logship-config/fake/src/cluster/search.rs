//! This module answers simple searches: all documents, or those with exact values, sorted by a field. It answers 501 to other
//! queries.

use serde_json::{Map, Value, json};

use super::Cluster;
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
};

const DEFAULT_SIZE: u64 = 10;
/// `index.max_result_window`.
const LARGEST_WINDOW: u64 = 10_000;

impl Cluster {
    pub(super) fn search(&self, names: &str, call: &ReceivedCall) -> Refused<FakeAnswer> {
        let body = call.json()?;
        let number = |key: &str, default: u64| match call.query.get(key) {
            Some(text) => {
                text.parse().map_err(|_| FakeAnswer::illegal_argument(format!("Failed to parse int parameter [{key}]")))
            }
            None => Ok(body[key].as_u64().unwrap_or(default)),
        };
        let (from, size) = (number("from", 0)?, number("size", DEFAULT_SIZE)?);
        if from + size > LARGEST_WINDOW {
            let reason = format!(
                "Result window is too large, from + size must be less than or equal to: [{LARGEST_WINDOW}] but was [{}]",
                from + size
            );
            return Err(FakeAnswer::illegal_argument(reason));
        }
        let wanted = conditions(call, &body)?;
        let mut hits = Vec::new();
        for index in self.resolve(names)? {
            for (id, document) in &self.indices[&index].documents {
                if wanted.iter().all(|(field, value)| text(find(&document.source, field)) == *value) {
                    hits.push((index.clone(), id, &document.source));
                }
            }
        }
        if let Some((field, descending)) = order(call, &body)? {
            hits.sort_by_key(|(_, _, source)| text(find(source, &field)));
            if descending {
                hits.reverse();
            }
        }
        let total = hits.len();
        let page = hits.into_iter().skip(from as usize).take(size as usize);
        let page: Vec<Value> = page
            .map(|(index, id, source)| {
                let source = selected(source, call.query.get("_source"));
                json!({"_index": index, "_id": id, "_score": 1.0, "_source": source})
            })
            .collect();
        Ok(FakeAnswer::ok(json!({
            "took": 1, "timed_out": false, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {"total": {"value": total, "relation": "eq"}, "max_score": 1.0, "hits": page},
        })))
    }
}

/// Fields and their exact values, from `q=field:value`, `match_all` or `term`.
fn conditions(call: &ReceivedCall, body: &Value) -> Refused<Vec<(String, String)>> {
    let unknown = || Err(FakeAnswer::not_modelled("this query of _search; use match_all, term or q=field:value"));
    let mut wanted = Vec::new();
    if let Some(query) = call.query.get("q") {
        match query.split_once(':') {
            Some((field, value)) if !value.contains([' ', '*', '(']) => {
                wanted.push((field.to_owned(), value.trim_matches('"').to_owned()))
            }
            _ => return unknown(),
        }
    }
    if body
        .as_object()
        .is_some_and(|body| body.keys().any(|key| !["query", "from", "size", "sort", "track_total_hits"].contains(&key.as_str())))
    {
        return unknown();
    }
    match body["query"].as_object().and_then(|query| query.iter().next()) {
        None => {}
        Some((kind, _)) if kind == "match_all" => {}
        Some((kind, terms)) if kind == "term" => {
            for (field, value) in terms.as_object().into_iter().flatten() {
                wanted.push((field.clone(), text(value.get("value").unwrap_or(value))));
            }
        }
        Some(_) => return unknown(),
    }
    Ok(wanted)
}

/// `sort=field:desc`, or the same as a list in the body.
fn order(call: &ReceivedCall, body: &Value) -> Refused<Option<(String, bool)>> {
    if let Some(sort) = call.query.get("sort") {
        let (field, order) = sort.rsplit_once(':').unwrap_or((sort, "asc"));
        return Ok(Some((field.to_owned(), order == "desc")));
    }
    match &body["sort"] {
        Value::Null => Ok(None),
        Value::Array(fields) if fields.len() == 1 => match &fields[0] {
            Value::String(field) => Ok(Some((field.clone(), false))),
            Value::Object(field) => Ok(field.iter().next().map(|(field, order)| {
                let descending = order == "desc" || order["order"] == "desc";
                (field.clone(), descending)
            })),
            _ => Err(FakeAnswer::not_modelled("this sort of _search")),
        },
        _ => Err(FakeAnswer::not_modelled("this sort of _search")),
    }
}

/// A field by its full name, flat or nested.
fn find<'a>(source: &'a Value, name: &str) -> &'a Value {
    if let Some(value) = source.get(name) {
        return value;
    }
    let parts = name.match_indices('.').map(|(at, _)| (&name[..at], &name[at + 1..]));
    parts.filter_map(|(head, rest)| Some(find(source.get(head)?, rest))).find(|value| !value.is_null()).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The named fields of a source; all without `_source`.
fn selected(source: &Value, names: Option<&String>) -> Value {
    let Some(names) = names else { return source.clone() };
    let found = names.split(',').map(|name| (name.to_owned(), find(source, name).clone()));
    found.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn search(cluster: &mut Cluster, query: &str, body: &Value) -> FakeAnswer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        cluster.answer(&ReceivedCall::new("POST", &format!("/i/_search?{query}"), body), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn documents_are_found_sorted_and_cut() {
        let mut cluster = Cluster::default();
        for number in 0..12 {
            let document = json!({"n": number % 3, "at": format!("{number:02}"), "log": {"level": "info"}});
            let body = format!("{{\"create\":{{\"_index\":\"i\",\"_id\":\"{number}\"}}}}\n{document}\n").into_bytes();
            assert_eq!(cluster.answer(&ReceivedCall::new("POST", "/_bulk", body), Timestamp::UNIX_EPOCH).status, 200);
        }
        let ids = |answer: &FakeAnswer| -> Vec<String> {
            answer.body["hits"]["hits"].as_array().unwrap().iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect()
        };
        let found = search(&mut cluster, "", &Value::Null);
        assert_eq!((ids(&found).len(), &found.body["hits"]["total"]["value"]), (10, &json!(12)));
        assert_eq!(ids(&search(&mut cluster, "q=n:2&sort=at:desc&size=2", &Value::Null)), ["11", "8"]);
        assert_eq!(ids(&search(&mut cluster, "", &json!({"query": {"term": {"log.level": "warn"}}}))), [""; 0]);
        let body = json!({"query": {"match_all": {}}, "sort": [{"at": "desc"}], "from": 1, "size": 1});
        assert_eq!(ids(&search(&mut cluster, "", &body)), ["10"]);
        assert_eq!(
            search(&mut cluster, "size=1&_source=at", &Value::Null).body["hits"]["hits"][0]["_source"],
            json!({"at": "00"})
        );
        assert_eq!(search(&mut cluster, "", &json!({"query": {"fuzzy": {}}})).status, 501);
        assert_eq!(search(&mut cluster, "size=10001", &Value::Null).status, 400);
    }
}
