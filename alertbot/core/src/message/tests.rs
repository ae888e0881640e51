//! What readers see, and what must hold of every text whatever an alert says.

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::{
    catalogue::{Text, say},
    context::NAMES,
    samples::samples,
    telephone::SpokenLine,
    template::TemplateShape,
    units::{TEXT_UNITS, utf16_units},
    *,
};
use crate::{
    alert::Labels,
    incident::{Happening, Incident},
};

fn now() -> Timestamp {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

fn reader(language: Language) -> Reader {
    Reader { language, zone: TimeZone::UTC, now: now(), calendar: Calendar::Gregorian, links: Arc::default() }
}

fn sample(index: usize) -> Incident {
    samples(now())[index].incident.clone()
}

#[test]
fn a_card_shows_severity_alert_start_place_and_links() {
    let card = Messages::built_in().render(TemplateShape::Telegram, &sample(0), &reader(Language::English));
    let expected = "🔴 <b>/var of db-1 is 97 % full</b>\n<b>critical</b> · firing · DiskAlmostFull #12\n\
                    Since: 11:48 UTC (12 min)\n\nValue: <code>97.2 %</code>\n\
                    At this rate it is full in 40 minutes; the database stops when it is.\n\n\
                    instance: <code>db-1:9100</code>, mountpoint: <code>/var</code>\n\n\
                    <a href=\"https://runbooks.example.com/DiskAlmostFull\">Runbook</a>";
    assert!(card.text.starts_with(expected), "{}", card.text);
    assert_eq!(card.fault, None);
    let ended = Messages::built_in().render(TemplateShape::Telegram, &sample(2), &reader(Language::English)).text;
    assert!(
        ended.contains("resolved") && ended.contains("Lasted: 11 min (11:48 UTC – 11:59 UTC)\nAcknowledged by ada"),
        "{ended}"
    );
    assert!(!ended.contains("silences/new"), "{ended}");
    let group = Messages::built_in().render(TemplateShape::Telegram, &sample(3), &reader(Language::English)).text;
    assert!(
        group.contains("3 firing, 1 resolved\n• <code>instance=api-1</code> api-1 answers in 480 ms (1 h 10 min)"),
        "{group}"
    );
    assert!(group.contains("&lt;b&gt;&amp;evil"), "{group}");
}

#[test]
fn persian_is_right_to_left_and_isolates_latin_values() {
    let card = Messages::built_in().render(TemplateShape::Telegram, &sample(0), &reader(Language::Persian)).text;
    let head = "\u{200f}🔴 <b>\u{2068}/var of db-1 is 97 % full\u{2069}</b>\n\u{200f}<b>بحرانی</b> · فعال · \u{2068}DiskAlmostFull\u{2069}";
    assert!(card.starts_with(head), "{card}");
    assert!(card.lines().filter(|line| !line.is_empty()).all(|line| line.starts_with('\u{200f}')), "{card}");
}

#[test]
fn outside_text_cannot_add_markup_or_reorder_a_line() {
    assert_eq!(notice::safe("<b>a&b</b>\u{202e}x\n", 60, &reader(Language::English)), "&lt;b&gt;a&amp;b&lt;/b&gt;x");
    assert_eq!(notice::safe("db-1", 60, &reader(Language::Persian)), "\u{2068}db-1\u{2069}");
    assert_eq!(split::line(&"x".repeat(100), 60).chars().count(), 60);
    let help = notice::plain_words(&say(Language::Persian, Text::Help), &reader(Language::Persian));
    assert!(help.lines().all(|line| line.starts_with("\u{200f}\u{2068}/")), "{help}");
    assert_eq!(help.lines().count(), say(Language::English, Text::Help).lines().count());
    assert!(markup::read(&help).is_ok());
}

#[test]
fn ten_thousand_alerts_are_one_short_card() {
    let mut incident = sample(3);
    let alert = incident.alerts.values().next().unwrap().clone();
    for index in 0..10_000 {
        incident.alerts.insert(format!("{index:05}x").into(), alert.clone());
    }
    let card = Messages::built_in().render(TemplateShape::Telegram, &incident, &reader(Language::English)).text;
    assert!(card.contains("and 9993 more"), "{card}");
    assert!(utf16_units(&markup::plain(&card)) < TEXT_UNITS, "{card}");
}

#[test]
fn a_notice_lists_events_and_mentions_people() {
    let to = vec!["grace".to_owned()];
    let happenings = [
        Happening::Joined { count: 2 },
        Happening::Joined { count: 2 },
        Happening::Changed,
        Happening::Escalated { step: 2, round: 1, by: None, to },
    ];
    let said = notice::notice(&sample(0), &happenings, &reader(Language::English), |name| (name == "grace").then_some(7));
    assert_eq!(
        said,
        "🔴 <b>DiskAlmostFull</b> #12 instance=db-1:9100 mountpoint=/var (12 min)\n2 more alerts fire\nnot acknowledged: escalated to grace\n\
         <a href=\"tg://user?id=7\">grace</a>"
    );
}

#[test]
fn a_digest_lists_every_incident_in_several_messages() {
    let incidents: Vec<Incident> = (1..=200)
        .map(|number| Incident { id: crate::incident::IncidentId(number), ..sample(if number % 2 == 0 { 0 } else { 2 }) })
        .collect();
    let digest = notice::digest(&incidents, &reader(Language::English));
    let parts = split::split(&digest, TEXT_UNITS).unwrap();
    assert!(parts.len() > 1);
    let joined = parts.concat();
    assert!((1..=200).all(|number| joined.contains(&format!("#{number} "))));
    assert!(joined.find("#2 ").unwrap() < joined.find("#1 ").unwrap(), "firing incidents come first");
}

/// A phone that can reply, with no other text in its queue.
fn line(parts: usize) -> SpokenLine<'static> {
    SpokenLine { parts, answers: true, ready: "" }
}

