//! This module serves market streams: which streams a connection listens to. It must not produce an event.

use super::connection::{CloseReason, Serve, Session, Socket, serve_session};
use super::control::{self, Control, ControlFault, ControlMethod, Id};
use crate::http::App;
use crate::http::edge::raw_now;
use crate::http::error::ApiError;
use crate::http::listen_key::{self, OpenListenKey, is_listen_key};
use crate::http::parameters::Parameters;
use crate::json::{Json, TimeUnit};
use crate::streams::name::Topic;
use crate::streams::outlet::Outlet;
use crate::streams::{AccountForm, Hub, market, text};
use axum::extract::Request;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

/// Streams of one connection.
pub const STREAMS_MAX: usize = 1024;

const TOO_MANY: &str = "Invalid request: a connection can listen to a maximum of 1024 streams";
const INVALID_STREAM: &str = "Invalid request: invalid stream";
const COMBINED: &str = "combined";

/// The market streams of one connection.
struct Market {
    app: Arc<App>,
    hub: Hub,
    outlet: Arc<Outlet>,
    streams: BTreeMap<Arc<str>, Topic>,
    /// Streams of an account, by listen key.
    accounts: BTreeMap<Arc<str>, OpenListenKey>,
}

/// Reads path and query: the streams of the connection's start.
///
/// # Errors
///
/// Returns 400 for an unknown stream, a repeated parameter or too many streams; 503 while the state is not current.
pub fn open_market_session(app: &Arc<App>, request: &Request) -> Result<Box<dyn Serve>, ApiError> {
    let uri = request.uri();
    let parameters = Parameters::read(uri.query().unwrap_or_default().as_bytes(), b"")?;
    let unit = match parameters.text("timeUnit")? {
        None => TimeUnit::Millisecond,
        Some(unit) => TimeUnit::from_text(unit.as_bytes()).ok_or(ApiError::TIME_UNIT)?,
    };
    let path = percent_decode_str(uri.path()).decode_utf8().map_err(|_| ApiError::ILLEGAL)?;
    let raw = path.strip_prefix("/stream/ws").or_else(|| path.strip_prefix("/ws"));
    let (combined, names) = match raw {
        Some(names) => (false, names.trim_start_matches('/')),
        None => (true, parameters.text("streams")?.unwrap_or_default()),
    };
    if !app.streams.is_current() {
        return Err(ApiError::unavailable("streams start when this server has read the journal"));
    }
    let mut session = Market {
        app: Arc::clone(app),
        hub: app.streams.clone(),
        outlet: Arc::new(Outlet::new(unit, combined)),
        streams: BTreeMap::new(),
        accounts: BTreeMap::new(),
    };
    // A raw path without `@` or `!`, such as `/ws/0`, only labels the connection.
    let is_name = |name: &&str| combined || name.contains(['@', '!']) || is_listen_key(name);
    // In a query `+` means a space, and clients do not escape the zone of `kline_1d@+08:00`. No name has a space.
    let names = names.replace("@ ", "@+");
    let names = names.split('/').filter(is_name).filter(|name| !name.is_empty());
    session.subscribe(names.collect()).map_err(|fault| match fault {
        Refused::Stream(name) => ApiError::invalid_stream(&name),
        Refused::TooMany => ApiError::TOO_MANY_STREAMS,
    })?;
    Ok(Box::new(session))
}

enum Refused {
    Stream(String),
    TooMany,
}

impl Serve for Market {
    fn serve(mut self: Box<Self>, socket: Socket, shutdown: CancellationToken) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let metrics = self.hub.metrics().clone();
            serve_session(socket, &mut *self, &metrics, shutdown).await;
        })
    }
}

impl Session for Market {
    const KIND: &'static str = "market";
    const LIMITS_TEXT: bool = true;

    fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    fn text(&mut self, message: Utf8Bytes) -> Result<(), CloseReason> {
        let reply = match control::read_control(&message).and_then(|control| self.act(&control)) {
            Ok(reply) => reply,
            Err(fault) => control::refusal(&fault),
        };
        self.outlet.push(reply, Instant::now());
        Ok(())
    }

    async fn progress(&mut self) {
        std::future::pending().await
    }

    fn has_room(&self) -> bool {
        true
    }

    fn check(&mut self) {
        self.end_listen_keys();
    }

    fn shutdown(&mut self) {
        let mut json = Json::with_capacity(96);
        if self.outlet.is_combined() {
            json.object(|json| {
                json.key("stream").text("!serverShutdown");
                market::server_shutdown(json.key("data"), self.outlet.unit, raw_now());
            });
        } else {
            market::server_shutdown(&mut json, self.outlet.unit, raw_now());
        }
        self.outlet.push(text(json.into_bytes()), Instant::now());
    }

    fn end(&mut self) {
        for (name, topic) in std::mem::take(&mut self.streams) {
            self.hub.unsubscribe(&self.outlet, topic, &name);
        }
        for (name, opened) in std::mem::take(&mut self.accounts) {
            self.unsubscribe_account(name, &opened, None);
        }
    }
}

impl Drop for Market {
    /// A handshake that did not complete, or a task that ended early.
    fn drop(&mut self) {
        Session::end(self);
    }
}

