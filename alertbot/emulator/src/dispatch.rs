//! This module handles one call: authentication, rate limits, injected faults, the method, and the transcript.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, Response, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    FaultKind, Shared,
    limits::Scope,
    methods::{self, Method, Poll},
    parameters::CallParameters,
    reply::{Cut, MethodError, MethodResult},
    world::{RecordedCall, World},
};

pub async fn answer_call(shared: &Shared, token: Option<&str>, name: &str, request: Request<Body>) -> Response<Body> {
    // The path does not begin with `/bot`.
    let Some(token) = token else { return response(Err(MethodError::not_found(""))) };
    let parameters = match CallParameters::read(request).await {
        Ok(parameters) => parameters,
        Err(refusal) => return response(Err(refusal)),
    };
    let Some(bot) = shared.look(|world| world.bot_with(token)) else { return response(Err(MethodError::unauthorized())) };
    let name = name.to_ascii_lowercase();
    let met = shared.change(|world| Arrival::new(world, bot, &name, &parameters));
    met.answer(shared, methods::MethodCall { bot, parameters: &parameters }).await
}

pub fn download(shared: &Shared, token: Option<&str>, path: &str) -> Response<Body> {
    let known = |world: &World| world.bot_with(token?).and_then(|_| world.file(path).cloned());
    match shared.look(known) {
        Some(content) => content.into_response(),
        None => response(Err(MethodError::not_found(""))),
    }
}

/// A call with the decisions made at its arrival.
struct Arrival {
    call: RecordedCall,
    method: Result<&'static Method, MethodError>,
    fault: Option<FaultKind>,
    /// Rejected before all else, because it arrived inside a `retry_after`.
    refused: Option<MethodError>,
}

impl Arrival {
    fn new(world: &mut World, bot: usize, name: &str, parameters: &CallParameters) -> Self {
        let (now, id) = (world.now(), world.bots[bot].id);
        let method = methods::find(name);
        let chat = methods::named_chat(parameters);
        let known = method.as_ref().map_or(&[][..], |method| method.parameters);
        let unknown = parameters.names().into_iter().filter(|given| !known.contains(given)).map(str::to_owned).collect();
        let window = world.usage.window(&scope(id, name, chat), now);
        let refused = window.map(|(_, end)| MethodError::too_many_requests(whole_seconds(end.saturating_sub(now))));
        let fault = if refused.is_some() { None } else { world.faults.befall(id, name, chat, now) };
        let call = RecordedCall {
            number: world.number(),
            at_milliseconds: milliseconds(now),
            bot: id,
            method: name.to_owned(),
            chat,
            parameters: parameters.told(),
            unknown,
            code: 0,
            description: None,
            retry_after: None,
            message: None,
            fault: fault.as_ref().map(|fault| fault.name().to_owned()),
            acted: false,
            inside_window: window.map(|(begun, _)| milliseconds(now.saturating_sub(begun))),
        };
        Self { call, method, fault, refused }
    }

    async fn answer(mut self, shared: &Shared, call: methods::MethodCall<'_>) -> Response<Body> {
        if let Some(FaultKind::Slow { milliseconds }) = self.fault {
            sleep(Duration::from_millis(milliseconds)).await;
        }
        let reply = self.reply(shared, call).await;
        if let Some(FaultKind::SlowAnswer { milliseconds }) = self.fault {
            sleep(Duration::from_millis(milliseconds)).await;
        }
        let cut = matches!(self.fault, Some(FaultKind::AnswerLost | FaultKind::Broken));
        let mut response = response(reply);
        if cut {
            response.extensions_mut().insert(Cut);
        }
        response
    }

    async fn reply(&mut self, shared: &Shared, call: methods::MethodCall<'_>) -> MethodResult {
        if self.call.method == "getupdates" && self.refused.is_none() && self.prevented().is_none() {
            let reply = poll(shared, call).await;
            // Empty polls would hide the other calls.
            if reply != Ok(json!([])) {
                shared.change(|world| self.record(world, &reply));
            }
            return reply;
        }
        shared.change(|world| {
            let reply = self.act(world, call);
            self.record(world, &reply);
            reply
        })
    }

    /// The answer of the fault, if it has one.
    fn prevented(&self) -> Option<MethodError> {
        match self.fault {
            Some(FaultKind::TooManyRequests { retry_after }) => Some(MethodError::too_many_requests(retry_after.unwrap_or(1))),
            Some(FaultKind::ServerError { code }) => Some(MethodError::server(code)),
            Some(FaultKind::Broken) => Some(MethodError::server(503)),
            Some(FaultKind::Unparsable) => {
                Some(MethodError::bad_request("can't parse entities: Unsupported start tag \"emulated\" at byte offset 0"))
            }
            _ => None,
        }
    }

    fn act(&mut self, world: &mut World, call: methods::MethodCall<'_>) -> MethodResult {
        if let Some(refusal) = self.refused.clone().or_else(|| self.prevented()) {
            return Err(refusal);
        }
        let method = self.method.clone()?;
        if method.counted
            && let Some(id) = self.call.chat
            && let Some(chat) = world.chats.get(&id)
        {
            let (limits, now, is_group) = (world.limits, world.now(), chat.kind.is_group());
            world
                .usage
                .take(&limits, self.call.bot, id, is_group, now)
                .map_err(|wait| MethodError::too_many_requests(whole_seconds(wait)))?;
        }
        let result = (method.run)(world, call)?;
        self.call.acted = true;
        Ok(result)
    }

    fn record(&mut self, world: &mut World, reply: &MethodResult) {
        match reply {
            Ok(result) => {
                self.call.code = 200;
                self.call.message = result.get("message_id").and_then(Value::as_i64);
            }
            Err(refusal) => {
                self.call.code = refusal.code;
                self.call.description = Some(refusal.description.clone());
                self.call.retry_after = refusal.retry_after;
            }
        }
        // A call inside a window does not extend it.
        if let Some(seconds) = self.call.retry_after.filter(|_| self.refused.is_none()) {
            let now = world.now();
            world.usage.silence(scope(self.call.bot, &self.call.method, self.call.chat), seconds, now);
        }
        world.record(self.call.clone());
    }
}

async fn poll(shared: &Shared, call: methods::MethodCall<'_>) -> MethodResult {
    let mut changes = shared.version.subscribe();
    let (timeout, number) = shared.change(|world| methods::begin_poll(world, call))?;
    let end = Instant::now() + timeout;
    loop {
        changes.borrow_and_update();
        let last = Instant::now() >= end;
        match shared.change_quietly(|world| methods::poll(world, call, number, last)) {
            Poll::Answer(reply) => return reply,
            // One last check at the deadline.
            Poll::Wait => drop(timeout_at(end, changes.changed()).await),
        }
    }
}

fn scope(bot: i64, method: &str, chat: Option<i64>) -> Scope {
    chat.map_or_else(|| Scope::Method(bot, method.to_owned()), |chat| Scope::Chat(bot, chat))
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn response(reply: MethodResult) -> Response<Body> {
    let (code, body) = match reply {
        Ok(result) => (200, json!({"ok": true, "result": result})),
        // A gateway in front of Telegram does not answer in JSON.
        Err(refusal @ MethodError { code: 502..=504, .. }) => {
            let status = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::BAD_GATEWAY);
            let page = format!("<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>", refusal.description);
            return (status, [(CONTENT_TYPE, "text/html")], page).into_response();
        }
        Err(refusal) => (refusal.code, refusal.body()),
    };
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