/// Without replies, no text asks for one.
#[test]
fn without_replies_an_sms_has_no_code() {
    let messages = Messages::built_in();
    let line = SpokenLine { answers: false, ..line(1) };
    let one = telephone::sms(&messages, &[sample(0)], line, &reader(Language::English)).text;
    assert_eq!(one, "CRITICAL DiskAlmostFull: /var of db-1 is 97 % full (97.2 %), since 11:48 UTC");
    let two = telephone::sms(&messages, &[sample(0), sample(0)], line, &reader(Language::English)).text;
    assert_eq!(two, "2 alerts: DiskAlmostFull db-1:9100 /var; DiskAlmostFull db-1:9100 /var");
}

#[test]
fn a_long_sms_keeps_its_code() {
    let messages = Messages::built_in();
    let one = telephone::sms(&messages, &[sample(0)], line(1), &reader(Language::English)).text;
    assert_eq!(one, "CRITICAL DiskAlmostFull: /var of db-1 is 97 % full (97.2 %), since 11:48 UTC Reply ACK 4711");
    let long = telephone::sms(&messages, &[sample(5)], line(2), &reader(Language::Persian)).text;
    assert!(sms::parts(&long) == 2 && long.ends_with("… پاسخ: ACK 4711"), "{long}");
    let many: Vec<Incident> = (0..40).map(|_| sample(0)).collect();
    let several = telephone::sms(&messages, &many, line(1), &reader(Language::English)).text;
    assert!(sms::parts(&several) == 1 && several.starts_with("40 alerts: DiskAlmostFull db-1:9100 /var ACK 4711; "), "{several}");
    assert!(several.ends_with(" more"), "{several}");
    let call = telephone::voice(&messages, &[sample(0)], line(1), &reader(Language::English)).text;
    assert_eq!(call, "critical. DiskAlmostFull. /var of db-1 is 97 % full. Since 12 min.");
}

