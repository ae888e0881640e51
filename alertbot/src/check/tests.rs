//! Findings of `check` as a table of changes to the example, and its preview.

use jiff::Timestamp;

use super::*;
use crate::{config, routing::Routing};

const EXAMPLE: &str = include_str!("../../alertbot.example.yaml");

fn now() -> Timestamp {
    "2026-02-02T10:00:00Z".parse().unwrap()
}

fn parse(text: &str) -> Config {
    parse_with(text, None)
}

fn parse_with(text: &str, proxy: Option<&str>) -> Config {
    let secrets = ["WEBHOOK_TOKEN", "TELEGRAM_TOKEN", "KANNEL_PASSWORD", "KANNEL_CALLBACK"];
    let variables = secrets.map(|name| (format!("ALERTBOT_{name}"), format!("secret-of-{name}")));
    let proxy = proxy.map(|proxy| ("ALERTBOT_TELEGRAM_PROXY".to_owned(), proxy.to_owned()));
    config::parse("alertbot.yaml", text, variables.into_iter().chain(proxy)).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The line of a piece of text, from 1.
fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).unwrap() + 1
}

#[test]
fn the_example_has_no_fault() {
    assert_eq!(faults(&parse(EXAMPLE), now()), []);
}

/// Rows: a change of the example, the line of its fault, a part of the fault.
#[test]
fn faults_of_the_built_configuration_have_their_line() {
    let primary = "  - name: primary\n";
    for (from, to, at, part) in [
        (
            "starts: 2026-01-05T09:00   #",
            "starts: 2026-03-05T09:00   #",
            "- name: primary",
            "has no person on duty from 2026-02-02 11:00 to 2026-02-07 10:00",
        ),
        (
            "        turn: 1w\n        windows:",
            "        turn: 1w\n        windows: [{from: \"01:00\", to: \"02:00\"}]\n  - name: nights\n    layers:\n      - people: [ada]\n        starts: 2026-01-05T09:00\n        windows:",
            "- name: nights",
            "(nights) has no person on duty",
        ),
        (
            "    telegram: 100000002\n",
            "",
            "- on_call: [primary]      #",
            "calls grace of primary by telegram, which that person does not have",
        ),
        (
            "    sms: kannel\n  - name: edsger",
            "    role: viewer\n    sms: kannel\n  - name: edsger",
            "- name: primary",
            "puts grace on duty, who may not acknowledge",
        ),
    ] {
        assert!(EXAMPLE.contains(from), "{from:?}");
        let text = EXAMPLE.replacen(from, to, 1);
        let found = duties(&parse(&text), now());
        let line = line_of(&text, at);
        assert!(found.iter().any(|fault| fault.line == line && fault.wrong.contains(part)), "line {line}, {part:?}: {found:#?}");
        assert!(found.iter().all(|fault| !fault.remedy.is_empty()));
    }
    let meant = EXAMPLE.replacen("starts: 2026-01-05T09:00   #", "starts: 2026-03-05T09:00   #", 1);
    let meant = meant.replacen(primary, "  - name: primary\n    gaps: true\n", 1);
    assert_eq!(duties(&parse(&meant), now()), []);
}

