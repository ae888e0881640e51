//! Tests of the whole file: the example, and the faults of bad files.

use std::time::Duration;

use super::*;

const EXAMPLE: &str = include_str!("../../alertbot.example.yaml");

const VARIABLES: [(&str, &str); 4] = [
    ("ALERTBOT_WEBHOOK_TOKEN", "webhook-secret"),
    ("ALERTBOT_TELEGRAM_TOKEN", "100:telegram-secret"),
    ("ALERTBOT_KANNEL_PASSWORD", "kannel-secret"),
    ("ALERTBOT_KANNEL_CALLBACK", "callback-secret"),
];

fn parse_with(text: &str) -> Result<Config, Faults> {
    parse("alertbot.yaml", text, VARIABLES)
}

/// The faults of the example with one part replaced.
fn faults(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "the example does not contain {from:?}");
    parse_with(&EXAMPLE.replacen(from, to, 1)).expect_err(to).to_string()
}

#[test]
fn the_example_is_valid_and_has_the_documented_meaning() {
    let config = parse_with(EXAMPLE).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.alertmanagers[0].watchdog.as_ref().unwrap().within, Duration::from_secs(300));
    assert_eq!(config.chats.len(), 2);
    assert_eq!(config.person("ada").unwrap().role, Role::Admin);
    assert_eq!(config.schedules[0].layers[0].turn_hours, 168);
    let critical = config.escalation("critical").unwrap();
    assert_eq!((critical.steps.len(), critical.rounds), (4, 2));
    assert_eq!(config.route("everything").unwrap().matchers.len(), 0);
    let printed = format!("{config:?}");
    assert!(!printed.contains("-secret") && !printed.contains("+1555"), "the output contains a secret or a number");
}

/// Every commented setting is valid too. The test uncomments one block after another.
#[test]
fn commented_settings_of_the_example_are_valid() {
    let blocks: Vec<&str> = EXAMPLE.split("\n\n").collect();
    for (index, block) in blocks.iter().enumerate() {
        let shown: Vec<String> = block.lines().map(uncommented).collect();
        let shown = shown.join("\n");
        if shown == *block {
            continue;
        }
        let mut text: Vec<&str> = blocks.clone();
        text[index] = &shown;
        let secrets = ["PASSWORD", "ALERTMANAGER_TOKEN", "PROXY", "TOKEN", "KEY", "HEARTBEAT_URL", "KANNEL_CALLBACK"];
        let names = ["WEBHOOK_PASSWORD", "TELEGRAM_PROXY", "TWILIO_TOKEN", "OWN_KEY"].iter().chain(&secrets);
        let known = names.map(|name| format!("ALERTBOT_{name}")).filter(|name| shown.contains(&format!("${{{name}}}")));
        let more = known.map(|name| (name, "x".to_owned()));
        let given = VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables: std::collections::BTreeMap<String, String> = more.chain(given).collect();
        // `calls` must be used before a setting may refer to it.
        if let Err(faults) = parse("example", &text.join("\n\n"), variables) {
            let by_the_example_itself = |fault: &FileFault| fault.path.ends_with(".voice") || fault.path.ends_with("[0]");
            assert!(faults.environment().is_none() && faults.iter().all(by_the_example_itself), "{shown}\n{faults}");
        }
    }
}

/// A commented setting begins with `# name:`, `#   name:` or `# - name:`.
fn uncommented(line: &str) -> String {
    let indented = line.len() - line.trim_start().len();
    let Some(rest) = line.trim_start().strip_prefix("# ") else { return line.to_owned() };
    let name = rest.trim_start().trim_start_matches("- ");
    let key = name.split(':').next().unwrap_or_default();
    let setting = name.contains(':') && !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if setting { format!("{}{rest}", &line[..indented]) } else { line.to_owned() }
}

