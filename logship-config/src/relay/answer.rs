//! This module reads the part of Elasticsearch's answer to `_bulk` that the relay requests ([`FILTER_PATH`]).

use serde::Deserialize;

/// Less than a tenth of the whole answer. Items retain their positions, since each has a status.
pub const FILTER_PATH: &str = "errors,items.*.status,items.*.failure_store,items.*.error";

/// The result of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemAnswer {
    pub status: u16,
    /// `failure_store: used`. With `failed` or `not_enabled`, Elasticsearch also returns an error, which then counts.
    pub in_failure_store: bool,
    pub error: Option<ItemError>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemError {
    /// Such as `document_parsing_exception`.
    pub kind: String,
    /// With its cause. It may contain a value of the document: it goes to the dead letter and must not be logged.
    pub reason: String,
}

#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    #[error("the answer is not an answer to _bulk ({0})")]
    Malformed(#[from] serde_json::Error),
    #[error("the answer has {told} items, but {sent} were sent")]
    Length { told: usize, sent: usize },
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Operation>,
}

/// The relay sends only `create`.
#[derive(Deserialize)]
struct Operation {
    create: Item,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    #[serde(default)]
    failure_store: FailureStore,
    error: Option<ErrorBody>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum FailureStore {
    Used,
    #[default]
    #[serde(other)]
    NotUsed,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    caused_by: Option<Box<ErrorBody>>,
}

/// Returns the answers to `sent` items, in their order.
///
/// # Errors
/// Returns an error for another kind of answer, or if the number of items differs. It is then unknown which documents are
/// stored.
pub fn read_answer(body: &[u8], sent: usize) -> Result<Vec<ItemAnswer>, AnswerError> {
    let answer: Answer = serde_json::from_slice(body)?;
    if answer.items.len() != sent {
        return Err(AnswerError::Length { told: answer.items.len(), sent });
    }
    let read = |Operation { create }: Operation| ItemAnswer {
        status: create.status,
        in_failure_store: create.failure_store == FailureStore::Used,
        error: create.error.map(|error| ItemError { kind: error.r#type.clone().unwrap_or_default(), reason: reasons(error) }),
    };
    Ok(answer.items.into_iter().map(read).collect())
}

fn reasons(error: ErrorBody) -> String {
    let mut text = error.reason.unwrap_or_default();
    let mut cause = error.caused_by;
    while let Some(next) = cause {
        if let Some(reason) = next.reason {
            text = format!("{text}: {reason}");
        }
        cause = next.caused_by;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_with_their_errors_and_causes() {
        let body = br#"{"errors":true,"took":3,"items":[
            {"create":{"status":201}},
            {"create":{"status":201,"failure_store":"used"}},
            {"create":{"status":400,"failure_store":"not_enabled","error":{"type":"document_parsing_exception","reason":"[1:9] failed to parse",
                "caused_by":{"type":"illegal_argument_exception","reason":"For input string: \"x\""}}}},
            {"create":{"status":429,"failure_store":"not_applicable_or_unknown","error":{"type":"es_rejected_execution_exception","reason":null}}}]}"#;
        let answers = read_answer(body, 4).unwrap();
        let told: Vec<_> = answers.iter().map(|answer| (answer.status, answer.in_failure_store)).collect();
        assert_eq!(told, [(201, false), (201, true), (400, false), (429, false)]);
        let error = answers[2].error.clone().unwrap();
        assert_eq!(
            (error.kind.as_str(), error.reason.as_str()),
            ("document_parsing_exception", "[1:9] failed to parse: For input string: \"x\"")
        );
        assert_eq!(answers[3].error.clone().unwrap().reason, "");
    }

    #[test]
    fn a_body_without_items_is_not_an_answer() {
        assert!(matches!(
            read_answer(br#"{"errors":false,"items":[{"create":{"status":201}}]}"#, 2),
            Err(AnswerError::Length { told: 1, sent: 2 })
        ));
        for body in [
            "",
            "{}",
            "<html>",
            r#"{"items":[{"index":{"status":201}}]}"#,
            r#"{"items":[{"create":{}}]}"#,
            r#"{"items":[{"create":{"status":201}}"#,
        ] {
            assert!(matches!(read_answer(body.as_bytes(), 1), Err(AnswerError::Malformed(_))), "{body}");
        }
    }
}
