//! From a rule to a phone: Alertmanager, the alert bot, and the emulator that takes Telegram's place. Never: a rule.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use local_parts::{AlertmanagerOptions, AlertmanagerPlan, Folder, Launch, StopSignal};
use serde_json::{Value, json};

use super::{
    endpoints::{Alerts, BotEndpoint, ChatEndpoint, Endpoints},
    layout::{self, StackLayout, local},
    readiness::{Steps, answers, ready},
    supervisor::{Supervisor, write_private},
    traces,
    viewer::Viewer,
};

/// Where the bot's alerts arrive, and where those go that must not go through it: chats of the emulator's demonstration.
const OPERATIONS: &str = "Operations";
const WITHOUT_THE_BOT: &str = "When the bot is down";
/// Shorter than an operator would choose: a newcomer waits for the first message, and for the one that it is over.
const GROUP_WAIT: &str = "1s";
const GROUP_INTERVAL: &str = "5s";

/// The parts of this path.
pub struct Alerting {
    pub alertmanager: AlertmanagerPlan,
    pub emulator: Launch,
    pub alertbot: Launch,
    told: Alerts,
}

impl Alerting {
    pub fn prepare(layout: &StackLayout, prometheus: &str) -> Result<Self> {
        let ports = layout.ports;
        let [own, second] = bots_of(&demonstration()?)?;
        let world = demonstration()?;
        let chat = |title: &str| chat(&world, title);
        let webhook_token = hex::encode(rand::random::<[u8; 16]>());
        let telegram = format!("http://{}", local(ports.telegram));
        let webhook = format!("http://{}/webhook/main", local(ports.alertbot));
        let configuration = alertmanager_configuration(&[
            ("http://127.0.0.1:9095/webhook/main", webhook.clone()),
            ("credentials: webhook-token", format!("credentials: {webhook_token}")),
            ("https://api.telegram.org", telegram.clone()),
            ("second-bot-token", second.token.clone()),
            ("-1001000000003", chat(WITHOUT_THE_BOT)?.id.to_string()),
            ("group_wait: 10s", format!("group_wait: {GROUP_WAIT}")),
            ("group_interval: 1m", format!("group_interval: {GROUP_INTERVAL}")),
        ])?;
        let alertmanager = AlertmanagerPlan::prepare(
            &Folder::kept(layout.folder.join("alertmanager"))?,
            &AlertmanagerOptions { folder: None, port: Some(ports.alertmanager), configuration, peers: None },
        )?;

        let folder = Folder::kept(layout.folder.join("alertbot"))?;
        let people = people(&world)?;
        let viewer = Viewer::url(layout);
        let calendar = folder.path().join("reports.ics");
        fs::write(&calendar, calendar_of(&people)?).with_context(|| format!("writing {}", calendar.display()))?;
        let settings = json!({
            "listen": local(ports.alertbot),
            "admin_listen": local(ports.alertbot_admin),
            "store": {"path": folder.path().join("alertbot.db")},
            "alertmanagers": [{
                "name": "main",
                "webhook_credentials": [{"bearer": "${ALERTBOT_WEBHOOK_TOKEN}"}],
                "urls": [alertmanager.url],
                "prometheus": prometheus,
                "watchdog": {"within": "5m"},
            }],
            "links": {"runbooks": viewer, "dashboards": viewer, "logs": viewer},
            "bots": [{"name": "main", "token": "${ALERTBOT_TELEGRAM_TOKEN}", "api_url": telegram}],
            "chats": [{"name": "operations", "id": chat(OPERATIONS)?.id}],
            "people": people.iter().enumerate().map(|(place, person)| json!({
                "name": person.name, "telegram": person.id, "role": if place == 0 { "admin" } else { "responder" },
            })).collect::<Vec<_>>(),
            "schedules": [{
                "name": "primary",
                "layers": [{
                    "people": people.iter().map(|person| &person.name).collect::<Vec<_>>(),
                    "starts": "2026-01-05T09:00", "turn": "1d",
                }],
                "handover_chats": ["operations"],
            }, {
                // Of the people who read the daily reports: a calendar, as other programs write them.
                "name": "reports",
                "calendar": {"file": calendar, "refresh": "10s"},
                "handover_notice": false,
            }],
            "escalations": [{
                "name": "critical",
                "steps": [
                    {"after": "1m", "on_call": ["primary"], "by": ["telegram"]},
                    {"after": "1m", "next_on_call": ["primary"], "by": ["telegram"]},
                ],
            }],
            "routes": [
                {"name": "critical", "match": ["severity=\"critical\""], "chats": ["operations"], "escalation": "critical", "picture": true},
                {"name": "everything", "chats": ["operations"]},
            ],
        });
        let file = folder.path().join("alertbot.yaml");
        write_private(&file, &serde_yaml_ng::to_string(&settings).context("writing the alert bot's configuration")?)?;
        let environment = [("ALERTBOT_WEBHOOK_TOKEN", &webhook_token), ("ALERTBOT_TELEGRAM_TOKEN", &own.token)]
            .map(|(name, value)| (name.to_owned(), value.clone()));
        let alertbot = Launch::new(
            "alertbot",
            layout::program("alertbot")?,
            ["serve".into(), "--config".into(), file.into_os_string()],
            environment.into(),
            StopSignal::Terminate,
        );
        let alertbot = traces::exporting(alertbot, layout);
        let emulator = Launch::new(
            "telegram",
            layout::program("telegram-emulator")?,
            ["--listen".to_owned(), local(ports.telegram)],
            Vec::new(),
            StopSignal::Terminate,
        );
        let chats = [OPERATIONS, WITHOUT_THE_BOT].into_iter().map(chat).collect::<Result<_>>()?;
        let told = Alerts { webhook_url: webhook, webhook_token, bots: vec![own, second], chats, people, pids: Vec::new() };
        Ok(Self { alertmanager, emulator, alertbot, told })
    }

