//! An incident's life as a table: what is told, what sounds, who is called.

use jiff::{SignedDuration, Timestamp};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn rules() -> Rules {
    let minutes = |minutes| SignedDuration::from_mins(minutes);
    Rules { waits: vec![minutes(0), minutes(5)], rounds: 2, acknowledgement_lasts: Some(minutes(60)), ..Rules::default() }
}

fn alert(name: &str, status: Status, severity: Severity, starts: i64, ends: Option<i64>) -> (Box<str>, Tracked) {
    let tracked = Tracked {
        status,
        severity,
        labels: [("alertname", "Down"), ("instance", name)].into_iter().collect(),
        annotations: Labels::default(),
        starts_at: at(starts),
        ends_at: ends.map(at),
        generator_url: "".into(),
        previous_end: None,
        unconfirmed_end: None,
        confirms_at: None,
    };
    (name.into(), tracked)
}

/// The source has several replicas.
fn replicated() -> Rules {
    Rules { confirm_within: Some(SignedDuration::from_secs(40)), ..rules() }
}

/// An end that one replica reports waits until the others are read: it counts when none has the alert, not when one has it, and
/// after a bounded time when they cannot be read.
#[test]
fn an_end_of_one_replica_waits_for_the_others() {
    let (rules, a) = (replicated(), [Box::from("a")]);
    let reported = |second: i64| {
        let mut incident = opened();
        incident.escalation.next_at = None;
        assert_eq!(incident.observe(&resolved("a", 0, 50), at(second), &rules), []);
        assert!(incident.is_open());
        incident
    };
    let ended = [Effect::Tell(Happening::Resolved)];
    assert_eq!(reported(60).confirm(&a, at(61)), ended);
    assert_eq!(reported(60).confirm(&[Box::from("b")], at(61)), []);

    let mut contradicted = reported(60);
    assert!(contradicted.contradict(&a));
    assert_eq!((contradicted.due(at(101), &rules), contradicted.confirm(&a, at(102))), (Vec::new(), Vec::new()));
    let mut repeated = reported(60);
    repeated.observe(&firing("a", 0), at(70), &rules);
    assert_eq!((repeated.confirm(&a, at(71)), repeated.is_open()), (Vec::new(), true));

    // A second report does not extend the wait.
    let mut alone = reported(60);
    alone.observe(&resolved("a", 0, 50), at(90), &rules);
    assert_eq!(alone.next_due(), Some(at(100)));
    assert!(alone.due(at(100), &rules).contains(&ended[0]));
    assert_eq!(alone.ended_at, Some(at(100)));
    // Without replicas to ask, it counts at once.
    assert_eq!(opened().observe(&resolved("a", 0, 50), at(60), &self::rules()), ended);
    // While the Watchdog is missing, no read proves an end.
    let mut blind = reported(60);
    blind.freeze(at(65), at(50), at(70), &rules);
    assert_eq!((blind.confirm(&a, at(71)), blind.due(at(101), &rules).contains(&ended[0])), (Vec::new(), false));
}

fn firing(name: &str, starts: i64) -> Observation {
    Observation { alerts: vec![alert(name, Status::Firing, Severity::Warning, starts, None)], truncated: 0 }
}

fn resolved(name: &str, starts: i64, ends: i64) -> Observation {
    Observation { alerts: vec![alert(name, Status::Resolved, Severity::Warning, starts, Some(ends))], truncated: 0 }
}

fn opened() -> Incident {
    let mut incident = blank(IncidentId(1));
    assert_eq!(incident.begin(&firing("a", 0), at(1), &rules()), [Effect::Tell(Happening::Fired)]);
    incident
}

pub(crate) fn blank(id: IncidentId) -> Incident {
    Incident {
        id,
        code: 1234,
        source: "main".into(),
        receiver: "bot".into(),
        group_key: "{}:{alertname=\"Down\"}".into(),
        group_labels: [("alertname", "Down")].into_iter().collect(),
        external_url: "http://alertmanager".into(),
        routes: vec!["default".into()],
        severity: Severity::Warning,
        started_at: at(0),
        ..Incident::blank(at(1))
    }
}

