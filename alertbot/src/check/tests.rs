//! What `check` finds, as a table over the example; and what it shows.

use jiff::Timestamp;

use super::*;
use crate::{config, desk::Book};

const EXAMPLE: &str = include_str!("../../alertbot.example.yaml");

fn now() -> Timestamp {
    "2026-02-02T10:00:00Z".parse().unwrap()
}

fn parse(text: &str) -> Config {
    let secrets = ["WEBHOOK_TOKEN", "TELEGRAM_TOKEN", "KANNEL_PASSWORD", "KANNEL_CALLBACK"];
    let variables = secrets.map(|name| (format!("ALERTBOT_{name}"), format!("secret-of-{name}")));
    config::parse("alertbot.yaml", text, variables).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The line of a piece of text, from 1.
fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).unwrap() + 1
}

#[test]
fn the_example_has_no_fault() {
    assert_eq!(faults(&parse(EXAMPLE), now()), []);
}

/// One row a change of the example: where the fault is told, and what is said.
#[test]
fn what_only_consequences_show_is_told_with_its_line() {
    let primary = "  - name: primary\n";
    for (from, to, at, part) in [
        (
            "starts: 2026-01-05T09:00   #",
            "starts: 2026-03-05T09:00   #",
            "- name: primary",
            "has nobody on duty from 2026-02-02 11:00 to 2026-02-07 10:00",
        ),
        (
            "        turn: 1w\n        windows:",
            "        turn: 1w\n        windows: [{from: \"01:00\", to: \"02:00\"}]\n  - name: nights\n    layers:\n      - people: [ada]\n        starts: 2026-01-05T09:00\n        windows:",
            "- name: nights",
            "(nights) has nobody on duty",
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
        let told = duties(&parse(&text), now());
        let line = line_of(&text, at);
        assert!(told.iter().any(|fault| fault.line == line && fault.wrong.contains(part)), "line {line}, {part:?}: {told:#?}");
        assert!(told.iter().all(|fault| !fault.remedy.is_empty()));
    }
    let meant = EXAMPLE.replacen("starts: 2026-01-05T09:00   #", "starts: 2026-03-05T09:00   #", 1);
    let meant = meant.replacen(primary, "  - name: primary\n    gaps: true\n", 1);
    assert_eq!(duties(&parse(&meant), now()), []);
}

#[test]
fn a_template_is_told_with_its_own_line() {
    let text = format!(
        "{EXAMPLE}\ntemplates:\n  telegram: |\n    <b>{{{{ title }}}}</b>\n    {{{{ summry }}}}\n  sms: \"{{{{ nothing \"\n"
    );
    let told = templates(&parse(&text), now());
    let lines: Vec<usize> = told.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [line_of(&text, "summry"), line_of(&text, "{{ nothing")], "{told:#?}");
}

#[test]
fn the_preview_shows_who_reads_what_and_who_is_called_when() {
    let book = Book::new(parse(EXAMPLE), Vec::new(), Vec::new());
    let shown = preview(&book, now());
    for part in [
        "== a critical alert fires\nroutes: critical\nat once, into chat operations:\n    🔴 DiskAlmostFull #12\n",
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
    let payload = serde_json::from_str(
        r#"{"version":"4","groupKey":"{}:{}","status":"firing","receiver":"r","commonLabels":{"team":"payments","severity":"page"},
        "alerts":[{"status":"firing","labels":{"alertname":"Stuck","team":"payments","severity":"page"},"startsAt":"2026-02-02T09:00:00Z"}]}"#,
    );
    let shown = preview_payload(&book, payload.unwrap(), now());
    assert!(shown.contains("routes: payments, critical") && shown.contains("🔴 Stuck"), "{shown}");
}

#[test]
fn the_help_names_everything() {
    let help = template_help();
    assert!(help.contains("## templates.telegram") && help.contains("{{ severity_word }}") && help.contains("runbook"));
}