/// One row per number of incidents and of parts. The text contains the ready text for the same phone, and the codes.
#[test]
fn ready_words_and_incidents_share_a_text() {
    let messages = Messages::built_in();
    for (incidents, parts, begins) in [
        (1, 1, "CRITICAL DiskAlmostFull"),
        (1, 3, "CRITICAL DiskAlmostFull"),
        (4, 1, "4 alerts: DiskAlmostFull db-1:9100 /var ACK 4711; "),
    ] {
        let incidents: Vec<Incident> = (0..incidents).map(|_| sample(0)).collect();
        let text = telephone::sms(
            &messages,
            &incidents,
            SpokenLine { ready: "1234 is yours: Stuck", ..line(parts) },
            &reader(Language::English),
        )
        .text;
        assert!(sms::parts(&text) <= parts && text.starts_with(begins), "{text}");
        assert!(text.contains("ACK 4711") && text.ends_with(". 1234 is yours: Stuck"), "{text}");
        let long = "handed over ".repeat(50);
        let text =
            telephone::sms(&messages, &incidents, SpokenLine { ready: &long, ..line(parts) }, &reader(Language::English)).text;
        assert!(
            sms::parts(&text) <= parts && text.contains("ACK 4711. handed over") || text.contains(" more. handed over"),
            "{text}"
        );
        assert!(text.ends_with("..."), "a shortened text is marked: {text}");
    }
    let call =
        telephone::voice(&messages, &[sample(0)], SpokenLine { ready: "1234 is yours", ..line(1) }, &reader(Language::English))
            .text;
    assert!(call.ends_with("1234 is yours"), "{call}");
}

fn with(shape: TemplateShape, source: &str) -> Templates {
    let template = Some(Template { source: source.into(), line: 40 });
    match shape {
        TemplateShape::Telegram => Templates { telegram: template, ..Templates::default() },
        TemplateShape::Sms => Templates { sms: template, ..Templates::default() },
        TemplateShape::Voice => Templates { voice: template, ..Templates::default() },
    }
}

#[test]
fn template_faults_are_found_before_an_alert() {
    for (source, line, part) in [
        ("{{ title", 40, "fails"),
        ("one\n{{ titel }}", 42, "uses titel, which is not defined"),
        ("<b>{{ title }}", 40, "not closed"),
        ("<div>{{ title }}</div>", 40, "not a tag of Telegram"),
        ("{{ summary }}", 40, "is empty"),
        ("x\n{{ title|nofilter }}", 42, "fails"),
        ("{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}", 40, "fails"),
    ] {
        let faults = validate::faults(&with(TemplateShape::Telegram, source), now());
        let fits =
            |fault: &TemplateFault| fault.shape == TemplateShape::Telegram && fault.line == line && fault.wrong.contains(part);
        assert!(faults.iter().any(fits), "{source:?}: {faults:?}");
    }
    let good = "<i>{{ title }}</i> {{ labels.team|default('nobody') }} {{ annotations.summary }} {{ links[0].url|link('x') }}";
    assert_eq!(validate::faults(&with(TemplateShape::Telegram, good), now()), []);
    for shape in TemplateShape::ALL {
        assert_eq!(validate::faults(&with(shape, shape.built_in()), now()), [], "{shape:?}");
    }
}

#[test]
fn a_failing_template_is_replaced_by_the_built_in_one() {
    let (messages, faults) = Messages::new(&with(TemplateShape::Telegram, "{% if summary %}<b>{% endif %}{{ title }}"));
    assert_eq!(faults, []);
    let card = messages.render(TemplateShape::Telegram, &sample(0), &reader(Language::English));
    assert!(card.fault.is_some_and(|fault| fault.contains("not closed")));
    assert!(card.text.contains("<b>/var of db-1 is 97 % full</b>"), "{}", card.text);
    let (messages, faults) = Messages::new(&with(TemplateShape::Sms, "{{"));
    assert_eq!((faults.len(), faults[0].line), (1, 40));
    assert!(telephone::sms(&messages, &[sample(0)], line(3), &reader(Language::English)).text.contains("DiskAlmostFull"));
}

