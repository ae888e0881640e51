//! This module is the WebSocket API of one connection: requests in, replies and account events out. Endpoints are those of the REST
//! API; this module must not answer their requests itself.
//!
//! - Requests of one connection run concurrently and start in the order of arrival.
//! - A session's key is checked again at every request, and each second while its subscriptions are active.

mod methods;
mod reply;
mod request;
mod session;

pub use methods::{METHODS, SESSION_METHODS};

use super::connection::{CloseReason, Serve, Session, Socket, serve_session};
use crate::http::App;
use crate::http::auth::{self, SignatureProof, Signed};
use crate::http::edge::{self, raw_now};
use crate::http::endpoint::{Call, Endpoint, EndpointResult, EndpointWeight, Reply, Security};
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::json::{Json, TimeUnit};
use crate::streams::outlet::Outlet;
use crate::streams::{market, text};
use axum::extract::Request as Handshake;
use axum::http::StatusCode;
use exchange_core::money::Time;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use methods::MethodAction;
use reply::Used;
use request::{MalformedRequest, WebSocketRequest};
use session::{Accounts, Logon};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Requests of one connection in progress; further ones are not read.
const RUNNING_MAX: usize = 1024;
/// Weight of the methods that act on the session.
const SESSION_WEIGHT: u32 = 2;

type RunningRequest = Pin<Box<dyn Future<Output = Utf8Bytes> + Send>>;

/// One connection.
struct Api {
    app: Arc<App>,
    outlet: Arc<Outlet>,
    address: IpAddr,
    connected: Time,
    shows_limits: bool,
    logon: Option<Logon>,
    accounts: Accounts,
    running: FuturesUnordered<RunningRequest>,
}

/// # Errors
///
/// Returns 400 for a wrong parameter of the URL, 503 while the state is not current.
pub fn open_api_session(app: &Arc<App>, request: &Handshake) -> Result<Box<dyn Serve>, ApiError> {
    let parameters = Parameters::read(request.uri().query().unwrap_or_default().as_bytes(), b"")?;
    let unit = match parameters.text("timeUnit")? {
        None => TimeUnit::Millisecond,
        Some(unit) => TimeUnit::from_text(unit.as_bytes()).ok_or(ApiError::TIME_UNIT)?,
    };
    let shows_limits = parameters.boolean("returnRateLimits")?.unwrap_or(true);
    if !app.streams.is_current() {
        return Err(ApiError::unavailable("the WebSocket API starts when this server has read the journal"));
    }
    let outlet = Arc::new(Outlet::new(unit, false));
    Ok(Box::new(Api {
        app: Arc::clone(app),
        accounts: Accounts::new(app.streams.clone(), Arc::clone(&outlet)),
        outlet,
        address: edge::address_of(app, request),
        connected: raw_now(),
        shows_limits,
        logon: None,
        running: FuturesUnordered::new(),
    }))
}

impl Serve for Api {
    fn serve(mut self: Box<Self>, socket: Socket, shutdown: CancellationToken) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let metrics = self.app.streams.metrics().clone();
            serve_session(socket, &mut *self, &metrics, shutdown).await;
        })
    }
}

impl Session for Api {
    const KIND: &'static str = "api";
    const LIMITS_TEXT: bool = false;

    fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    fn text(&mut self, message: Utf8Bytes) -> Result<(), CloseReason> {
        let status = match request::read_request(&message) {
            Ok(request) => self.handle(request),
            Err(MalformedRequest { id, error }) => {
                let (weight, refused) = self.charge(edge::WEIGHT_OF_A_FAULT);
                let error = refused.err().unwrap_or(error);
                self.answer("unknown", &id, Err(error), Used { weight, orders: None, shown: self.shows_limits }, None)
            }
        };
        // A banned address is disconnected.
        if status == Some(StatusCode::IM_A_TEAPOT) { Err(CloseReason::BANNED) } else { Ok(()) }
    }

    async fn progress(&mut self) {
        match self.running.next().await {
            Some(reply) => self.outlet.push(reply, Instant::now()),
            None => return std::future::pending().await,
        }
        while let Some(Some(reply)) = self.running.next().now_or_never() {
            self.outlet.push(reply, Instant::now());
        }
    }

    fn has_room(&self) -> bool {
        self.running.len() < RUNNING_MAX
    }

    fn check(&mut self) {
        let (keys, address) = (&self.app.keys, self.address);
        self.accounts.end_revoked(|api_key| keys.get(api_key).is_some_and(|key| key.permissions.read && key.allows(address)));
    }

    fn shutdown(&mut self) {
        let mut json = Json::with_capacity(96);
        json.object(|json| market::server_shutdown(json.key("event"), self.outlet.unit, raw_now()));
        self.outlet.push(text(json.into_bytes()), Instant::now());
    }

    fn end(&mut self) {
        self.accounts.end_all();
    }
}

impl Drop for Api {
    /// A handshake that did not complete, or a task that ended early.
    fn drop(&mut self) {
        self.accounts.end_all();
    }
}

