//! This module is the control API for the page and for tests outside this process: JSON over HTTP under `/control`.
//!
//! | request | answer |
//! |---|---|
//! | `GET /world?since=N` | bots, people, chats with their messages, presses, faults, limits; waits for a change after version N |
//! | `GET /calls?after=N`, `DELETE /calls` | the transcript |
//! | `POST /faults`, `DELETE /faults`, `DELETE /faults/{id}` | a fault on and off: `{"kind": "too_many_requests", "retry_after": 30, "chat": …}` |
//! | `POST /press` | `{"user", "chat", "message", "button"}`: a button by its data or text |
//! | `POST /say` | `{"user", "chat", "text", "topic"?, "reply_to"?}` |
//! | `PUT /chats/{id}/state` | `{"is": "open" \| "kicked" \| "deleted"}` |
//! | `POST /chats/{id}/migrate` | `{"to": -100…}`: a group becomes a supergroup |
//! | `PUT /chats/{id}/messages/{message}/inaccessible` | presses on it carry an `InaccessibleMessage` |
//! | `PUT /chats/{id}/messages/{message}/unnamed` | presses on it carry no message |
//! | `DELETE /chats/{id}/topics/{topic}` | a forum's topic is gone |
//! | `PUT /limits` | [`crate::TelegramLimits`] |
//! | `GET /files/{id}` | a picture |

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::{delete, get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    Shared,
    fault::InjectedFault,
    limits::TelegramLimits,
    reply::MethodError,
    world::{Chat, ChatState, World},
};

/// Longest that a page waits for a change.
const WAIT: Duration = Duration::from_secs(25);
/// Messages of a chat that the page gets.
const MESSAGES_SHOWN: usize = 200;
/// Calls in one answer.
const CALLS_SHOWN: usize = 1000;

type Answer = Result<Json<Value>, MethodError>;

impl IntoResponse for MethodError {
    fn into_response(self) -> axum::response::Response {
        let status = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.body())).into_response()
    }
}

pub fn control_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/world", get(world))
        .route("/calls", get(calls).delete(forget_calls))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/press", post(press))
        .route("/say", post(say))
        .route("/chats/{id}/state", put(set_state))
        .route("/chats/{id}/migrate", post(migrate))
        .route("/chats/{id}/messages/{message}/inaccessible", put(age))
        .route("/chats/{id}/messages/{message}/unnamed", put(unname))
        .route("/chats/{id}/topics/{topic}", delete(remove_topic))
        .route("/limits", put(set_limits))
        .route("/files/{id}", get(file))
}

#[derive(Deserialize)]
struct Since {
    since: Option<u64>,
}

async fn world(State(shared): State<Arc<Shared>>, Query(Since { since }): Query<Since>) -> Json<Value> {
    let mut changes = shared.version.subscribe();
    if let Some(since) = since {
        // Without a change in time, the answer is the present state.
        let _ = timeout(WAIT, changes.wait_for(|version| *version != since)).await;
    }
    let version = *shared.version.borrow();
    Json(shared.look(|world| shown(world, version)))
}

fn shown(world: &World, version: u64) -> Value {
    let chats: Vec<_> = world.chats.values().map(chat).collect();
    json!({
        "version": version,
        "now_milliseconds": world.now().as_millis(),
        "bots": world.bots,
        "users": world.users.values().collect::<Vec<_>>(),
        "chats": chats,
        "callbacks": world.callbacks,
        "faults": world.faults.active(),
        "limits": world.limits,
    })
}

fn chat(chat: &Chat) -> Value {
    let mut shown = json!(chat);
    let count = chat.messages().count();
    shown["messages"] = chat.messages().skip(count.saturating_sub(MESSAGES_SHOWN)).map(|message| json!(message)).collect();
    shown
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: i64,
}

async fn calls(State(shared): State<Arc<Shared>>, Query(After { after }): Query<After>) -> Json<Value> {
    Json(shared.look(|world| json!(world.calls().filter(|call| call.number > after).take(CALLS_SHOWN).collect::<Vec<_>>())))
}

async fn forget_calls(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.change(World::forget_calls);
    StatusCode::NO_CONTENT
}

async fn add_fault(State(shared): State<Arc<Shared>>, Json(fault): Json<InjectedFault>) -> Json<Value> {
    let id = shared.change(|world| {
        let now = world.now();
        world.faults.add(fault, now)
    });
    Json(json!({"id": id}))
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.change(|world| world.faults.clear());
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(shared): State<Arc<Shared>>, Path(id): Path<u64>) -> StatusCode {
    shared.change(|world| world.faults.remove(id));
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Press {
    user: i64,
    chat: i64,
    message: i64,
    button: String,
}

async fn press(State(shared): State<Arc<Shared>>, Json(press): Json<Press>) -> Answer {
    let id = shared.change(|world| world.press(press.user, press.chat, press.message, &press.button))?;
    Ok(Json(json!({"callback_query_id": id})))
}

async fn age(State(shared): State<Arc<Shared>>, Path((chat, message)): Path<(i64, i64)>) -> Result<StatusCode, MethodError> {
    shared.change(|world| world.age(chat, message))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unname(State(shared): State<Arc<Shared>>, Path((chat, message)): Path<(i64, i64)>) -> Result<StatusCode, MethodError> {
    shared.change(|world| world.unname(chat, message))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Say {
    user: i64,
    chat: i64,
    text: String,
    #[serde(default)]
    topic: Option<i64>,
    #[serde(default)]
    reply_to: Option<i64>,
}

async fn say(State(shared): State<Arc<Shared>>, Json(say): Json<Say>) -> Answer {
    let id = shared.change(|world| world.say(say.user, say.chat, &say.text, say.topic, say.reply_to))?;
    Ok(Json(json!({"message_id": id})))
}

async fn set_state(State(shared): State<Arc<Shared>>, Path(id): Path<i64>, Json(state): Json<ChatState>) -> Answer {
    if let ChatState::Migrated { .. } = state {
        return Err(MethodError::bad_request("a group is upgraded by POST …/migrate"));
    }
    shared.change(|world| world.chat_mut(id).map(|chat| chat.state = state))?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Migrate {
    to: i64,
}

async fn migrate(State(shared): State<Arc<Shared>>, Path(id): Path<i64>, Json(Migrate { to }): Json<Migrate>) -> Answer {
    shared.change(|world| world.migrate(id, to))?;
    Ok(Json(json!({})))
}

async fn remove_topic(State(shared): State<Arc<Shared>>, Path((id, topic)): Path<(i64, i64)>) -> Answer {
    let gone = shared.change(|world| world.chat_mut(id).map(|chat| chat.topics.remove(&topic)))?;
    gone.map(|_| Json(json!({}))).ok_or_else(|| MethodError::bad_request("message thread not found"))
}

async fn set_limits(State(shared): State<Arc<Shared>>, Json(limits): Json<TelegramLimits>) -> StatusCode {
    shared.change(|world| world.limits = limits);
    StatusCode::NO_CONTENT
}

async fn file(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<impl IntoResponse, MethodError> {
    let file = shared.look(|world| world.file(&id).cloned()).ok_or_else(|| MethodError::not_found(""))?;
    let kind = match &file[..] {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        _ => "application/octet-stream",
    };
    Ok(([(CONTENT_TYPE, kind)], file))
}