#[test]
fn every_documented_name_is_defined() {
    let context = context::context(&sample(3), &reader(Language::English));
    for (name, _) in NAMES {
        assert!(!context.get_attr(name).unwrap().is_undefined(), "{name}");
    }
}

/// Any text of an alert, with special characters more often than by chance.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => any::<char>().prop_map(String::from),
        2 => "[a-z ]{1,12}",
        1 => proptest::sample::select(vec!["<b>", "</b>", "&", "&lt;", "\"", "\u{202e}", "\u{2066}", "{{", "{%", "}}", "👩\u{200d}🚒",
            "🇮🇷", "\u{0}", "\n", "\u{301}", "پایگاه", "http://x/", "javascript:", "tg://user?id=1"]).prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn labels() -> impl Strategy<Value = Labels> {
    let name = prop_oneof![
        proptest::sample::select(vec!["alertname", "severity", "instance", "summary", "description", "value", "runbook_url"])
            .prop_map(String::from),
        text(),
    ];
    proptest::collection::vec((name, text()), 0..6).prop_map(|pairs| pairs.into_iter().collect())
}

fn incident() -> impl Strategy<Value = Incident> {
    let alerts = proptest::collection::vec((labels(), labels(), any::<bool>(), text()), 1..15);
    (0..6_usize, alerts, text(), 0..5_u64).prop_map(|(index, alerts, url, truncated)| {
        let mut incident = sample(index);
        let first = incident.alerts.values().next().unwrap().clone();
        incident.alerts = alerts
            .into_iter()
            .enumerate()
            .map(|(number, (labels, annotations, fires, generator))| {
                let status = if fires { crate::alert::Status::Firing } else { crate::alert::Status::Resolved };
                let alert =
                    crate::incident::Tracked { labels, annotations, status, generator_url: generator.into(), ..first.clone() };
                (number.to_string().into(), alert)
            })
            .collect();
        incident.external_url = url;
        incident.truncated = truncated;
        incident
    })
}

/// Few cases by default; proptest's own `PROPTEST_CASES` sets more.
fn cases() -> ProptestConfig {
    const SHORT: u32 = 64;
    let set = ProptestConfig::default();
    let cases = if set.cases == ProptestConfig::with_cases(256).cases { SHORT } else { set.cases };
    ProptestConfig { cases, failure_persistence: None, ..set }
}