impl Market {
    fn act(&mut self, control: &Control) -> Result<Utf8Bytes, ControlFault> {
        let Control { method, parameters, id } = control;
        match method {
            ControlMethod::Subscribe => {
                self.subscribe(names(parameters, id)?).map_err(|fault| match fault {
                    Refused::Stream(_) => ControlFault::request(INVALID_STREAM, id),
                    Refused::TooMany => ControlFault::request(TOO_MANY, id),
                })?;
                Ok(control::reply(id, Json::null))
            }
            ControlMethod::Unsubscribe => {
                for name in names(parameters, id)? {
                    if let Some((name, topic)) = self.streams.remove_entry(name) {
                        self.hub.unsubscribe(&self.outlet, topic, &name);
                    } else if let Some((name, opened)) = self.accounts.remove_entry(name) {
                        self.unsubscribe_account(name, &opened, None);
                    }
                }
                Ok(control::reply(id, Json::null))
            }
            ControlMethod::ListSubscriptions => {
                at_most(parameters, 0, id)?;
                let names = self.streams.keys().chain(self.accounts.keys());
                Ok(control::reply(id, |json| json.array(names, |json, name| json.text(name))))
            }
            ControlMethod::SetProperty => {
                at_most(parameters, 2, id)?;
                property(parameters, id)?;
                let Some(Value::Bool(combined)) = parameters.get(1) else {
                    let text = "Invalid value type: expected Boolean".into();
                    return Err(ControlFault { code: 1, text, id: Some(id.clone()) });
                };
                self.outlet.set_combined(*combined);
                Ok(control::reply(id, Json::null))
            }
            ControlMethod::GetProperty => {
                at_most(parameters, 1, id)?;
                property(parameters, id)?;
                Ok(control::reply(id, |json| json.boolean(self.outlet.is_combined())))
            }
        }
    }

    /// All of them, or none if one is refused.
    fn subscribe(&mut self, names: Vec<&str>) -> Result<(), Refused> {
        let (keys, names): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| is_listen_key(name));
        let topics = self.hub.parse(names.iter().copied()).map_err(|(name, _)| Refused::Stream(name.to_owned()))?;
        let opened = keys.into_iter().map(|key| {
            listen_key::open_listen_key(&self.app, key).map(|opened| (key, opened)).ok_or_else(|| Refused::Stream(key.to_owned()))
        });
        let mut opened: BTreeMap<&str, OpenListenKey> = opened.collect::<Result<_, _>>()?;
        let mut fresh: BTreeMap<&str, Topic> = names.into_iter().zip(topics).collect();
        fresh.retain(|name, _| !self.streams.contains_key(*name));
        opened.retain(|name, _| !self.accounts.contains_key(*name));
        if self.streams.len() + self.accounts.len() + fresh.len() + opened.len() > STREAMS_MAX {
            return Err(Refused::TooMany);
        }
        for (name, topic) in fresh {
            let name: Arc<str> = name.into();
            self.hub.subscribe(&self.outlet, topic, Arc::clone(&name));
            self.streams.insert(name, topic);
        }
        for (name, opened) in opened {
            let name: Arc<str> = name.into();
            let form = AccountForm::ListenKey(Arc::clone(&name));
            self.hub.subscribe_account(&self.outlet, opened.key.account, form, None);
            self.accounts.insert(name, opened);
        }
        Ok(())
    }

    /// Ends the streams whose listen key is no longer valid.
    fn end_listen_keys(&mut self) {
        let ended: Vec<Arc<str>> =
            self.accounts.keys().filter(|key| listen_key::open_listen_key(&self.app, key).is_none()).map(Arc::clone).collect();
        for name in ended {
            let Some(opened) = self.accounts.remove(&name) else { continue };
            let mut json = Json::with_capacity(160);
            json.object(|json| {
                json.key("e").text("listenKeyExpired");
                json.key("E").integer(self.outlet.unit.show(raw_now()));
                json.key("listenKey").text(&name);
            });
            let last = text(json.into_bytes());
            self.unsubscribe_account(name, &opened, Some(last));
        }
    }

    fn unsubscribe_account(&self, name: Arc<str>, opened: &OpenListenKey, last: Option<Utf8Bytes>) {
        self.hub.unsubscribe_account(&self.outlet, opened.key.account, &AccountForm::ListenKey(name), last);
    }
}

fn names<'p>(parameters: &'p [Value], id: &Id) -> Result<Vec<&'p str>, ControlFault> {
    if parameters.is_empty() {
        return Err(ControlFault::request("Invalid request: missing field `params`", id));
    }
    parameters.iter().map(|name| name.as_str().ok_or_else(|| ControlFault::request(INVALID_STREAM, id))).collect()
}

fn at_most(parameters: &[Value], count: usize, id: &Id) -> Result<(), ControlFault> {
    if parameters.len() > count { Err(ControlFault::request("Invalid request: too many parameters", id)) } else { Ok(()) }
}

fn property(parameters: &[Value], id: &Id) -> Result<(), ControlFault> {
    match parameters.first() {
        Some(Value::String(name)) if name == COMBINED => Ok(()),
        Some(Value::String(_)) => Err(ControlFault { code: 0, text: "Unknown property".into(), id: Some(id.clone()) }),
        _ => Err(ControlFault::request("Invalid request: property name must be a string", id)),
    }
}