fn told(effects: &[Effect]) -> Vec<&'static str> {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::Tell(Happening::Fired) => "fired",
            Effect::Tell(Happening::Reopened { flapping: true }) => "reopened, flapping",
            Effect::Tell(Happening::Reopened { .. }) => "reopened",
            Effect::Tell(Happening::SeverityRaised { .. }) => "raised",
            Effect::Tell(Happening::Joined { .. }) => "joined",
            Effect::Tell(Happening::Resolved) => "resolved",
            Effect::Tell(Happening::Changed) => "changed",
            Effect::Tell(Happening::Reminded) => "reminded",
            Effect::Tell(Happening::Acknowledged { .. }) => "acknowledged",
            Effect::Tell(Happening::AcknowledgementEnded { .. }) => "acknowledgement ended",
            Effect::Tell(Happening::Unsilenced { .. }) => "unsilenced",
            Effect::Tell(_) => "other",
            Effect::Call { everyone: true, .. } => "call everyone",
            Effect::Call { step: 0, .. } => "call 0",
            Effect::Call { step: 1, .. } => "call 1",
            Effect::Call { .. } => "call",
            Effect::EndSilence { .. } => "end silence",
        })
        .collect()
}

/// One row a notification of Alertmanager, in order, on one incident.
#[test]
fn the_newest_notification_counts_and_a_repeated_one_does_not() {
    let mut incident = opened();
    let raised = Observation { alerts: vec![alert("c", Status::Firing, Severity::Critical, 30, None)], truncated: 0 };
    let cut = Observation { truncated: 3, ..resolved("c", 30, 45) };
    for (second, observation, expected) in [
        (10, firing("a", 0), vec![]),
        (20, firing("b", 15), vec!["joined"]),
        (30, raised, vec!["raised"]),
        (40, resolved("a", 0, 35), vec!["changed"]),
        (41, resolved("a", 0, 35), vec![]),
        (42, firing("a", 0), vec!["joined"]),
        (43, resolved("a", 0, 43), vec!["changed"]),
        (45, resolved("b", 15, 44), vec!["changed"]),
        (50, cut.clone(), vec!["changed"]),
        (51, cut, vec![]),
        (60, resolved("c", 30, 45), vec!["resolved"]),
        // Alertmanager timed it out: it fires again with the start that it had.
        (70, firing("c", 30), vec!["reopened"]),
        (80, firing("c", 75), vec![]),
        // The other replica of the pair reports the same end later.
        (81, resolved("c", 30, 45), vec![]),
        (90, resolved("c", 75, 88), vec!["resolved"]),
        (91, resolved("never heard of", 75, 88), vec![]),
    ] {
        assert_eq!(told(&incident.observe(&observation, at(second), &rules())), expected, "at {second}");
    }
    assert_eq!((incident.phase, incident.ended_at), (Phase::Resolved, Some(at(90))));
}

#[test]
fn nobody_acknowledges_so_each_step_is_taken_once_a_round_and_then_everyone_is_called() {
    let mut incident = opened();
    let mut calls = Vec::new();
    while let Some(due) = incident.next_due() {
        calls.push((due.as_second() - at(0).as_second(), told(&incident.due(due, &rules()))));
    }
    let expected = [(1, "call 0"), (301, "call 1"), (601, "call 0"), (901, "call 1"), (1201, "call everyone")];
    assert_eq!(calls, expected.map(|(second, what)| (second, vec![what])));
}

#[test]
fn after_a_downtime_exactly_one_of_several_overdue_steps_is_taken() {
    let mut incident = opened();
    assert_eq!(told(&incident.due(at(7200), &rules())), ["call 0"]);
    assert_eq!(told(&incident.due(at(7200), &rules())), [""; 0]);
    assert_eq!(incident.next_due(), Some(at(7500)));
}

#[test]
fn an_acknowledgement_stops_the_calls_until_it_times_out_and_a_joining_alert_sounds_all_the_same() {
    let mut incident = opened();
    assert_eq!(told(&incident.acknowledge("Sam", at(5), &rules()).unwrap()), ["acknowledged"]);
    assert_eq!(incident.acknowledge("Sam", at(6), &rules()), None);
    assert_eq!(told(&incident.observe(&firing("b", 7), at(8), &rules())), ["joined"]);
    assert_eq!((incident.phase, incident.next_due()), (Phase::Acknowledged, Some(at(3605))));
    assert_eq!(told(&incident.due(at(3605), &rules())), ["acknowledgement ended", "call 0"]);
    assert_eq!((incident.phase, incident.taken_by.as_deref()), (Phase::Firing, Some("Sam")));
}