proptest! {
    #![proptest_config(cases())]

    /// For any alert, the built-in templates work, Telegram accepts the result, every part fits, and no control character remains.
    #[test]
    fn any_incident_can_be_rendered(incident in incident(), persian in any::<bool>(), parts in 1..4_usize) {
        let reader = reader(if persian { Language::Persian } else { Language::English });
        let messages = Messages::built_in();
        let card = messages.render(TemplateShape::Telegram, &incident, &reader);
        prop_assert_eq!(&card.fault, &None);
        prop_assert!(card.text.contains("#12"));
        let happenings = [Happening::Joined { count: 3 }];
        let texts = [
            card.text,
            notice::notice(&incident, &happenings, &reader, |_| None),
            notice::digest(&[incident.clone(), incident.clone()], &reader),
        ];
        for text in &texts {
            prop_assert!(markup::read(text).is_ok(), "{text}");
            prop_assert!(!markup::plain(text).trim().is_empty());
            let steered = text.contains(['\u{202e}', '\u{2066}', '\u{0}']);
            prop_assert!(!steered);
            let whole = split::split(text, TEXT_UNITS).unwrap();
            for part in &whole {
                prop_assert!(utf16_units(&markup::plain(part)) >= 1);
                let shown: usize = markup::read(part).unwrap().iter().map(|token| match token {
                    markup::Token::Text(text) => utf16_units(text),
                    _ => 0,
                }).sum();
                prop_assert!(shown <= TEXT_UNITS);
            }
        }
        let said = telephone::sms(&messages, std::slice::from_ref(&incident), line(parts), &reader);
        prop_assert_eq!(said.fault, None);
        prop_assert!(sms::parts(&said.text) <= parts && said.text.ends_with("ACK 4711"), "{}", said.text);
        let several = telephone::sms(&messages, &[incident.clone(), incident.clone(), incident.clone()], line(parts), &reader);
        prop_assert!(sms::parts(&several.text) <= parts, "{}", several.text);
        prop_assert!(!telephone::voice(&messages, std::slice::from_ref(&incident), line(1), &reader).text.is_empty());
    }

    /// The joined parts of any markup show the same text as the whole.
    #[test]
    fn parts_lose_nothing(pieces in proptest::collection::vec((text(), 0..4_usize), 0..30), limit in 40..400_usize) {
        let html: String = pieces.iter().map(|(text, tag)| match tag {
            0 => markup::escape(text).into_owned(),
            1 => format!("<b>{}</b>", markup::escape(text)),
            2 => format!("<a href=\"http://x/\">{}</a>", markup::escape(text)),
            _ => format!("<i><code>{}</code></i>", markup::escape(text)),
        }).collect();
        let shown = |html: &str| -> String {
            markup::read(html).unwrap().into_iter().filter_map(|token| match token {
                markup::Token::Text(text) => Some(text.into_owned()),
                _ => None,
            }).collect()
        };
        let parts = split::split(&html, limit).unwrap();
        let joined: String = parts.iter().map(|part| shown(part)).collect();
        let visible = |text: &str| text.chars().filter(|character| !character.is_whitespace()).collect::<String>();
        prop_assert_eq!(visible(&joined), visible(&shown(&html)));
        for part in &parts {
            prop_assert!(utf16_units(&shown(part)) <= limit);
        }
    }

    /// No template can hang or crash the program. If it fails, the built-in one is used.
    #[test]
    fn any_template_yields_a_message(source in text(), body in "(\\{\\{ [a-z.|\\[\\]'0-9 ]{0,20} \\}\\}|\\{% (if|for|set) [a-z. =0-9]{0,20} %\\}|\\{% end(if|for) %\\}|<[a-z]{1,3}>){0,8}") {
        let templates = with(TemplateShape::Telegram, &format!("{source}{body}"));
        let _ = validate::faults(&templates, now());
        let (messages, _) = Messages::new(&templates);
        let card = messages.render(TemplateShape::Telegram, &sample(0), &reader(Language::English));
        prop_assert!(markup::read(&card.text).is_ok() && !card.text.is_empty());
    }

    /// Any body fits with its tail, and the tail stays complete.
    #[test]
    fn a_text_message_fits(body in text(), repeats in 1..20_usize, parts in 1..5_usize) {
        let text = sms::fit(&body.repeat(repeats), "Reply ACK 123456", parts);
        prop_assert!(sms::parts(&text) <= parts && text.ends_with("Reply ACK 123456"));
    }
}

/// Telegram drops links to hosts without a dot.
#[test]
fn a_link_to_a_host_without_a_dot_shows_its_address() {
    for (address, shown) in [
        ("http://prometheus:9090/graph", "Graph: <code>http://prometheus:9090/graph</code>"),
        ("http://user@grafana/d/1?x=a.b", "Graph: <code>http://user@grafana/d/1?x=a.b</code>"),
        ("http://10.0.0.1:3000/d", "<a href=\"http://10.0.0.1:3000/d\">Graph</a>"),
        ("https://grafana.example.com", "<a href=\"https://grafana.example.com\">Graph</a>"),
        ("http://[::1]:3000/d", "<a href=\"http://[::1]:3000/d\">Graph</a>"),
        ("javascript:alert(1)", "Graph"),
    ] {
        assert_eq!(markup::link(address, "Graph"), shown);
    }
}