    /// In the order of their start.
    pub fn launches(&self) -> [Launch; 3] {
        [&self.emulator, &self.alertmanager.launch, &self.alertbot].map(Clone::clone)
    }

    /// Returns when an alert would arrive in the chat.
    pub async fn start(
        &self,
        layout: &StackLayout,
        supervisor: &Supervisor,
        steps: &Steps,
        endpoints: &mut Endpoints,
    ) -> Result<()> {
        let ports = layout.ports;
        let telegram = format!("http://{}", local(ports.telegram));
        let admin = format!("http://{}", local(ports.alertbot_admin));
        let (emulator, alertmanager) = (supervisor.start("telegram").await?, supervisor.start("alertmanager").await?);
        ready("telegram", emulator, &layout.log("telegram"), async || answers(&telegram, |_| true).await).await?;
        ready("alertmanager", alertmanager, &layout.log("alertmanager"), async || self.alertmanager.is_ready().await).await?;
        let alertbot = supervisor.start("alertbot").await?;
        let readyz = format!("{admin}/readyz");
        ready("alertbot", alertbot, &layout.log("alertbot"), async || answers(&readyz, |_| true).await).await?;
        steps.step("Alertmanager, the alert bot and Telegram's emulator are ready");
        endpoints.alertmanager = Some(self.alertmanager.url.clone());
        endpoints.alertbot = Some(format!("http://{}", local(ports.alertbot)));
        endpoints.telegram = Some(telegram);
        endpoints.alerts = Some(Alerts { pids: vec![alertbot], ..self.told.clone() });
        endpoints.metrics.insert("alertbot".to_owned(), vec![format!("{admin}/metrics")]);
        Ok(())
    }
}

/// An iCalendar with one shift that repeats each day, and an event without effect.
fn calendar_of(people: &[ChatEndpoint]) -> Result<String> {
    let person = &people.first().context("the emulator's world has people")?.name;
    let event = |id: &str, summary: &str| {
        format!(
            "BEGIN:VEVENT\r\nUID:{id}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260101T000000Z\r\nDTEND:20260102T000000Z\r\n\
             RRULE:FREQ=DAILY\r\nSUMMARY:{summary}\r\nEND:VEVENT\r\n"
        )
    };
    let (shift, other) = (event("shift", person), event("other", "Backup of the coffee machine"));
    Ok(format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//exchange//run//EN\r\n{shift}{other}END:VCALENDAR\r\n"))
}

/// The example that operators begin with, with each of these in it replaced.
fn alertmanager_configuration(replaced: &[(&str, String)]) -> Result<String> {
    let file = layout::repository()?.join("alertbot/alertmanager.example.yml");
    let mut text = read(&file)?;
    for (written, ours) in replaced {
        ensure!(text.contains(written), "{} holds no {written:?}", file.display());
        text = text.replace(written, ours);
    }
    Ok(text)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

/// The bots, people and chats that the emulator begins with, from itself.
fn demonstration() -> Result<Value> {
    let output = Command::new(layout::program("telegram-emulator")?).arg("--print-world").output();
    let output = output.context("running telegram-emulator --print-world")?;
    serde_json::from_slice(&output.stdout).context("reading the emulator's world")
}

fn bots_of(world: &Value) -> Result<[BotEndpoint; 2]> {
    let token = |place: usize| world["bots"][place]["token"].as_str().context("the emulator's world has two bots");
    let bot = |name: &str, place| Ok::<_, anyhow::Error>(BotEndpoint { name: name.to_owned(), token: token(place)?.to_owned() });
    Ok([bot("alertbot", 0)?, bot("alertmanager", 1)?])
}

fn chat(world: &Value, title: &str) -> Result<ChatEndpoint> {
    let found = world["chats"].as_array().into_iter().flatten().find(|chat| chat["title"] == title);
    let id = found.and_then(|chat| chat["id"].as_i64());
    Ok(ChatEndpoint { name: title.to_owned(), id: id.with_context(|| format!("the emulator's world has no chat {title:?}"))? })
}

fn people(world: &Value) -> Result<Vec<ChatEndpoint>> {
    let named = |person: &Value| Some(ChatEndpoint { name: person["name"].as_str()?.to_lowercase(), id: person["id"].as_i64()? });
    let people: Option<Vec<_>> = world["users"].as_array().into_iter().flatten().map(named).collect();
    people.context("reading the people of the emulator's world")
}
