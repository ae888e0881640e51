//! Bodies that Alertmanager does not write: random bytes, and valid bodies with a part replaced. Each is accepted or rejected with a
//! reason, and none makes the reader panic. `PROPTEST_CASES` of proptest sets the number of cases.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Payload, read_body};

fn right() -> Value {
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"Down\"}", "truncatedAlerts": 0, "status": "firing", "receiver": "bot",
        "groupLabels": {"alertname": "Down"}, "commonLabels": {"alertname": "Down"}, "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": [{
            "status": "firing", "labels": {"alertname": "Down", "instance": "a"}, "annotations": {"summary": "down"},
            "startsAt": "2026-01-31T00:00:00.5Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://p/graph?g0.expr=up", "fingerprint": "c0ffee"
        }]
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(vec![
            "4",
            "firing",
            "resolved",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2026-13-40T00:00:00Z"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[a-zA-Z]{0,8}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every replaceable place of a valid body.
const PLACES: [&str; 18] = [
    "/version",
    "/groupKey",
    "/truncatedAlerts",
    "/status",
    "/receiver",
    "/groupLabels",
    "/commonLabels",
    "/commonAnnotations",
    "/externalURL",
    "/alerts",
    "/alerts/0",
    "/alerts/0/status",
    "/alerts/0/labels",
    "/alerts/0/annotations",
    "/alerts/0/startsAt",
    "/alerts/0/endsAt",
    "/alerts/0/generatorURL",
    "/alerts/0/fingerprint",
];

fn accepted(body: &[u8]) -> Result<Option<Payload>, TestCaseError> {
    match read_body(body) {
        Ok(payload) => {
            prop_assert!(!payload.group_key.is_empty() && !payload.receiver.is_empty());
            let again = serde_json::to_vec(&payload).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(&read_body(&again).ok(), &Some(payload.clone()), "a body must survive writing and reading");
            payload.alerts.iter().for_each(|alert| assert!(!alert.identity().is_empty()));
            Ok(Some(payload))
        }
        Err(error) => {
            prop_assert!(!error.to_string().is_empty());
            Ok(None)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_at_random(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        accepted(&body)?;
    }

    #[test]
    fn any_json_at_all(body in any_json()) {
        accepted(body.to_string().as_bytes())?;
    }

    #[test]
    fn a_right_body_with_pieces_exchanged(changes in proptest::collection::vec((proptest::sample::select(PLACES.to_vec()), any_json()), 1..4)) {
        let mut body = right();
        for (place, value) in changes {
            if let Some(at) = body.pointer_mut(place) {
                *at = value;
            }
        }
        accepted(body.to_string().as_bytes())?;
    }

    #[test]
    fn a_right_body_cut_or_with_a_byte_turned(at in 0..400_usize, byte in any::<u8>(), cut in any::<bool>()) {
        let mut body = right().to_string().into_bytes();
        let at = at % body.len();
        if cut { body.truncate(at) } else { body[at] = byte }
        accepted(&body)?;
    }

    /// Unknown names are ignored at every level.
    #[test]
    fn fields_of_newer_versions(name in "[a-z]{9,12}", value in any_json()) {
        let mut body = right();
        body[&name] = value.clone();
        body["alerts"][0][&name] = value;
        prop_assert!(accepted(body.to_string().as_bytes())?.is_some());
    }
}