/// Thirty incidents with one name: each line shows the pod. Of twenty labels, the location labels are shown.
#[test]
fn distinguishing_labels_are_shown_and_the_rest_is_counted() {
    let one = |number: i64, pod: &str| {
        let mut incident = sample(0);
        incident.id = crate::incident::IncidentId(number);
        let many = (0..20).map(|index| (format!("a{index:02}"), "same".to_owned()));
        let labels =
            [("alertname", "KubePodNotReady"), ("severity", "warning"), ("pod", pod), ("namespace", "live"), ("node", "n1")];
        let labels: Labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).chain(many).collect();
        incident.alerts.values_mut().for_each(|alert| alert.labels = labels.clone());
        incident
    };
    let incidents: Vec<Incident> = (1..=30).map(|number| one(number, &format!("api-{number:02}"))).collect();
    let digest = notice::digest(&incidents, &reader(Language::English));
    assert!((1..=30).all(|number| digest.contains(&format!("#{number} pod=api-{number:02} "))), "{digest}");
    assert!(!digest.contains("namespace"), "the label is equal in all incidents: {digest}");
    let sms = telephone::sms(&Messages::built_in(), &incidents[..2], line(1), &reader(Language::English)).text;
    assert!(sms.contains("KubePodNotReady api-01 ACK"), "{sms}");
    let card = Messages::built_in().render(TemplateShape::Telegram, &incidents[0], &reader(Language::English)).text;
    let shown = "namespace: <code>live</code>, pod: <code>api-01</code>, node: <code>n1</code>, a00: <code>same</code>";
    assert!(card.contains(shown) && card.contains("and 11 more labels"), "{card}");
    let reply = notice::notice(&incidents[0], &[Happening::Reminded], &reader(Language::English), |_| None);
    assert!(reply.contains("namespace=live pod=api-01"), "{reply}");
    // A group of many pods shows the first ones.
    let mut group = incidents[0].clone();
    for (index, other) in incidents.iter().enumerate().skip(1) {
        group.alerts.extend(other.alerts.values().map(|alert| (index.to_string().into(), alert.clone())));
    }
    let reply = notice::notice(&group, &[Happening::Reminded], &reader(Language::English), |_| None);
    assert!(reply.contains("pod=api-01,api-02 +28"), "{reply}");
}

fn labelled(number: i64, labels: &[(&str, &str)]) -> Incident {
    let mut incident = Incident { id: crate::incident::IncidentId(number), ..sample(0) };
    let labels: Labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    incident.alerts.values_mut().for_each(|alert| (alert.labels, alert.annotations) = (labels.clone(), Labels::default()));
    incident
}

/// Two incidents never have the same line, wherever their labels differ: at the end of a long value, in its middle, in the fourth of
/// many labels, or in a label of their own.
#[test]
fn lines_of_different_incidents_differ() {
    let pod = |number: i64| format!("payment-settlement-gateway-worker-deployment-7f9c8d-{number:05}");
    let path = |number: i64| format!("{}{number}{}", "x".repeat(500), "y".repeat(500));
    let mut incidents = Vec::new();
    for number in 1..=6 {
        let (pod, path, shard) = (pod(number), path(number), number.to_string());
        let zone = if number <= 4 { "a" } else { "b" };
        incidents.push(labelled(number, &[("alertname", "Pod"), ("namespace", "live"), ("pod", &pod)]));
        incidents.push(labelled(10 + number, &[("alertname", "Path"), ("path", &path)]));
        incidents.push(labelled(
            20 + number,
            &[("alertname", "Shard"), ("namespace", zone), ("pod", zone), ("node", zone), ("shard", &shard)],
        ));
    }
    let digest = markup::plain(&notice::digest(&incidents, &reader(Language::English)));
    let places: Vec<&str> =
        digest.lines().filter_map(|line| line.split_once('#')?.1.split_once(' ')).map(|(_, place)| place).collect();
    let distinct: std::collections::BTreeSet<&&str> = places.iter().collect();
    assert_eq!((places.len(), distinct.len()), (18, 18), "{digest}");
    assert!(digest.contains("#3 pod=payment-se…rker-deployment-7f9c8d-00003 "), "{digest}");
    for kind in [0, 1, 2] {
        let few: Vec<Incident> = incidents.iter().skip(kind).step_by(3).take(2).cloned().collect();
        let sms =
            telephone::sms(&Messages::built_in(), &few, SpokenLine { answers: false, ..line(3) }, &reader(Language::English))
                .text;
        let (first, second) = sms.trim_start_matches("2 alerts: ").split_once("; ").unwrap();
        assert_ne!(first, second, "{sms}");
    }
    // One SMS of each has no other to compare with.
    let alone = |number: usize| {
        telephone::sms(&Messages::built_in(), &incidents[number..=number], line(2), &reader(Language::English)).text
    };
    assert_ne!(alone(0), alone(3));
    assert!(
        telephone::sms(
            &Messages::built_in(),
            &[labelled(1, &[("alertname", "Paid"), ("customer", "acme")])],
            line(1),
            &reader(Language::English)
        )
        .text
        .contains("Paid acme")
    );
}