/// Rows: a change of a bot or provider whose fault has the line of its first key.
#[test]
fn an_unusable_bot_or_provider_has_its_line() {
    const OWN: &str = "  - name: own
    kind: generic
    method: POST
    url: https://sms.example.com/send
    headers: {authorization: \"Bearer {{ secrets.key }}\"}
    body: '{\"to\": {{ number|tojson }}, \"text\": {{ text|tojson }}}'
    secrets: {key: \"${ALERTBOT_KANNEL_PASSWORD}\"}
";
    let with_own = EXAMPLE.replacen("providers:\n", &format!("providers:\n{OWN}"), 1);
    assert_eq!(receiver_faults(&parse(&with_own)), []);
    for (from, to, part) in [
        ("https://sms.example.com/send", "\"{{ nope\"", "the template of url"),
        ("https://sms.example.com/send", "no address", "the address is malformed"),
        ("method: POST", "method: B AD", "is not an HTTP method"),
        ("{authorization: ", "{bad name: ", "is not a valid header name"),
        ("secrets.key }}", "secrets.kye }}", "the template of header authorization failed"),
        ("text|tojson", "text|tojsno", "the template of body"),
    ] {
        assert!(OWN.contains(from), "{from:?}");
        let text = with_own.replacen(from, to, 1);
        let told = faults(&parse(&text), now());
        let [fault] = &told[..] else { panic!("{to:?}: {told:?}") };
        assert_eq!((fault.line, fault.path.as_str()), (line_of(&text, "- name: own"), "providers[0]"));
        assert!(fault.wrong.contains(part) && !fault.remedy.is_empty(), "{fault}");
    }
    let with_proxy = EXAMPLE.replacen("    # proxy:", "    proxy:", 1);
    for proxy in ["socks5://proxy.example.com:1080", "http://user:password@proxy.example.com:3128"] {
        assert_eq!(receiver_faults(&parse_with(&with_proxy, Some(proxy))), [], "{proxy}");
    }
    let told = faults(&parse_with(&with_proxy, Some("not a proxy")), now());
    let [fault] = &told[..] else { panic!("{told:?}") };
    assert_eq!((fault.line, fault.path.as_str()), (line_of(&with_proxy, "token: ${ALERTBOT_TELEGRAM_TOKEN}") - 1, "bots[0]"));
    assert!(fault.wrong.contains("proxy's address is malformed") && !fault.wrong.contains("not a proxy"), "{fault}");
}

#[test]
fn a_template_fault_has_its_own_line() {
    let text = format!(
        "{EXAMPLE}\ntemplates:\n  telegram: |\n    <b>{{{{ title }}}}</b>\n    {{{{ summry }}}}\n  sms: \"{{{{ nothing \"\n"
    );
    let found = templates(&parse(&text), now());
    let lines: Vec<usize> = found.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [line_of(&text, "summry"), line_of(&text, "{{ nothing")], "{found:#?}");
}

#[test]
fn the_preview_shows_who_reads_what_and_who_is_called_when() {
    let routing = Routing::new(parse(EXAMPLE), Vec::new(), Vec::new());
    let shown = preview(&routing, now());
    for part in [
        "== a critical alert fires\nroutes: critical\nat once, into chat operations:\n    🔴 /var of db-1 is 97 % full\n",
        "[Acknowledge] [Escalate now] [Graph]",
        "after 0 s: ada by telegram",
        "after 5 min: ada by sms\n    sms, 1 of at most 3 parts, GSM-7:\n    CRITICAL DiskAlmostFull",
        "after 10 min: edsger by telegram, sms",
        "after 20 min: chat payments, ada by sms",
        "then everyone: ada, grace, edsger",
        "== an alert without labels and annotations\nroutes: everything\n",
    ] {
        assert!(shown.contains(part), "{part}\n--- is not in ---\n{shown}");
    }
    let webhook = r#"{"version":"4","groupKey":"{}:{}","status":"firing","receiver":"r","commonLabels":{"team":"payments","severity":"page"},
        "alerts":[{"status":"firing","labels":{"alertname":"Stuck","team":"payments","severity":"page"},"startsAt":"2026-02-02T09:00:00Z"}]}"#;
    let shown = preview_payload(&routing, webhook.as_bytes(), now()).unwrap();
    assert!(shown.contains("routes: payments, critical") && shown.contains("🔴 Stuck"), "{shown}");
    for (from, to, said) in [
        (r#""version":"4""#, r#""version":"5""#, "this program reads version \"4\""),
        (r#""groupKey":"{}:{}""#, r#""groupKey":"""#, "groupKey and receiver must not be empty"),
        (r#""alerts":["#, r#""alerts":[0,"#, "no webhook of Alertmanager"),
    ] {
        assert!(webhook.contains(from), "{from}");
        let refused = preview_payload(&routing, webhook.replacen(from, to, 1).as_bytes(), now()).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
fn the_help_names_everything() {
    let help = template_help();
    assert!(help.contains("## templates.telegram") && help.contains("{{ severity_word }}") && help.contains("runbook"));
}

/// What may be meant is a warning, what cannot work is a fault.
#[test]
fn the_folder_of_the_store_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let with = |path: &std::path::Path| {
        let there = EXAMPLE.lines().find(|line| line.trim_start().starts_with("path:")).unwrap();
        parse(&EXAMPLE.replacen(there, &format!("  path: {}", path.display()), 1))
    };
    let there = with(&folder.path().join("a.db"));
    assert_eq!((faults(&there, now()), warnings(&there)), (Vec::new(), Vec::new()));
    let missing = with(&folder.path().join("data/a.db"));
    assert_eq!(faults(&missing, now()), []);
    assert!(warnings(&missing)[0].contains("data does not exist;"), "{:?}", warnings(&missing));
    std::fs::write(folder.path().join("file"), "").unwrap();
    for (path, part) in [("file/a.db", "file, which is not a folder"), ("", "is a folder")] {
        let found = faults(&with(&folder.path().join(path)), now());
        assert!(found.len() == 1 && found[0].wrong.contains(part) && found[0].path == "store.path", "{found:?}");
    }
}

#[test]
fn links_that_telegram_drops_are_named() {
    let body = serde_json::json!({
        "version": "4", "groupKey": "g", "receiver": "bot", "status": "firing", "externalURL": "http://alertmanager:9093",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "alerts": [{
            "status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-02-02T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
            "annotations": {"runbook_url": "https://runbooks.example.org/a", "dashboard": "http://grafana/d/1"},
            "generatorURL": "http://prometheus:9090/graph?g0.expr=up", "fingerprint": "a",
        }],
    });
    let routing = Routing::new(parse(EXAMPLE), Vec::new(), Vec::new());
    let found = dropped_links(&routing, body.to_string().as_bytes());
    for (warning, origin) in found.iter().zip(["http://alertmanager:9093", "http://grafana", "http://prometheus:9090"]) {
        assert!(warning.starts_with(&format!("links to {origin} are shown as text")), "{found:?}");
    }
    assert_eq!(found.len(), 3, "{found:?}");
    // The configured addresses replace those of Prometheus and Alertmanager.
    let linked = |links: &str| Routing::new(parse(&format!("{EXAMPLE}\nlinks: {links}\n")), Vec::new(), Vec::new());
    let own = linked("{expressions: 'https://p.example.org', silences: 'https://a.example.org'}");
    assert_eq!(dropped_links(&own, body.to_string().as_bytes()).len(), 1);
    let plain = linked("{runbooks: 'http://wiki:8080', logs: 'https://l.example.org'}");
    let warned = warnings(&plain.config);
    let links: Vec<&String> = warned.iter().filter(|warning| warning.starts_with("links.")).collect();
    assert_eq!(links.len(), 1, "{warned:?}");
    assert!(links[0].starts_with("links.runbooks: Telegram drops links to http://wiki:8080"), "{warned:?}");
    let relative = body.to_string().replace("https://runbooks.example.org/a", "/runbooks/a.md");
    let said = dropped_links(&routing, relative.as_bytes());
    assert!(said.iter().any(|line| line.ends_with("set links.runbooks")), "{said:?}");
    assert!(!dropped_links(&plain, relative.as_bytes()).iter().any(|line| line.contains("relative")));
}