impl Api {
    /// Starts a request. Returns the status if it is answered already.
    fn handle(&mut self, request: WebSocketRequest) -> Option<StatusCode> {
        let WebSocketRequest { id, method, mut parameters } = request;
        let received = self.app.engine.clock().time();
        let found = methods::find_method(&method);
        let (label, action) = found.unwrap_or(("unknown", MethodAction::Unsupported));
        let payload = parameters.sorted_without("signature");
        let shown = match parameters.boolean("returnRateLimits") {
            Ok(shown) => shown.unwrap_or(self.shows_limits),
            Err(error) => {
                let (weight, _) = self.charge(edge::WEIGHT_OF_A_FAULT);
                return self.answer(label, &id, Err(error), Used { weight, orders: None, shown: self.shows_limits }, None);
            }
        };
        parameters.remove("returnRateLimits");
        let weight = match action {
            MethodAction::Endpoint { endpoint, .. } => match endpoint.weight {
                EndpointWeight::Fixed(weight) => weight,
                EndpointWeight::Of(weigh) => weigh(&parameters),
            },
            MethodAction::Unsupported => edge::WEIGHT_OF_A_FAULT,
            _ => SESSION_WEIGHT,
        };
        let (weight, charged) = self.charge(weight);
        let used = Used { weight, orders: None, shown };
        if let Err(error) = charged {
            return self.answer(label, &id, Err(error), used, None);
        }
        let signed = Signing { payload: &payload, received };
        match action {
            MethodAction::Endpoint { endpoint, counts_orders } => {
                self.start(endpoint, counts_orders, Started { label, id, parameters, used, signed })
            }
            MethodAction::Unsupported => self.answer(label, &id, Err(ApiError::UNSUPPORTED), used, Some(received)),
            action => {
                let answer = self.act(action, &parameters, &signed, &id, used);
                answer.and_then(|answer| self.answer(label, &id, answer, used, Some(received)))
            }
        }
    }

    /// Authenticates a request and starts its endpoint.
    fn start(&mut self, endpoint: &'static Endpoint, counts_orders: bool, started: Started<'_>) -> Option<StatusCode> {
        let Started { label, id, mut parameters, mut used, signed } = started;
        let received = signed.received;
        let authenticated = match endpoint.security {
            Security::None => Ok(None),
            security => self.authenticate(security, &parameters, &signed).map(Some),
        };
        parameters.remove("apiKey");
        let signed = match authenticated.and_then(|signed| edge::check_names(endpoint, &parameters).map(|()| signed)) {
            Ok(signed) => signed,
            Err(error) => return self.answer(label, &id, Err(error), used, Some(received)),
        };
        let account = signed.map(|signed| signed.account);
        used.orders = account.filter(|_| counts_orders);
        let call = Call {
            parameters,
            time_unit: self.outlet.unit,
            received,
            valid_until: signed.map(|signed| signed.valid_until),
            account,
            api_key: None,
        };
        let app = Arc::clone(&self.app);
        let begun = Instant::now();
        // At the highest level, as the span of an HTTP request.
        let span = tracing::error_span!("ws-api", otel.name = label, otel.kind = "server", rpc.method = label);
        let answering = async move {
            let answer = edge::bounded(edge::perform_call(&app, endpoint, &call)).await;
            let (status, reply) = reply::reply_of(&app, &id, answer, used);
            count(&app, label, status, begun);
            if status.is_server_error() {
                service_kit::trace::failed("server", format!("answered with status {}", status.as_u16()));
            }
            reply
        };
        self.running.push(Box::pin(answering.instrument(span)));
        None
    }

    /// The account of a signed request: by its own key, or by the session's.
    fn authenticate(&self, security: Security, parameters: &Parameters<'_>, signed: &Signing<'_>) -> Result<Signed, ApiError> {
        let app = &self.app;
        let verified = match (parameters.text("apiKey")?, &self.logon) {
            (Some(_), _) => self.verify(security, parameters, signed).map(|(_, signed)| signed),
            (None, Some(logon)) => {
                auth::in_session(&app.keys, security, &logon.api_key, self.address, parameters, signed.received)
            }
            (None, None) => return Err(ApiError::mandatory("apiKey")),
        };
        verified.inspect_err(|error| edge::count_auth_failure(app, error))
    }

    fn verify(
        &self,
        security: Security,
        parameters: &Parameters<'_>,
        signed: &Signing<'_>,
    ) -> Result<(Arc<crate::http::keys::Key>, Signed), ApiError> {
        let proof = SignatureProof {
            api_key: parameters.mandatory("apiKey")?,
            payload: &[signed.payload.as_bytes()],
            parameters,
            address: self.address,
            received: signed.received,
        };
        auth::verify(&self.app.keys, security, &proof)
    }

