//! This module reads the configuration: one YAML file, and secrets from the environment or from files. No other module may read
//! either.
//!
//! A faulty file yields no [`Config`] but all of its faults at once, each with its line and fix ([`Faults`]). [`crate::check`]
//! finds faults that only the built rotations and templates show, such as hours with no person on duty or a template that fails.

pub mod alertmanager;
pub mod document;
pub mod escalation;
mod local_window;
pub mod names;
pub mod person;
pub mod provider;
pub mod quiet;
pub mod route;
pub mod schedule;
pub mod settings;
pub mod severity;
pub mod telegram;

#[cfg(test)]
mod tests;

use std::{ffi::OsString, fmt, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use alertbot_core::{
    message::{Calendar, Language, LinkAddresses, Templates},
    oncall::Schedule,
};
use jiff::tz::TimeZone;
use service_kit::{
    config::{self as kit, ConfigFaults, SettingsReader},
    telemetry,
    yaml::{self, FileFault},
};

pub use alertmanager::{Alertmanager, Credentials, Watchdog};
pub use escalation::{EscalationPolicy, EscalationStep};
pub use person::{Means, Person, PhoneNumber, Role};
pub use provider::{Generic, Preset, Provider, ProviderKind};
pub use quiet::{Quiet, QuietHours};
pub use route::{Matcher, Pattern, Route};
pub use schedule::{CalendarPlace, CalendarSource};
pub use settings::{FlappingSettings, Heartbeat, Incidents, InputLimits, Picture, StoreSettings};
pub use severity::Severities;
pub use telegram::{Bot, Budget, Chat};

use document::{HttpAddress, Reading, Section};

const PREFIX: &str = "ALERTBOT";

/// The configuration of the bot.
#[derive(Debug, Clone)]
pub struct Config {
    pub process: Process,
    /// Webhooks and callbacks of providers.
    pub listen: SocketAddr,
    /// `/metrics`, `/livez`, `/readyz`.
    pub admin_listen: SocketAddr,
    /// Address at which providers reach `listen` from outside; `None`: no delivery reports and no replies by SMS.
    pub public_url: Option<String>,
    /// Default for chats and people.
    pub language: Language,
    pub time_zone: TimeZone,
    /// For dates in Persian messages.
    pub calendar: Calendar,
    /// Addresses at which readers reach what messages link to.
    pub links: Arc<LinkAddresses>,
    pub store: StoreSettings,
    pub severities: Severities,
    pub alertmanagers: Vec<Alertmanager>,
    pub bots: Vec<Bot>,
    pub chats: Vec<Chat>,
    pub providers: Vec<Provider>,
    pub people: Vec<Person>,
    pub schedules: Vec<Schedule>,
    pub calendars: Vec<CalendarSource>,
    pub escalations: Vec<EscalationPolicy>,
    pub routes: Vec<Route>,
    pub incidents: Incidents,
    pub templates: Templates,
    pub picture: Picture,
    pub heartbeat: Option<Heartbeat>,
    pub limits: InputLimits,
}

/// Settings from the environment only.
#[derive(Debug, Clone)]
pub struct Process {
    pub telemetry: telemetry::TelemetrySettings,
    /// Longest time from SIGTERM to the end of the process.
    pub shutdown_deadline: Duration,
}

impl Config {
    pub fn alertmanager(&self, name: &str) -> Option<&Alertmanager> {
        self.alertmanagers.iter().find(|alertmanager| alertmanager.name == name)
    }

    pub fn bot(&self, name: &str) -> Option<&Bot> {
        self.bots.iter().find(|bot| bot.name == name)
    }

    pub fn chat(&self, name: &str) -> Option<&Chat> {
        self.chats.iter().find(|chat| chat.name == name)
    }

    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    pub fn person(&self, name: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.name == name)
    }

    /// The person who sent an update.
    pub fn person_of_telegram(&self, user: i64) -> Option<&Person> {
        self.people.iter().find(|person| person.telegram == Some(user))
    }

    /// The person who sent an SMS. Networks write a number with a plus, with two zeros, or with neither.
    pub fn person_of_phone(&self, number: &str) -> Option<&Person> {
        let number = number.trim();
        let digits = number.strip_prefix('+').or_else(|| number.strip_prefix("00")).unwrap_or(number);
        let has_it = |phone: &PhoneNumber| phone.expose().strip_prefix('+').unwrap_or(phone.expose()) == digits;
        self.people.iter().find(|person| person.phone.as_ref().is_some_and(has_it))
    }

    pub fn schedule(&self, name: &str) -> Option<&Schedule> {
        self.schedules.iter().find(|schedule| schedule.name == name)
    }

    pub fn route(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.name == name)
    }

    pub fn escalation(&self, name: &str) -> Option<&EscalationPolicy> {
        self.escalations.iter().find(|escalation| escalation.name == name)
    }
}

/// Every fault of the file and of the environment. The program prints its `Display` before it exits.
#[derive(Debug, Clone)]
pub struct Faults {
    file: String,
    faults: Vec<FileFault>,
    environment: Option<ConfigFaults>,
}

impl Faults {
    /// Faults found in a file after it was read.
    pub fn of_file(file: &Path, faults: Vec<FileFault>) -> Self {
        Self { file: file.display().to_string(), faults, environment: None }
    }