#[test]
fn a_silence_holds_the_calls_and_ends_with_the_incident_when_asked() {
    let mut incident = opened();
    let silence = |id: &str, ends_with_incident| Silence { id: id.into(), by: "Sam".into(), until: at(500), ends_with_incident };
    incident.silence(silence("x", true));
    incident.silence(silence("y", false));
    assert_eq!(incident.next_due(), Some(at(500)));
    assert_eq!(told(&incident.clone().due(at(500), &rules())), ["unsilenced", "call 0"]);
    assert_eq!(incident.lose(&["a".into()], at(100)), [Effect::Tell(Happening::Resolved), Effect::EndSilence { id: "x".into() }]);
    // What vanished without a word may come back under its old start.
    assert_eq!(told(&incident.observe(&firing("a", 0), at(110), &rules())), ["reopened"]);
}

#[test]
fn a_first_step_that_did_not_arrive_is_followed_by_the_second_half_a_minute_later() {
    let mut incident = opened();
    assert_eq!(told(&incident.due(at(1), &rules())), ["call 0"]);
    for second in [4, 5] {
        assert_eq!(told(&incident.undelivered(at(second), &rules())), [""; 0]);
        assert_eq!(incident.next_due(), Some(at(31)));
    }
    assert_eq!(told(&incident.due(at(31), &rules())), ["call 1"]);
    // Later than that the next one is taken at once.
    assert_eq!(told(&incident.undelivered(at(62), &rules())), ["call 0"]);
}

#[test]
fn what_has_ended_is_not_given_back() {
    let mut incident = opened();
    incident.acknowledge("Sam", at(5), &rules()).unwrap();
    assert_eq!(told(&incident.observe(&resolved("a", 0, 8), at(9), &rules())), ["resolved"]);
    assert_eq!(incident.release("Sam", at(10), &rules()), None);
    assert_eq!((incident.phase, incident.next_due()), (Phase::Resolved, None));
}

#[test]
fn what_was_cut_off_a_list_keeps_an_incident_open_until_the_group_is_gone() {
    let mut incident = blank(IncidentId(1));
    incident.begin(&Observation { truncated: 2, ..firing("a", 0) }, at(1), &rules());
    assert_eq!(told(&incident.lose(&["a".into()], at(10))), ["changed"]);
    assert_eq!((incident.is_open(), incident.firing().count()), (true, 0));
    assert_eq!(told(&incident.lose_group(at(20))), ["resolved"]);
    assert_eq!(incident.lose_group(at(21)), []);
    // With an alert that still counted as firing.
    let mut incident = blank(IncidentId(2));
    incident.begin(&Observation { truncated: 2, ..firing("a", 0) }, at(1), &rules());
    assert_eq!((told(&incident.lose_group(at(20))), incident.firing().count()), (vec!["resolved"], 0));
}

#[test]
fn flapping_is_said_once_and_then_only_edited_until_it_is_calm() {
    let mut incident = opened();
    let mut heard = Vec::new();
    for round in 1..=8 {
        incident.observe(&resolved("a", round * 60 - 60, round * 60 - 30), at(round * 60 - 20), &rules());
        heard.extend(told(&incident.observe(&firing("a", round * 60), at(round * 60), &rules())));
        heard.extend(told(&incident.due(at(round * 60), &rules())));
    }
    let said = ["reopened", "call 0", "reopened", "call 0", "reopened, flapping", "call 0"];
    // Five minutes after the first step the second one is taken, although it has ended and begun five times since.
    assert_eq!(heard, [&said[..], &["changed", "changed", "changed", "changed", "changed", "call 1"]].concat());
    let calm = incident.damped_until.unwrap();
    assert_eq!(calm, at(480 + 15 * 60));
    assert!(told(&incident.due(calm, &rules())).contains(&"reopened"));
}