    /// A method that acts on the session. `None`: it has sent its reply.
    fn act(
        &mut self,
        action: MethodAction,
        parameters: &Parameters<'_>,
        signed: &Signing<'_>,
        id: &str,
        used: Used,
    ) -> Option<EndpointResult> {
        const SIGNED: &[&str] = &["apiKey", "timestamp", "recvWindow", "signature"];
        let names = match action {
            MethodAction::Logon | MethodAction::SubscribeSignature => SIGNED,
            MethodAction::Unsubscribe => &["subscriptionId"],
            _ => &[],
        };
        if parameters.count_known(names) != parameters.len() {
            return Some(Err(ApiError::too_many(names.len(), parameters.len())));
        }
        let answer = match action {
            MethodAction::Logon => self.log_on(parameters, signed),
            MethodAction::Logout => {
                self.accounts.end_logon(raw_now());
                self.logon = None;
                Ok(self.status())
            }
            MethodAction::Status => Ok(self.status()),
            MethodAction::Subscriptions => Ok(self.accounts.list()),
            MethodAction::Unsubscribe => self.accounts.unsubscribe(parameters, raw_now()),
            MethodAction::Subscribe => match &self.logon {
                Some(logon) if self.app.keys.get(&logon.api_key).is_some() => {
                    let (account, api_key) = (logon.account, logon.api_key.clone());
                    return self.subscribe(account, api_key, true, id, used).err().map(Err);
                }
                Some(_) => Err(ApiError::KEY_REJECTED),
                None => Err(ApiError::NOT_AUTHORIZED),
            },
            MethodAction::SubscribeSignature => match self.verify(Security::UserStream, parameters, signed) {
                Ok((key, _)) => {
                    let api_key = parameters.raw("apiKey").unwrap_or_default().into();
                    return self.subscribe(key.account, api_key, false, id, used).err().map(Err);
                }
                Err(error) => Err(error),
            },
            MethodAction::Endpoint { .. } | MethodAction::Unsupported => Err(ApiError::UNSUPPORTED),
        };
        Some(answer.inspect_err(|error| {
            if matches!(action, MethodAction::Logon | MethodAction::SubscribeSignature) {
                edge::count_auth_failure(&self.app, error);
            }
        }))
    }

    fn log_on(&mut self, parameters: &Parameters<'_>, signed: &Signing<'_>) -> EndpointResult {
        let (key, _) = self.verify(Security::None, parameters, signed)?;
        if !key.verifier.is_ed25519() {
            return Err(ApiError::HMAC_SESSION);
        }
        let api_key = parameters.mandatory("apiKey")?.into();
        self.logon = Some(Logon { api_key, account: key.account, since: signed.received });
        Ok(self.status())
    }

    /// Sends the reply first: no event of the subscription precedes it.
    fn subscribe(&mut self, account: u32, api_key: Box<str>, by_logon: bool, id: &str, used: Used) -> Result<(), ApiError> {
        let subscription = self.accounts.next(account)?;
        let body = Reply::written(32, |json| json.object(|json| json.key("subscriptionId").integer(subscription)));
        let (status, reply) = reply::reply_of(&self.app, id, Ok(body), used);
        let label = if by_logon { "userDataStream.subscribe" } else { "userDataStream.subscribe.signature" };
        count(&self.app, label, status, Instant::now());
        self.accounts.subscribe(subscription, account, api_key, by_logon, reply);
        Ok(())
    }

    fn status(&self) -> Reply {
        let unit = self.outlet.unit;
        Reply::written(256, |json| {
            json.object(|json| {
                match &self.logon {
                    Some(logon) => {
                        json.key("apiKey").text(&logon.api_key);
                        json.key("authorizedSince").integer(unit.show(logon.since));
                    }
                    None => {
                        json.key("apiKey").null();
                        json.key("authorizedSince").null();
                    }
                }
                json.key("connectedSince").integer(unit.show(self.connected));
                json.key("returnRateLimits").boolean(self.shows_limits);
                json.key("serverTime").integer(unit.show(self.app.engine.clock().time()));
                json.key("userDataStream").boolean(self.accounts.any());
            });
        })
    }

    fn charge(&self, weight: u32) -> (u32, Result<(), ApiError>) {
        let mut used = 0;
        let charged = edge::charge(&self.app, self.address, weight, &mut used);
        (used, charged)
    }

    fn answer(&self, label: &str, id: &str, answer: EndpointResult, used: Used, received: Option<Time>) -> Option<StatusCode> {
        let (status, reply) = reply::reply_of(&self.app, id, answer, used);
        let elapsed = received.map_or(0, |received| self.app.engine.clock().time().saturating_sub(received));
        self.app.streams.metrics().requests.with_label_values(&[label, status.as_str()]).inc();
        self.app.streams.metrics().duration.observe(elapsed as f64 / 1e6);
        self.outlet.push(reply, Instant::now());
        Some(status)
    }
}

fn count(app: &App, label: &str, status: StatusCode, begun: Instant) {
    let metrics = app.streams.metrics();
    metrics.requests.with_label_values(&[label, status.as_str()]).inc();
    metrics.duration.observe(begun.elapsed().as_secs_f64());
}

/// The text that a request's signature covers, and when it arrived.
struct Signing<'a> {
    payload: &'a str,
    received: Time,
}

/// A request whose weight is charged.
struct Started<'a> {
    label: &'static str,
    id: Box<str>,
    parameters: Parameters<'static>,
    used: Used,
    signed: Signing<'a>,
}
