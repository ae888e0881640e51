//! A row per fault: the variable, its value, and a part of the message.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt, time::Duration};

use super::*;

#[derive(Debug)]
struct Shop {
    listen: String,
    limit: u32,
    page: u8,
    wait: Duration,
    proxies: Vec<std::net::IpAddr>,
    bucket: Option<String>,
    token: Secret,
    key: SecretBytes<4>,
}

fn read(env: &mut SettingsReader) -> Shop {
    env.known("SHOP_WORKER_ONLY");
    Shop {
        listen: env.required("SHOP_LISTEN", "host:port"),
        limit: env.or("SHOP_LIMIT", 7, "waiting customers"),
        page: env.or_within("SHOP_PAGE", 10, 1..=50, "rows"),
        wait: env.duration("SHOP_WAIT", Duration::from_secs(3), "patience"),
        proxies: env.list("SHOP_PROXIES", "trusted addresses"),
        bucket: env.optional("SHOP_BUCKET", "no uploads without it"),
        token: env.secret("SHOP_TOKEN", "shared"),
        key: env.secret_bytes("SHOP_KEY", "encrypts"),
    }
}

const GOOD: [(&str, &str); 3] = [("SHOP_LISTEN", "a:1"), ("SHOP_TOKEN", "tok"), ("SHOP_KEY", "00ff10Ab")];

fn load_with(more: &[(&str, &str)]) -> Result<Shop, ConfigFaults> {
    load("SHOP", GOOD.iter().chain(more).map(|(name, value)| (*name, *value)), read)
}

#[test]
fn values_replace_defaults() {
    let shop = load_with(&[("PATH", "/bin"), ("SHOPPING", "not our prefix"), ("SHOP_WORKER_ONLY", "x")]).unwrap();
    assert_eq!((shop.listen.as_str(), shop.limit, shop.page), ("a:1", 7, 10));
    assert_eq!((shop.wait, shop.proxies.len(), shop.bucket), (Duration::from_secs(3), 0, None));
    assert_eq!((shop.token.expose(), shop.key.expose()), ("tok", &[0, 255, 16, 171]));

    let more = [("SHOP_LIMIT", "9"), ("SHOP_WAIT", "5m"), ("SHOP_PROXIES", "127.0.0.1, ::1"), ("SHOP_BUCKET", "b")];
    let shop = load_with(&more).unwrap();
    assert_eq!((shop.limit, shop.wait, shop.proxies.len()), (9, Duration::from_secs(300), 2));
    assert_eq!(shop.bucket.as_deref(), Some("b"));
}

#[test]
fn each_fault_names_the_variable_and_the_remedy() {
    for (name, value, part) in [
        ("SHOP_LIMIT", "many", "is \"many\", expected a whole number: invalid digit"),
        ("SHOP_LIMIT", " ", "is empty; set a value, or remove"),
        ("SHOP_PAGE", "51", "is 51, outside 1 to 50"),
        ("SHOP_WAIT", "3", "write it as 250ms, 3s"),
        ("SHOP_PROXIES", "127.0.0.1,here", "is \"here\", expected an IP address"),
        ("SHOP_TOKEN", "", "is empty"),
        ("SHOP_KEY", "00ff10", "is not 8 hexadecimal digits; make one with: openssl rand -hex 4"),
        ("SHOP_LIMITS", "1", "is not a setting of this program; did you mean SHOP_LIMIT?"),
        ("SHOP_PORT", "8080", "is not a setting of this program; did you mean SHOP_PAGE?"),
        ("SHOP_ADMIN_PORT", "8080", "is not a setting of this program; remove it, or find the right name"),
        ("SHOP_TOKEN_FILE", "/nowhere", "and SHOP_TOKEN_FILE are both set; remove one"),
    ] {
        let faults = load_with(&[(name, value)]).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults}");
        let text = faults.to_string();
        assert!(text.contains(part) && text.contains(name), "{name}={value}: {text}");
    }
}

#[test]
fn all_faults_come_at_once_and_each_once() {
    let variables = [("SHOP_LIMIT", "x"), ("SHOP_OLD", "1"), ("SHOP_KEY_FILE", "/nowhere/key")];
    let faults = load("SHOP", variables, read).unwrap_err();
    let names: Vec<_> = faults.iter().map(|fault| fault.name.as_str()).collect();
    assert_eq!(names, ["SHOP_LISTEN", "SHOP_LIMIT", "SHOP_TOKEN", "SHOP_KEY_FILE", "SHOP_OLD"]);
    assert!(faults.to_string().starts_with("the configuration has 5 faults:\n  SHOP_LISTEN is missing"));
}

#[test]
fn a_value_that_is_not_text_is_a_fault() {
    let variables = GOOD.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let strange = (OsString::from("SHOP_BUCKET"), OsString::from_vec(vec![0xff]));
    let faults = load("SHOP", variables.chain([strange]), read).unwrap_err();
    assert_eq!(
        faults.to_string(),
        "the configuration has 1 fault:\n  SHOP_BUCKET is not UTF-8; remove the bytes that are not text"
    );
}

