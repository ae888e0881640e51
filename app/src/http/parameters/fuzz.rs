//! Property tests with queries and bodies that no client writes: arbitrary bytes, and correct pairs with escapes. Each is read,
//! or refused with a documented code. The long form sets proptest's `PROPTEST_CASES` (`make fuzz`).

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// Codes that a single parameter may return.
const CODES: [i32; 8] = [-1100, -1101, -1102, -1105, -1108, -1111, -1118, -1119];
const LIMIT_MAX: usize = 1000;

/// Names that a getter reads, so that getters see arbitrary values.
const NAMES: [&str; 10] = [
    "symbol",
    "symbols",
    "price",
    "orderId",
    "limit",
    "startTime",
    "recvWindow",
    "newClientOrderId",
    "origClientOrderId",
    "computeCommissionRates",
];

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..40),
        20 => "[0-9]{0,25}(\\.[0-9]{0,25})?".prop_map(String::into_bytes),
        20 => "[-A-Za-z0-9_.\"\\[\\],=]{0,60}".prop_map(String::into_bytes),
        2 => "(%[0-9a-fA-F]{2}){0,12}%?[0-9a-f]?".prop_map(String::into_bytes),
    ]
}

/// Known names once each, then further names, so that most parts are accepted; random bytes are tested separately.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::subsequence(NAMES.to_vec(), 0..=NAMES.len());
    (known, prop::collection::vec(value(), NAMES.len()), 0..COUNT_MAX + 10).prop_map(|(known, values, more)| {
        let known = known.into_iter().zip(values).map(|(name, value)| [name.as_bytes(), value.as_slice()].join(&b'='));
        let more = (0..more).map(|number| format!("more{number}=1").into_bytes());
        known.chain(more).collect::<Vec<_>>().join(&b'&')
    })
}

fn documented<T>(result: Result<T, ApiError>) -> Result<Option<T>, TestCaseError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            prop_assert!(CODES.contains(&error.code) || error.code == -1130, "{} {}", error.code, error.text);
            prop_assert!(error.status.is_client_error() && !error.text.is_empty());
            Ok(None)
        }
    }
}

/// Reads every parameter with every getter.
fn read_all(query: &[u8], body: &[u8]) -> Result<(), TestCaseError> {
    let Some(parameters) = documented(Parameters::read(query, body))? else { return Ok(()) };
    prop_assert!(parameters.len() <= COUNT_MAX);
    documented(parameters.symbol())?;
    for symbol in documented(parameters.symbols())?.flatten().unwrap_or_default() {
        prop_assert!(is_symbol(symbol), "{symbol:?}");
    }
    if let Some(limit) = documented(parameters.limit(10, LIMIT_MAX))? {
        prop_assert!((1..=LIMIT_MAX).contains(&limit));
    }
    for name in NAMES {
        prop_assert!(documented(parameters.decimal(name))?.flatten().is_none_or(|units| units >= 0), "{name}");
        prop_assert!(documented(parameters.time(name))?.flatten().is_none_or(|time| time >= 0), "{name}");
        prop_assert!(documented(parameters.window(name))?.flatten().is_none_or(|window| window >= 0), "{name}");
        documented(parameters.amount(name))?;
        documented(parameters.integer(name))?;
        documented(parameters.boolean(name))?;
        documented(parameters.client_id(name))?;
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut written, byte| {
        let _ = write!(written, "%{byte:02X}");
        written
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(
        query in prop::collection::vec(any::<u8>(), 0..400),
        body in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        read_all(&query, &body)?;
    }

    #[test]
    fn arbitrary_values_are_read_or_refused(query in part(), body in part()) {
        read_all(&query, &body)?;
    }

    #[test]
    fn escaped_values_are_read_unchanged(pairs in prop::collection::btree_map(".{1,12}", ".{0,20}", 0..COUNT_MAX)) {
        let query: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
        let query = query.join("&");
        let parameters = Parameters::read(query.as_bytes(), b"").map_err(|error| TestCaseError::fail(error.text.into_owned()))?;
        prop_assert_eq!(parameters.len(), pairs.len());
        for (name, value) in &pairs {
            prop_assert_eq!(parameters.raw(name), Some(value.as_str()));
        }
    }
}