#[test]
fn a_repeat_reminds_where_the_route_says_so_and_only_once_a_minute() {
    let rules = Rules { remind: true, ..rules() };
    let mut incident = opened();
    let heard = |incident: &mut Incident, second| told(&incident.observe(&firing("a", 0), at(second), &rules));
    assert_eq!(heard(&mut incident, 30), [""; 0]);
    assert_eq!(heard(&mut incident, 61), ["reminded"]);
    assert_eq!(heard(&mut incident, 62), [""; 0]);
    incident.acknowledge("Sam", at(70), &rules).unwrap();
    assert_eq!(heard(&mut incident, 200), [""; 0]);
    assert_eq!(incident.repeats, 4);
}

#[test]
fn an_end_before_a_start_of_a_clock_that_ran_ahead_counts() {
    let mut incident = blank(IncidentId(1));
    incident.begin(&firing("a", 600), at(1), &rules());
    assert_eq!(told(&incident.observe(&resolved("a", 600, 30), at(30), &rules())), ["resolved"]);
    assert_eq!(told(&incident.observe(&firing("a", 20), at(40), &rules())), ["reopened"]);
}

#[test]
fn a_rise_in_severity_takes_an_acknowledgement_back() {
    let mut incident = opened();
    incident.due(at(1), &rules());
    incident.acknowledge("Sam", at(5), &rules()).unwrap();
    let raised = Observation { alerts: vec![alert("c", Status::Firing, Severity::Critical, 30, None)], truncated: 0 };
    assert_eq!(told(&incident.observe(&raised, at(30), &rules())), ["raised"]);
    assert_eq!((incident.phase, incident.acknowledgement.clone()), (Phase::Firing, None));
    assert_eq!(told(&incident.due(at(30), &rules())), ["call 0"]);
}

#[test]
fn an_alert_that_joins_is_not_covered_by_a_silence_that_was_set_before() {
    let mut incident = opened();
    let silence = |id: &str| Silence { id: id.into(), by: "Sam".into(), until: at(5000), ends_with_incident: true };
    incident.silence(silence("x"));
    assert!(!incident.waits_for_somebody());
    incident.observe(&firing("b", 20), at(20), &rules());
    assert!(incident.waits_for_somebody());
    incident.silence(silence("y"));
    assert!(!incident.waits_for_somebody());
}

#[test]
fn a_frozen_incident_ends_after_the_settling_time_unless_it_fires_again() {
    let frozen = || {
        let mut incident = opened();
        assert_eq!(told(&incident.freeze(at(10), at(0), at(20), &rules())), ["changed"]);
        assert_eq!(incident.observe(&resolved("a", 0, 25), at(26), &rules()), []);
        assert_eq!(incident.lose(&["a".into()], at(27)), []);
        assert_eq!(told(&incident.thaw(at(300))), ["changed"]);
        assert_eq!(incident.lose(&["a".into()], at(40)), []);
        incident
    };
    let mut incident = frozen();
    assert!(told(&incident.due(at(300), &rules())).contains(&"resolved"));
    assert_eq!(incident.alerts["a"].ends_at, Some(at(25)));
    let mut incident = frozen();
    incident.observe(&firing("a", 0), at(50), &rules());
    assert!(!told(&incident.due(at(300), &rules())).contains(&"resolved"));
    assert!(incident.is_open());
}

/// A reopened incident states when the present fault began, not the first one. An alert that Alertmanager timed out has its old
/// start.
#[test]
fn a_reopened_incident_says_when_this_fault_began() {
    let mut incident = opened();
    incident.observe(&resolved("a", 0, 50), at(60), &rules());
    assert_eq!(incident.started_at, at(0));
    incident.observe(&firing("a", 1_000), at(1_010), &rules());
    assert_eq!(incident.started_at, at(1_000));
    incident.observe(&firing("b", 900), at(1_020), &rules());
    assert_eq!(incident.started_at, at(1_000), "an alert that joins is not the beginning");
    incident.observe(&resolved("a", 1_000, 1_100), at(1_110), &rules());
    incident.observe(&resolved("b", 900, 1_100), at(1_110), &rules());
    incident.observe(&firing("a", 1_000), at(1_200), &rules());
    assert_eq!(incident.started_at, at(1_000), "it fires again with its old start");
}