#[test]
fn all_faults_are_reported_at_once_with_their_lines() {
    let text = "\
listn: 127.0.0.1:1
language: de
alertmanagers:
  - name: main
    webhook_credentials: [{bearer: hunter2}]
    watchdog: {within: 5}
bots:
  - name: one
    token: ${ALERTBOT_TELEGRAM_TOKEN}
chats:
  - {name: ops, id: here, quiet_hours: [{from: \"25:00\", to: \"07:00\"}]}
  - {name: ops, id: -2}
people:
  - {name: ada, phone: \"0151\", role: boss}
routes:
  - {name: all, chats: [op], chat: x}
";
    let faults = parse("bad.yaml", text, [("ALERTBOT_TELEGRAM_TOKN", "x")]).unwrap_err();
    let told = faults.to_string();
    for part in [
        "bad.yaml:1: listn: is not a setting; did you mean listen?",
        "bad.yaml:2: language: is \"de\", which is invalid; write it as en or fa",
        "bad.yaml:5: alertmanagers[0].webhook_credentials[0].bearer: is not a reference to a secret",
        "bad.yaml:6: alertmanagers[0].watchdog.within: is \"5\"",
        "bad.yaml:11: chats[0].id: is \"here\"",
        "bad.yaml:11: chats[0].quiet_hours[0].from: is \"25:00\"",
        "bad.yaml:12: chats[1].name: is ops, the name of another chat",
        "bad.yaml:14: people[0].phone: is invalid",
        "bad.yaml:14: people[0].role: is \"boss\"",
        "bad.yaml:14: people[0].phone: is not used by any provider",
        "bad.yaml:16: routes[0].chats: is \"op\", but no chat has this name; did you mean ops?",
        "bad.yaml:16: routes[0].chat: is not a setting; did you mean chats?",
        "environment: ALERTBOT_TELEGRAM_TOKEN is missing",
        "environment: ALERTBOT_TELEGRAM_TOKN is not a setting of this program",
    ] {
        assert!(told.contains(part), "{part}\nis missing in\n{told}");
    }
    assert!(!told.contains("hunter2") && !told.contains("0151"), "{told}");
    assert!(told.starts_with("bad.yaml has 14 faults:"), "{told}");
}

/// One row per rule that needs more than one value.
#[test]
fn contradictory_settings_are_reported() {
    for (from, to, part) in [
        ("  - name: everything\n    chats: [operations]\n", "", "does not match every incident"),
        ("match: ['team=\"payments\"']\n    chats: [payments]\n    continue: true", "chats: [payments]", "never reached"),
        ("on_call: [primary]      # the person on duty\n        by: [telegram]", "after: 1m", "has no recipient"),
        (
            "people: [ada]\n        chats: [payments]\n        by: [sms]",
            "people: [ada]\n        by: [voice]",
            "none of the means",
        ),
        ("    phone: \"+15550100003\"\n", "", "needs a phone number"),
        ("turn: 1w                #", "turn: 90m #", "whole number of hours"),
        ("to: 2026-12-27T09:00", "to: 2026-12-20T09:00", "is not after `from`"),
        ("id: -1001000000002", "id: -1001000000001", "is already the id of the chat operations"),
        ("telegram: 100000002", "telegram: 100000001", "is already the id of ada"),
        ("telegram: 100000002", "telegram: -5", "users have positive ids"),
        ("name: ada", "name: \"ada lovelace\"", "is not a valid name"),
        ("kind: kannel", "kind: pigeon", "twilio, kavenegar, kannel"),
        ("time_zone: Europe/Berlin        #", "time_zone: Mars/Base #", "IANA"),
        ("      - bearer: ${ALERTBOT_WEBHOOK_TOKEN}\n", "      - user: x\n", "neither `bearer` nor"),
        ("    id: -1001000000002", "    id: -1001000000002\n    id: -3", "is set twice"),
        ("bots:\n  - name: main\n    token: ${ALERTBOT_TELEGRAM_TOKEN}", "bots: []\nx:\n  - y: z", "needs a bot"),
        ("rounds: 2", "rounds: 0", "outside 1 to 100"),
        ("escalation: critical\n", "escalation: critcal\n", "did you mean critical?"),
    ] {
        let told = faults(from, to);
        assert!(told.contains(part), "{to:?} should say {part:?}:\n{told}");
    }
}

#[test]
fn a_file_that_is_not_yaml_names_the_line() {
    let told = faults("people:\n", "people: [\n");
    assert!(told.contains("is not valid YAML") && told.contains("alertbot.yaml:"), "{told}");
    let told = parse_with("- a\n").unwrap_err().to_string();
    assert!(told.contains("is a list; write `name: value`"), "{told}");
    let told = load(Path::new("/nowhere/alertbot.yaml")).unwrap_err().to_string();
    assert!(told.contains("cannot be read") && told.contains("--config"), "{told}");
}

#[test]
fn a_secret_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "from a file\n").unwrap();
    let mut variables = VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    variables[1] = ("ALERTBOT_TELEGRAM_TOKEN_FILE".to_owned(), path.display().to_string());
    let config = parse("alertbot.yaml", EXAMPLE, variables).unwrap();
    assert_eq!(config.bots[0].token.expose(), "from a file");
}

#[test]
fn service_links_are_ignored_unless_they_are_secrets() {
    let links = [("ALERTBOT_PORT", "tcp://10.0.0.11:9095"), ("ALERTBOT_SERVICE_HOST", "10.0.0.11")];
    let config = parse("alertbot.yaml", EXAMPLE, VARIABLES.into_iter().chain(links)).unwrap();
    assert_eq!(config.process.telemetry.ignored_variables, ["ALERTBOT_PORT", "ALERTBOT_SERVICE_HOST"]);
    let named = EXAMPLE.replace("${ALERTBOT_WEBHOOK_TOKEN}", "${ALERTBOT_SERVICE_HOST}");
    let secrets = VARIABLES.into_iter().filter(|(name, _)| *name != "ALERTBOT_WEBHOOK_TOKEN");
    let config = parse("alertbot.yaml", &named, secrets.chain(links)).unwrap();
    assert_eq!(config.process.telemetry.ignored_variables, ["ALERTBOT_PORT"]);
    assert!(
        matches!(&config.alertmanagers[0].webhook_credentials[0], Credentials::Bearer(token) if token.expose() == "10.0.0.11")
    );
    let misspelt = parse("alertbot.yaml", EXAMPLE, VARIABLES.into_iter().chain([("ALERTBOT_PORT", "9095")])).unwrap_err();
    assert!(misspelt.to_string().contains("ALERTBOT_PORT"), "{misspelt}");
}

#[test]
fn two_listeners_on_one_port_are_a_fault() {
    let faults = |listen: &str, admin: &str| {
        let text = format!("listen: {listen}\nadmin_listen: {admin}\n");
        let Err(faults) = super::parse("test.yaml", &text, Vec::<(String, String)>::new()) else {
            panic!("the configuration is incomplete")
        };
        faults.iter().filter(|fault| fault.path == "admin_listen").count()
    };
    assert_eq!(faults("127.0.0.1:9095", "127.0.0.1:9095"), 1);
    assert_eq!(faults("0.0.0.0:9095", "127.0.0.1:9095"), 1);
    assert_eq!(faults("127.0.0.1:9095", "127.0.0.1:9096"), 0);
}