#[test]
fn a_secret_may_come_from_a_file() {
    let path = std::env::temp_dir().join(format!("service-kit-secret-{}", std::process::id()));
    let load_file = |content: &str| {
        fs::write(&path, content).unwrap();
        let variables = [GOOD[0], ("SHOP_TOKEN_FILE", path.to_str().unwrap()), GOOD[2]];
        load("SHOP", variables, read)
    };
    assert_eq!(load_file("from file\r\n").unwrap().token.expose(), "from file");
    assert_eq!(load_file(" spaces stay \n\n").unwrap().token.expose(), " spaces stay \n");
    assert!(load_file("\n").unwrap_err().to_string().contains("which is empty"));
    fs::remove_file(path).unwrap();
}

#[test]
fn a_contradiction_of_an_unreadable_value_is_not_reported() {
    let contradicting = |env: &mut SettingsReader| {
        let shop = read(env);
        if shop.limit < u32::from(shop.page) {
            env.fault("SHOP_PAGE", "is above SHOP_LIMIT", "lower it");
        }
        env.fault("SHOP_WAIT", "contradicts itself", "never mind");
    };
    let variables = GOOD.iter().copied().chain([("SHOP_LIMIT", "3"), ("SHOP_WAIT", "bad")]);
    let faults = load("SHOP", variables, contradicting).unwrap_err();
    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].starts_with("SHOP_WAIT is \"bad\"") && texts[1] == "SHOP_PAGE is above SHOP_LIMIT; lower it");
}

/// A Service named `shop` in the same namespace must not stop the program.
#[test]
fn variables_of_service_links_are_ignored_and_listed() {
    let links = [
        ("SHOP_PORT", "tcp://10.0.0.11:80"),
        ("SHOP_PORT_80_TCP_ADDR", "10.0.0.11"),
        ("SHOP_SERVICE_HOST", "10.0.0.11"),
        ("SHOP_SERVICE_PORT_HTTPS", "443"),
        ("SHOP_WORKER_SERVICE_HOST", "10.0.0.12"),
    ];
    let others = [("PATH", "/bin"), ("OTHER_SERVICE_HOST", "10.0.0.13")];
    let variables = GOOD.into_iter().chain(links).chain(others);
    let listed = load("SHOP", variables, |env| (read(env), env.service_links()).1).unwrap();
    assert_eq!(listed, links.map(|(name, _)| name));
}

#[test]
fn a_setting_shaped_like_a_service_link_is_read() {
    let read = |env: &mut SettingsReader| (env.or("SHOP_SERVICE_HOST", String::new(), "host"), env.service_links());
    let (host, links) = load("SHOP", [("SHOP_SERVICE_HOST", "example")], read).unwrap();
    assert_eq!((host.as_str(), links.len()), ("example", 0));
}

#[test]
fn secrets_are_never_printed() {
    let shop = load_with(&[]).unwrap();
    let printed = format!("{shop:?} {}", shop.token);
    assert!(!printed.contains("tok\"") && !printed.contains("255") && printed.contains("(hidden)"), "{printed}");
    let faults = load_with(&[("SHOP_BUCKET", ""), ("SHOP_TOKEN_FILE", "/x")]).unwrap_err();
    assert!(!faults.to_string().contains("tok\n") && !format!("{faults:?}").contains("\"tok\""));
    assert!(shop.token.matches(b"tok") && !shop.token.matches(b"tol") && !shop.token.matches(b"to"));
}

/// `SHOP_PROXIES=,` is not the empty list, and a forgotten name between two commas is not ignored.
#[test]
fn a_list_with_an_empty_or_repeated_item_is_refused() {
    let read = |text: &str| load("SHOP", [("SHOP_NAMES", text)], |env| env.list::<String>("SHOP_NAMES", "names"));
    assert_eq!(read(" a , b,c ").unwrap(), ["a", "b", "c"]);
    for wrong in [",", ",,", " , ", "a,", ",a", "a,,b", "a, ,b"] {
        let faults = read(wrong).unwrap_err().to_string();
        assert!(faults.contains("SHOP_NAMES") && faults.contains("which contains an empty item"), "{wrong}: {faults}");
        assert_eq!(faults.lines().filter(|line| line.contains("SHOP_NAMES")).count(), 1, "{faults}");
    }
    for twice in ["a,a", "a, b,a ", "b,a , a"] {
        let faults = read(twice).unwrap_err().to_string();
        assert!(faults.contains(r#"SHOP_NAMES contains "a" twice"#), "{twice}: {faults}");
    }
    for blank in ["", " "] {
        assert!(read(blank).unwrap_err().to_string().contains("SHOP_NAMES is empty"), "{blank:?}");
    }
}

#[test]
fn the_reference_lists_every_setting_in_order() {
    let table = reference("SHOP", read);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 8);
    assert_eq!(lines[0], "SHOP_LISTEN        required  host:port");
    assert_eq!(lines[3], "SHOP_WAIT          3s        patience");
    assert_eq!(lines[6], "SHOP_TOKEN[_FILE]  required  shared");
}
