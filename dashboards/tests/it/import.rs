//! `dashboards/import` against a small server with Grafana's two calls. The pipeline runs it against a real Grafana.

use std::{
    collections::BTreeMap,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use dashboards::board::Board;
use serde_json::{Value, json};

const TOKEN: &str = "glsa_secret";

#[derive(Clone, Default)]
struct Grafana {
    boards: Arc<Mutex<BTreeMap<String, Value>>>,
    /// Stores boards without their last panel.
    forgets: bool,
}

async fn store(
    State(grafana): State<Grafana>,
    headers: HeaderMap,
    Json(mut body): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    if headers["authorization"] != format!("Bearer {TOKEN}") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    assert_eq!(body["overwrite"], true, "a second import replaces the board");
    let mut board = body["dashboard"].take();
    if grafana.forgets {
        board["panels"].as_array_mut().unwrap().pop();
    }
    let uid = board["uid"].as_str().unwrap().to_owned();
    grafana.boards.lock().unwrap().insert(uid.clone(), board);
    Ok(Json(json!({"status": "success", "uid": uid})))
}

async fn load(State(grafana): State<Grafana>, Path(uid): Path<String>) -> Json<Value> {
    Json(json!({"dashboard": grafana.boards.lock().unwrap()[&uid], "meta": {}}))
}

async fn import(grafana: &Grafana, token: &str) -> Output {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/api/dashboards/db", post(store)).route("/api/dashboards/uid/{uid}", get(load));
    let serving = tokio::spawn(axum::serve(listener, router.with_state(grafana.clone())).into_future());
    let mut command = command();
    command.env("GRAFANA_URL", url).env("GRAFANA_TOKEN", token).env("RUNBOOKS_URL", "https://wiki.example.com/runbooks/");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    serving.abort();
    output
}

fn command() -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/import"));
    for name in ["GRAFANA_URL", "GRAFANA_TOKEN", "GRAFANA_USER", "GRAFANA_PASSWORD", "GRAFANA_FOLDER", "RUNBOOKS_URL"] {
        command.env_remove(name);
    }
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn every_board_is_imported_and_read_back() {
    let grafana = Grafana::default();
    for _ in 0..2 {
        let output = import(&grafana, TOKEN).await;
        assert!(output.status.success(), "{}", text(&output));
    }
    let stored = grafana.boards.lock().unwrap();
    assert_eq!(stored.len(), Board::all().count());
    for (uid, board) in stored.iter() {
        let variables = board["templating"]["list"].as_array().unwrap();
        let runbooks = variables.iter().find(|variable| variable["name"] == "runbooks").unwrap();
        assert_eq!(runbooks["query"], "https://wiki.example.com/runbooks", "{uid}");
    }
}

#[tokio::test]
async fn a_board_that_grafana_changes_fails_the_import() {
    let output = import(&Grafana { forgets: true, ..Grafana::default() }, TOKEN).await;
    let text = text(&output);
    assert!(output.status.code() == Some(1) && text.contains("stored other panels of alertbot, api"), "{text}");
}

#[tokio::test]
async fn a_refused_token_is_named_and_not_printed() {
    let output = import(&Grafana::default(), "glsa_wrong").await;
    let text = text(&output);
    assert!(output.status.code() == Some(1) && text.contains("answered 401") && text.contains("role Editor"), "{text}");
    assert!(!text.contains("glsa_"), "{text}");
}

#[test]
fn a_wrong_setting_is_named_before_any_request() {
    for (variables, expected) in [
        (vec![], "GRAFANA_URL: expected an address"),
        (vec![("GRAFANA_URL", "grafana:3000")], "GRAFANA_URL: expected an address"),
        (vec![("GRAFANA_URL", "http://admin:admin@127.0.0.1:1")], "GRAFANA_URL: contains a user"),
        (vec![("GRAFANA_URL", "http://127.0.0.1:1")], "set either GRAFANA_TOKEN"),
        (vec![("GRAFANA_URL", "http://127.0.0.1:1"), ("GRAFANA_USER", "admin")], "set either GRAFANA_TOKEN"),
    ] {
        let output = command().envs(variables.clone()).output().unwrap();
        let text = text(&output);
        assert!(output.status.code() == Some(64) && text.contains(expected), "{variables:?}: {text}");
    }
}