/// The same within one card: alerts with equal labels except one, of which the values are long.
#[test]
fn alerts_of_one_card_differ_where_their_labels_do() {
    for (before, after) in [(999, 0), (500, 499), (0, 999)] {
        let mut group = labelled(1, &[("alertname", "Path")]);
        let alert = group.alerts.values().next().unwrap().clone();
        group.alerts = ["a", "b", "c"]
            .into_iter()
            .map(|own| {
                let path = format!("{}{own}{}", "x".repeat(before), "x".repeat(after));
                let labels = [("alertname", "Path"), ("team", "core"), ("path", path.as_str())].into_iter().collect();
                (own.into(), crate::incident::Tracked { labels, ..alert.clone() })
            })
            .collect();
        let card = Messages::built_in().render(TemplateShape::Telegram, &group, &reader(Language::English)).text;
        let lines: std::collections::BTreeSet<&str> = card.lines().filter(|line| line.starts_with('•')).collect();
        assert_eq!(lines.len(), 3, "{card}");
        let reply = notice::notice(&group, &[Happening::Reminded], &reader(Language::English), |_| None);
        let shown = reply.split_once("path=").unwrap().1.split_once(' ').unwrap().0;
        let (first, second) = shown.split_once(',').unwrap();
        assert_ne!(first, second, "{reply}");
    }
}

/// Every kind of link is completed or replaced by the configured address of its kind.
#[test]
fn links_lead_to_the_addresses_of_the_configuration() {
    let mut incident = samples(now()).remove(0).incident;
    for alert in incident.alerts.values_mut() {
        alert.generator_url = "http://prometheus-0:9090/graph?g0.expr=up".into();
        alert.annotations =
            [("summary", "x"), ("runbook_url", "/runbooks/A.md"), ("dashboard_url", "/d/a?viewPanel=1"), ("logs_url", "logs/a")]
                .into_iter()
                .collect();
    }
    let at = |kind: &str| Some(format!("https://{kind}.example.com"));
    let links = LinkAddresses { runbooks: at("r"), dashboards: at("d"), logs: at("l"), expressions: at("p"), silences: at("a") };
    let reader = Reader { links: Arc::new(links), ..reader(Language::English) };
    let text = Messages::new(&Templates::default()).0.render(TemplateShape::Telegram, &incident, &reader).text;
    for address in [
        "https://r.example.com/runbooks/A.md",
        "https://d.example.com/d/a?viewPanel=1",
        "https://l.example.com/logs/a",
        "https://p.example.com/graph?g0.expr=up",
        "https://a.example.com/#/silences/new?filter=",
    ] {
        assert!(text.contains(&format!("<a href=\"{address}")), "{address}: {text}");
    }
}