#[test]
fn an_empty_name_is_none() {
    let mut incident = Incident { group_labels: Labels::default(), ..blank(IncidentId(1)) };
    for (labels, title) in [
        (Labels::from_iter([("alertname", "Down")]), "Down"),
        (Labels::from_iter([("alertname", "")]), "an alert without a name"),
        (Labels::default(), "an alert without a name"),
    ] {
        let (identity, mut tracked) = alert("a", Status::Firing, Severity::Warning, 0, None);
        tracked.labels = labels;
        incident.alerts = [(identity, tracked)].into_iter().collect();
        assert_eq!(incident.title(), title);
    }
}

/// A start in the future is that of a clock which ran ahead. The end by the corrected clock is earlier.
#[test]
fn an_end_counts_after_a_start_in_the_future() {
    let rules = rules();
    let mut incident = opened();
    incident.observe(&firing("b", 900), at(100), &rules);
    let effects = incident.observe(&resolved("b", 50, 110), at(120), &rules);
    assert_eq!(effects, [Effect::Tell(Happening::Changed)]);
    assert_eq!(incident.firing().count(), 1);
    // Once that start has passed, an end before it belongs to an earlier firing.
    incident.observe(&firing("b", 900), at(1000), &rules);
    assert_eq!(incident.observe(&resolved("b", 50, 110), at(1010), &rules), []);
    assert_eq!(incident.firing().count(), 2);
}

/// The configuration calls the same label critical now: the acknowledgement of the warning ends.
#[test]
fn a_label_that_means_more_after_a_reload_raises_the_incident() {
    let rules = rules();
    let mut incident = opened();
    incident.acknowledge("ada", at(10), &rules);
    assert_eq!(incident.reclassify(|_| Severity::Warning, at(20), &rules), []);
    let effects = incident.reclassify(|_| Severity::Critical, at(30), &rules);
    assert_eq!(effects, [Effect::Tell(Happening::SeverityRaised { from: Severity::Warning })]);
    assert_eq!(
        (incident.phase, incident.severity, incident.escalation.next_at),
        (Phase::Firing, Severity::Critical, Some(at(30)))
    );
    assert_eq!(incident.reclassify(|_| Severity::Info, at(40), &rules), [Effect::Tell(Happening::Changed)]);
    // A repetition of the alert says so, too.
    let mut told = firing("a", 0);
    told.alerts[0].1.severity = Severity::Critical;
    incident.observe(&told, at(50), &rules);
    assert_eq!(incident.severity, Severity::Critical);
}

/// A policy with the same name and other waits: the next step moves with its wait.
#[test]
fn a_wait_that_changes_moves_the_next_step() {
    let with = |first: i64, second: i64| Rules {
        waits: vec![SignedDuration::from_mins(first), SignedDuration::from_mins(second)],
        ..rules()
    };
    let mut incident = opened();
    incident.escalation =
        Escalation { next_at: Some(at(3600)), wait: Some(SignedDuration::from_mins(60)), ..Escalation::default() };
    let mut shorter = incident.clone();
    shorter.follow_waits(at(120), &with(5, 5));
    assert_eq!(shorter.escalation.next_at, Some(at(300)));
    let mut overdue = incident.clone();
    overdue.follow_waits(at(1000), &with(5, 5));
    assert_eq!(overdue.escalation.next_at, Some(at(1000)));
    let mut longer = incident.clone();
    longer.follow_waits(at(120), &with(90, 5));
    assert_eq!(longer.escalation.next_at, Some(at(5400)));
    incident.follow_waits(at(120), &with(60, 5));
    assert_eq!(incident.escalation.next_at, Some(at(3600)));
    // After a step, too.
    let effects = incident.due(at(3600), &with(60, 30));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Call { step: 0, .. })));
    incident.follow_waits(at(3700), &with(60, 10));
    assert_eq!(incident.escalation.next_at, Some(at(4200)));
    incident.follow_waits(at(3700), &Rules { waits: Vec::new(), ..rules() });
    assert_eq!(incident.escalation.next_at, Some(at(4200)));
}