    pub fn iter(&self) -> impl Iterator<Item = &FileFault> {
        self.faults.iter()
    }

    pub fn environment(&self) -> Option<&ConfigFaults> {
        self.environment.as_ref()
    }

    pub fn count(&self) -> usize {
        self.faults.len() + self.environment.as_ref().map_or(0, ConfigFaults::len)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count() == 1 { "" } else { "s" };
        write!(formatter, "{} has {} fault{plural}:", self.file, self.count())?;
        self.faults.iter().try_for_each(|fault| write!(formatter, "\n  {}", fault.in_file(&self.file)))?;
        let environment = self.environment.iter().flat_map(ConfigFaults::iter);
        environment.into_iter().try_for_each(|fault| write!(formatter, "\n  environment: {fault}"))
    }
}

impl std::error::Error for Faults {}

/// Reads the file, and the secrets that it names from the environment.
#[expect(clippy::disallowed_methods, reason = "this module is the one reader of the environment")]
pub fn load(file: &Path) -> Result<Config, Faults> {
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&file.display().to_string(), &text, std::env::vars_os()),
        Err(error) => {
            let wrong = format!("cannot be read: {error}");
            Err(Faults::of_file(file, vec![FileFault::new(0, "", &wrong, "set --config or ALERTBOT_CONFIG to an existing file")]))
        }
    }
}

/// [`load`] from a given text and variables; `file` is the name in faults.
pub fn parse<Name: Into<OsString>, Value: Into<OsString>>(
    file: &str,
    text: &str,
    variables: impl IntoIterator<Item = (Name, Value)>,
) -> Result<Config, Faults> {
    let told = |faults, environment| Faults { file: file.to_owned(), faults, environment };
    let root = yaml::parse_yaml(text).map_err(|fault| told(vec![fault], None))?;
    let mut faults = Vec::new();
    let read = kit::load(PREFIX, variables, |environment| {
        environment.known("ALERTBOT_CONFIG");
        let process = Process::read(environment);
        let reading = Reading::new(environment, PREFIX);
        let mut config = Section::of(&reading, &root, "").map(|root| read(&root, process));
        faults = reading.take_faults();
        if let Some(config) = &mut config {
            // A secret of the file may have the name of a service link.
            config.process.telemetry.ignored_variables = environment.service_links();
        }
        config
    });
    match read {
        Ok(Some(config)) if faults.is_empty() => Ok(config),
        Ok(_) => Err(told(faults, None)),
        Err(environment) => Err(told(faults, Some(environment))),
    }
}

/// The settings from the environment as a table for `--help`.
pub fn help() -> String {
    kit::reference(PREFIX, Process::read)
}

impl Process {
    fn read(environment: &mut SettingsReader) -> Self {
        Self {
            telemetry: telemetry::TelemetrySettings::read(environment),
            shutdown_deadline: environment.duration(
                "ALERTBOT_SHUTDOWN_DEADLINE",
                Duration::from_secs(20),
                "longest time from SIGTERM to the end of the process",
            ),
        }
    }
}

fn read(root: &Section, process: Process) -> Config {
    let language = root.or("language", Language::default());
    let time_zone = root.or("time_zone", TimeZone::UTC);
    let calendar = root.or("calendar", Calendar::default());
    let alertmanagers = alertmanager::alertmanagers(root);
    let (bots, bot_names) = telegram::bots(root);
    let (chats, chat_names) = telegram::chats(root, &bot_names, language, &time_zone);
    let (providers, provider_names) = provider::providers(root);
    let (people, person_names) = person::people(root, &bot_names, &provider_names, language, &time_zone);
    let (schedules, calendars, schedule_names) = schedule::schedules(root, &person_names, &chat_names, &time_zone);
    let reachable =
        escalation::Reachable { chats: &chat_names, people: &person_names, schedules: &schedule_names, listed: &people };
    let (escalations, escalation_names) = escalation::escalations(root, &reachable);
    let listen = root.or("listen", SocketAddr::from(([127, 0, 0, 1], 9095)));
    let admin_listen = root.or("admin_listen", SocketAddr::from(([127, 0, 0, 1], 9096)));
    let same_host = listen.ip() == admin_listen.ip() || listen.ip().is_unspecified() || admin_listen.ip().is_unspecified();
    if listen.port() != 0 && listen.port() == admin_listen.port() && same_host {
        let wrong = format!("{admin_listen} has the port of `listen`, {listen}");
        root.fault("admin_listen", &wrong, "set a different port");
    }
    Config {
        process,
        listen,
        admin_listen,
        public_url: root.optional::<HttpAddress>("public_url").map(|address| address.0),
        language,
        time_zone,
        calendar,
        links: Arc::new(settings::read_links(root)),
        store: StoreSettings::read(root),
        severities: Severities::read(root),
        alertmanagers,
        bots,
        chats,
        providers,
        people,
        schedules,
        calendars,
        escalations,
        routes: route::routes(root, &chat_names, &escalation_names),
        incidents: Incidents::read(root),
        templates: settings::read_templates(root),
        picture: Picture::read(root),
        heartbeat: Heartbeat::read(root),
        limits: InputLimits::read(root),
    }
}
