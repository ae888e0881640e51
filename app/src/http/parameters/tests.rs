//! Tests of each way to read a parameter, and of each invalid form with its code and text.

use super::*;

fn read<'a>(query: &'a str, body: &'a str) -> Result<Parameters<'a>, ApiError> {
    Parameters::read(query.as_bytes(), body.as_bytes())
}

fn fault<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (i32, String) {
    let error = result.unwrap_err();
    (error.code, error.text.into_owned())
}

#[test]
fn query_wins_and_escapes_are_undone() {
    let parameters = read("a=1&b=x%20y+z&%63=%E2%82%AC&&e", "a=2&d=%2B&f==&").unwrap();
    let values = ["a", "b", "c", "d", "e", "f", "g"].map(|name| parameters.raw(name));
    assert_eq!(values, [Some("1"), Some("x y z"), Some("€"), Some("+"), Some(""), Some("="), None]);
    assert_eq!((parameters.len(), parameters.count_known(&["a", "f", "z"])), (6, 2));
}

#[test]
fn what_holds_no_escape_is_not_copied() {
    let query = String::from("symbol=BTCUSDT&price=1.5");
    let parameters = read(&query, "").unwrap();
    let inside = query.as_bytes().as_ptr_range();
    assert!(inside.contains(&parameters.raw("price").unwrap().as_ptr()));
}

#[test]
fn text_that_cannot_be_read_is_refused_as_a_whole() {
    let illegal = (-1100, "Illegal characters found in a parameter.".to_owned());
    for text in ["a=%", "a=%1", "a=%zz", "a=%ff", "a=%C3%28", "%ff=1", "a=\u{7f}", "a=\t", "a=é"] {
        assert_eq!(fault(read(text, "")), illegal, "{text}");
        assert_eq!(fault(read("", text)), illegal, "{text}");
    }
    let duplicate = (-1101, "Duplicate values for a parameter detected.".to_owned());
    assert_eq!(fault(read("a=1&a=1", "")), duplicate);
    assert_eq!(fault(read("", "a=1&b=2&%61=3")), duplicate);
    assert_eq!(read("b=1&a=1", "a=2&a=3").unwrap().raw("a"), Some("1"), "a value that the query overrides is not validated");
}

#[test]
fn too_many_parameters_are_refused() {
    let many: Vec<String> = (0..=COUNT_MAX).map(|n| format!("p{n}=1")).collect();
    assert_eq!(fault(read(&many.join("&"), "")).0, -1101);
    assert_eq!(read(&many[1..].join("&"), "").unwrap().len(), COUNT_MAX);
}

#[test]
fn numbers() {
    let decimal = |text: &str| read(&format!("price={text}"), "").unwrap().decimal("price");
    for (text, value) in
        [("1", 100_000_000), ("0.00000001", 1), ("000.5", 50_000_000), ("0", 0), ("92233720368.54775807", i64::MAX)]
    {
        assert_eq!(decimal(text).unwrap(), Some(value), "{text}");
    }
    let range = "Illegal characters found in parameter 'price'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.";
    for text in ["-1", "%2B1", "1e3", ".5", "1.", "1,5", "0x1", "NaN", "Infinity", "%D9%A1", "1.2.3", &"1".repeat(21), "%201"] {
        assert_eq!(fault(decimal(text)), (-1100, range.to_owned()), "{text}");
    }
    assert_eq!(fault(decimal("")), (-1105, "Parameter 'price' was empty.".into()));
    assert_eq!(fault(decimal("0.000000001")), (-1111, "Parameter 'price' has too much precision.".into()));
    assert_eq!(fault(decimal("92233720368.54775808")), (-1108, "Parameter 'price' overflowed.".into()));
    assert_eq!(fault(decimal("99999999999999999999")), (-1108, "Parameter 'price' overflowed.".into()));

    let integer = |text: &str| read(&format!("orderId={text}"), "").unwrap().integer("orderId");
    assert_eq!(integer("18446744073709551615").unwrap(), Some(u64::MAX));
    let range = "Illegal characters found in parameter 'orderId'; legal range is '^[0-9]{1,20}$'.";
    for text in ["-1", "1.0", "abc", "123456789012345678901"] {
        assert_eq!(fault(integer(text)), (-1100, range.to_owned()), "{text}");
    }
    assert_eq!(fault(integer("18446744073709551616")).0, -1108);
}

#[test]
fn texts() {
    let client_id = |text: &str| read(&format!("newClientOrderId={text}"), "").unwrap().client_id("newClientOrderId");
    assert_eq!(client_id(&"a".repeat(36)).unwrap().unwrap().as_str(), "a".repeat(36));
    let range = "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.";
    for text in [&"a".repeat(37), "a%20b", "a.b", "%E2%82%AC", "%00", "a%27"] {
        assert_eq!(fault(client_id(text)), (-1100, range.to_owned()), "{text}");
    }
    assert_eq!(fault(client_id("")), (-1118, "New client order ID was empty.".into()));

    let symbol = |text: &str| read(&format!("symbol={text}"), "").unwrap().symbol().map(str::to_owned);
    assert_eq!(symbol("%EF%BC%91%EF%BC%92%EF%BC%93").unwrap(), "１２３");
    let range = "Illegal characters found in parameter 'symbol'; legal range is '^[\\w\\-._&&[^a-z]]{1,50}$'.";
    for text in ["btcusdt", "BTC/USDT", "BTC%20USDT", "%27", &"A".repeat(51)] {
        assert_eq!(fault(symbol(text)), (-1100, range.to_owned()), "{text}");
    }
    let missing = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.";
    assert_eq!(fault(symbol("")), (-1102, missing.to_owned()));
}

#[test]
fn lists_of_symbols() {
    let symbols = |text: &str| {
        let query = format!("symbols={text}");
        let parameters = read(&query, "").unwrap();
        parameters.symbols().map(|symbols| symbols.unwrap().into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(symbols("%5B%22BTCUSDT%22,%22ETHUSDT%22%5D").unwrap(), ["BTCUSDT", "ETHUSDT"]);
    assert!(symbols("[]").unwrap().is_empty());
    for text in ["BTCUSDT", "[BTCUSDT]", "[%22BTCUSDT%22,%20%22ETHUSDT%22]", "[%22btcusdt%22]", "[%22BTCUSDT%22,]", "["] {
        assert_eq!(fault(symbols(text)).0, -1100, "{text}");
    }
}

#[test]
fn times_windows_and_switches() {
    let parameters = read("a=1499827319559&b=1499827319559123&w=5000.25&t=TRUE&f=false&x=1", "").unwrap();
    assert_eq!(parameters.time("a").unwrap(), Some(1_499_827_319_559_000));
    assert_eq!(parameters.time("b").unwrap(), Some(1_499_827_319_559_123));
    assert_eq!(parameters.window("w").unwrap(), Some(5_000_250));
    assert_eq!((parameters.boolean("t").unwrap(), parameters.boolean("f").unwrap()), (Some(true), Some(false)));
    assert_eq!(fault(parameters.boolean("x")).0, -1100);
}
