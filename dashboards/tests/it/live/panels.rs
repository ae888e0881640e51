//! What a panel shows of a running exchange: data, and no more series than a person can tell apart.

use std::collections::BTreeMap;

use dashboards::{board::Board, expression::named};

use super::{
    RANGE,
    lists::{ABSENT, NOTHING},
    prometheus::{Answer, Prometheus},
};

/// Largest number of series in one panel.
const SERIES: usize = 20;
/// Largest share of queries that find nothing here, in percent.
const WITHOUT_DATA: usize = 5;
/// Panels of the printed list.
const PRINTED: usize = 5;

/// Whether this query finds data on one machine. It does not if each part that it asks about is absent.
pub fn finds_data(place: &str, query: &str) -> bool {
    let is_absent = |text: &str| ABSENT.iter().any(|(part, _)| text.contains(part));
    let selectors = named(query).selectors;
    let all_absent = !selectors.is_empty() && selectors.iter().all(|selector| is_absent(&selector.text));
    !all_absent && NOTHING.iter().all(|(nothing, _)| *nothing != place)
}

fn is_of_a_panel(place: &str) -> bool {
    place.contains(" panel ")
}

/// Prints how many queries find nothing here, and returns what is too much.
pub fn faults_of_the_share(queries: &[(String, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (kind, of_kind) in [("queries of panels", true), ("other queries", false)] {
        let all = queries.iter().filter(|(place, _)| is_of_a_panel(place) == of_kind);
        let (all, without) =
            all.fold((0, 0), |(all, without), (place, query)| (all + 1, without + usize::from(!finds_data(place, query))));
        let share = 100.0 * without as f64 / all as f64;
        println!("{all} {kind}, {without} of them without data here: {share:.1} %");
        if of_kind && 100 * without > WITHOUT_DATA * all {
            faults.push(format!("{without} of {all} {kind} find nothing here: more than {WITHOUT_DATA} %"));
        }
    }
    faults
}

/// Counts the series of each panel with live data.
pub async fn have_few_series(prometheus: &Prometheus) -> Vec<String> {
    let mut panels = BTreeMap::<String, usize>::new();
    for (place, query) in Board::all().flat_map(|board| board.queries(RANGE)).filter(|(place, _)| is_of_a_panel(place)) {
        let (panel, _query) = place.rsplit_once(' ').expect("a place ends with the query's letter");
        if let Answer::Data(series) = prometheus.ask(&query).await {
            *panels.entry(panel.to_owned()).or_default() += series;
        }
    }
    let mut sorted: Vec<_> = panels.into_iter().map(|(panel, series)| (series, panel)).collect();
    sorted.sort_unstable_by(|one, other| other.cmp(one));
    for (series, panel) in sorted.iter().take(PRINTED) {
        println!("{series} series: {panel}");
    }
    let many = sorted.into_iter().filter(|(series, _)| *series > SERIES);
    many.map(|(series, panel)| format!("{panel} shows {series} series, more than {SERIES}")).collect()
}

/// A person who opens a board learns why a panel is empty on a healthy exchange.
#[test]
fn a_panel_without_data_here_states_the_reason() {
    let mut silent = Vec::new();
    for board in Board::all() {
        let queries = board.queries(RANGE);
        for panel in board.panels.iter().filter(|panel| !panel.targets.is_empty()) {
            let start = format!("{} panel {} ", board.uid, panel.id);
            let mut own = queries.iter().filter(|(place, _)| place.starts_with(&start)).peekable();
            let is_empty = own.peek().is_some() && own.all(|(place, query)| !finds_data(place, query));
            if is_empty && panel.field_config["defaults"]["noValue"].as_str().is_none_or(str::is_empty) {
                silent.push(format!("{start}\"{}\"", panel.title));
            }
        }
    }
    assert!(silent.is_empty(), "panels without data and without noValue: {silent:#?}");
}
