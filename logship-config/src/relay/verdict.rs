//! This module classifies Elasticsearch's answer for a document (pure): stored, retry, or permanently refused.
//!
//! A dead letter is for a document that will always be refused: the document itself is at fault. A cause that an operator
//! can repair (credentials, privileges, a block, a missing stream, a full cluster) is retried without limit, since the
//! document is valid.

use super::answer::ItemAnswer;

/// The reason for a retry. Each has its own alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryCause {
    /// 429: Elasticsearch is overloaded.
    Busy,
    /// 5xx, or no answer.
    Unavailable,
    /// Needs an operator: 401, 403, 404, a block, a closed index, a missing pipeline, no room for shards.
    Blocked,
    /// The dead letter itself was refused by the mapping of its stream.
    LetterRefused,
}

impl RetryCause {
    pub const ALL: [Self; 4] = [Self::Busy, Self::Unavailable, Self::Blocked, Self::LetterRefused];

    /// Returns the value of the label `cause`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Blocked => "blocked",
            Self::LetterRefused => "dead_letter_refused",
        }
    }
}

/// The result of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemVerdict {
    Stored,
    /// Its `_id` is in the write index: an earlier attempt stored it.
    AlreadyThere,
    /// Its mapping or pipeline refused it, and Elasticsearch's failure store contains it.
    InFailureStore,
    Later(RetryCause),
    /// Permanently refused: a dead letter.
    Refused,
}

/// The result of a whole request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// 200: each item has its own answer.
    Items,
    /// 413: send smaller requests.
    TooLarge,
    Later(RetryCause),
}

/// Errors with status 400 for a valid document: the index or the cluster is at fault.
const OPERATORS_FAULTS: [&str; 5] = [
    // The status differs between releases: 403, or 429 at the flood stage.
    "cluster_block_exception",
    "index_closed_exception",
    // "this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards open"
    "validation_exception",
    "security_exception",
    "index_not_found_exception",
];

/// `illegal_argument_exception` with "pipeline with id [x] does not exist": the pipeline of the template is missing.
fn names_missing_pipeline(reason: &str) -> bool {
    reason.contains("pipeline with id [") && reason.contains("does not exist")
}

pub fn of_item(answer: &ItemAnswer) -> ItemVerdict {
    let error = answer.error.as_ref();
    match answer.status {
        200..=299 if answer.in_failure_store => ItemVerdict::InFailureStore,
        200..=299 => ItemVerdict::Stored,
        409 => ItemVerdict::AlreadyThere,
        401 | 403 | 404 => ItemVerdict::Later(RetryCause::Blocked),
        _ if error
            .is_some_and(|error| OPERATORS_FAULTS.contains(&error.kind.as_str()) || names_missing_pipeline(&error.reason)) =>
        {
            ItemVerdict::Later(RetryCause::Blocked)
        }
        408 | 429 => ItemVerdict::Later(RetryCause::Busy),
        400..=499 => ItemVerdict::Refused,
        _ => ItemVerdict::Later(RetryCause::Unavailable),
    }
}

pub fn of_request(status: u16) -> Reception {
    match status {
        200 => Reception::Items,
        413 => Reception::TooLarge,
        408 | 429 => Reception::Later(RetryCause::Busy),
        // Also 400: the relay sends well-formed requests, so no document is at fault.
        400..=499 => Reception::Later(RetryCause::Blocked),
        _ => Reception::Later(RetryCause::Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::answer::ItemError, *};

    fn item(status: u16, kind: &str, reason: &str) -> ItemAnswer {
        let error = (!kind.is_empty()).then(|| ItemError { kind: kind.into(), reason: reason.into() });
        ItemAnswer { status, in_failure_store: false, error }
    }

    /// Statuses and errors as Elasticsearch returns them.
    #[test]
    fn each_answer_is_classified() {
        use ItemVerdict::{AlreadyThere, InFailureStore, Later, Refused, Stored};
        use RetryCause::{Blocked, Busy, Unavailable};
        for (status, kind, reason, verdict) in [
            (201, "", "", Stored),
            (200, "", "", Stored),
            (409, "version_conflict_engine_exception", "[1]: version conflict, document already exists", AlreadyThere),
            (429, "es_rejected_execution_exception", "rejected execution of coordinating operation", Later(Busy)),
            (429, "circuit_breaking_exception", "[parent] Data too large", Later(Busy)),
            (
                429,
                "cluster_block_exception",
                "disk usage exceeded flood-stage watermark, index has read-only-allow-delete block",
                Later(Blocked),
            ),
            (403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];", Later(Blocked)),
            (403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized for API key", Later(Blocked)),
            (401, "security_exception", "unable to authenticate", Later(Blocked)),
            (
                404,
                "index_not_found_exception",
                "no such index [logs-x-y] and [require_data_stream] request flag is [true]",
                Later(Blocked),
            ),
            (400, "index_closed_exception", "closed", Later(Blocked)),
            (400, "validation_exception", "this action would add [2] shards", Later(Blocked)),
            (400, "illegal_argument_exception", "pipeline with id [x] does not exist", Later(Blocked)),
            (503, "unavailable_shards_exception", "primary shard is not active", Later(Unavailable)),
            (500, "exception", "disk", Later(Unavailable)),
            (400, "document_parsing_exception", "[1:9] failed to parse field [x] of type [long]", Refused),
            (400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded", Refused),
            (400, "", "", Refused),
        ] {
            assert_eq!(of_item(&item(status, kind, reason)), verdict, "{status} {kind} {reason}");
        }
        let kept = ItemAnswer { in_failure_store: true, ..item(201, "", "") };
        assert_eq!(of_item(&kept), InFailureStore);
    }

    #[test]
    fn failures_of_a_whole_request_make_no_dead_letters() {
        for status in 100..=599 {
            let expected = match status {
                200 => Reception::Items,
                413 => Reception::TooLarge,
                408 | 429 => Reception::Later(RetryCause::Busy),
                400..=499 => Reception::Later(RetryCause::Blocked),
                _ => Reception::Later(RetryCause::Unavailable),
            };
            assert_eq!(of_request(status), expected, "{status}");
        }
    }
}
