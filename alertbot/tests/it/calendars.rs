//! Calendars that the running bot requests over HTTP: whatever the server answers, someone is on duty.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use futures::stream;
use telegram_emulator::{Emulator, Seed};
use tokio::net::TcpListener;

use crate::bot::{ADA, BEHRANG, Bot, OPERATIONS, Settings, until};

/// Ways in which a request for a calendar fails; each is a schedule and a path.
const FAULTS: [&str; 8] = ["missing", "denied", "large", "slow", "page", "broken", "binary", "loop"];
/// Larger than any calendar that is read.
const LARGE: usize = 5 << 20;

#[derive(Clone, Default)]
struct Server {
    /// Whether every path answers the second calendar; before that, the first.
    changed: Arc<AtomicBool>,
    faulty: Arc<AtomicBool>,
    /// Header `Referer` of the requests that followed a redirect.
    referrers: Arc<Mutex<Vec<Option<String>>>>,
}

fn calendar(person: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260101T000000Z\r\nDTEND:20960101T000000Z\r\n\
         SUMMARY:{person}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

impl Server {
    fn content(&self) -> String {
        calendar(if self.changed.load(Ordering::Relaxed) { "behrang" } else { "ada" })
    }

    /// One path that always redirects, and others that are right or wrong by its state.
    fn answer(&self, path: &str) -> Response {
        let content = self.content();
        if !self.faulty.load(Ordering::Relaxed) {
            return content.into_response();
        }
        match path {
            "missing" => StatusCode::NOT_FOUND.into_response(),
            "denied" => (StatusCode::FORBIDDEN, content).into_response(),
            "large" => format!("{content}{}", " ".repeat(LARGE)).into_response(),
            // One byte a second, without an end.
            "slow" => Body::from_stream(stream::unfold((), async |()| {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b"B")), ()))
            }))
            .into_response(),
            "page" => ([(header::CONTENT_TYPE, "text/html")], "<html><body>Log in</body></html>").into_response(),
            "broken" => content[..content.len() / 2].to_owned().into_response(),
            "binary" => vec![0xff_u8; 100].into_response(),
            "loop" => Redirect::temporary("/loop/secret-of-the-calendar").into_response(),
            _ => content.into_response(),
        }
    }

    async fn start(&self) -> String {
        let by_name = async |State(server): State<Self>, Path((name, _)): Path<(String, String)>| server.answer(&name);
        let moved = async || Redirect::permanent("/elsewhere");
        let elsewhere = async |State(server): State<Self>, headers: HeaderMap| {
            let referer = headers.get(header::REFERER).map(|value| value.to_str().unwrap().to_owned());
            server.referrers.lock().unwrap().push(referer);
            server.content()
        };
        let routes = Router::new()
            .route("/moved/secret-of-the-calendar", get(moved))
            .route("/elsewhere", get(elsewhere))
            .route("/{name}/{secret}", get(by_name))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }
}

/// Schedules with one path each, and their addresses, which are secrets.
fn configure(settings: &mut Settings, url: &str) {
    let names = || FAULTS.into_iter().chain(["moved"]);
    let variable = |name: &str| format!("ALERTBOT_CALENDAR_{}", name.to_uppercase());
    let schedules: String = names()
        .map(|name| format!("  - {{name: {name}, calendar: {{url: \"${{{}}}\", refresh: 10s}}}}\n", variable(name)))
        .collect();
    settings.rest = format!(
        "people:
  - {{name: ada, telegram: {ADA}, role: admin}}
  - {{name: behrang, telegram: {BEHRANG}}}
schedules:
{schedules}routes:
  - {{name: all, chats: [operations]}}
"
    );
    settings.secrets = names().map(|name| (&*variable(name).leak(), format!("{url}/{name}/secret-of-the-calendar"))).collect();
}

/// Whether `person` is on duty in every schedule, according to the newest answer.
async fn is_on_duty(emulator: &Emulator, person: &str) -> bool {
    let before = emulator.messages(OPERATIONS).len();
    emulator.say(ADA, OPERATIONS, "/oncall").unwrap();
    let answered = || emulator.messages(OPERATIONS).len() > before + 1;
    until("/oncall is answered", async || answered()).await;
    let text = emulator.messages(OPERATIONS).last().unwrap().text.clone();
    text.lines().filter(|line| line.contains(person)).count() > FAULTS.len()
}

fn reads(schedule: &str, outcome: &str) -> String {
    format!("alertbot_calendar_reads_total{{outcome=\"{outcome}\",schedule=\"{schedule}\"}}")
}

async fn all_fail(bot: &Bot, emulator: &Emulator) {
    for name in FAULTS {
        until(&format!("{name} is noticed"), async || bot.metric(&reads(name, "failed")).await >= 1.0).await;
    }
    assert!(is_on_duty(emulator, "ada").await);
}

#[tokio::test]
async fn whatever_a_calendar_server_answers_the_last_valid_calendar_applies() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let server = Server::default();
    let url = server.start().await;
    let mut settings = Settings::new(&emulator, &folder);
    configure(&mut settings, &url);
    let bot = Bot::start(&settings).await;
    until("every calendar is read", async || is_on_duty(&emulator, "ada").await).await;

    // While it runs, and after a restart, each fault leaves the calendar as it was.
    server.faulty.store(true, Ordering::Relaxed);
    all_fail(&bot, &emulator).await;
    bot.stop().await;
    let bot = Bot::start(&settings).await;
    all_fail(&bot, &emulator).await;

    // A redirect is followed, and its target does not learn the address, which is a secret.
    let referrers = server.referrers.lock().unwrap().clone();
    assert!(!referrers.is_empty() && referrers.iter().all(Option::is_none), "{referrers:?}");

    server.changed.store(true, Ordering::Relaxed);
    server.faulty.store(false, Ordering::Relaxed);
    until("the changed calendars apply", async || is_on_duty(&emulator, "behrang").await).await;
    bot.stop().await;
}
