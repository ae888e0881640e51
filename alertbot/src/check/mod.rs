//! This module is `alertbot check`: faults that can be found before an alert, and a preview of the messages.
//!
//! [`crate::config`] reports faults of the file. This module reports faults that only the built configuration shows: a template that
//! fails, a night with no person on duty, a person who lacks the means of a step.

mod calendar;
mod duty;
mod preview;
mod surroundings;

#[cfg(test)]
mod tests;

use std::fmt::Write;

use alertbot_core::message::{context::NAMES, template::TemplateShape, validate};
use jiff::Timestamp;
use service_kit::yaml::FileFault;

use crate::{config::Config, notify::receivers};

pub use calendar::skipped_events;
pub use preview::{preview, preview_payload};
pub use surroundings::{dropped_links, warnings};

/// Templates that fail. The server does not start with one.
pub fn templates(config: &Config, now: Timestamp) -> Vec<FileFault> {
    const REMEDY: &str = "`alertbot check --templates` prints the built-in one and every available name";
    let faults = validate::faults(&config.templates, now).into_iter();
    faults.map(|fault| FileFault::new(fault.line, &format!("templates.{}", fault.shape.name()), &fault.wrong, REMEDY)).collect()
}

/// Gaps in schedules, and people who cannot be called. The server logs them and starts, because a gap next month must not mute the
/// bot tonight.
pub fn duties(config: &Config, now: Timestamp) -> Vec<FileFault> {
    let mut faults = duty::gaps(config, now);
    faults.extend(duty::unreachable(config));
    faults.sort_by_key(|fault| fault.line);
    faults
}

/// Bots and providers with unusable settings, and requests whose templates fail on a sample. Nothing is sent.
pub fn receiver_faults(config: &Config) -> Vec<FileFault> {
    const BOT: &str = "correct `api_url` and `proxy`: http://host:port, https://host:port or socks5://host:port";
    const PROVIDER: &str = "correct `url`, `method`, `headers`, `body` and `secrets`; templates know number, digits, local, text, \
                            unicode, id, from, callback_url and secrets.<name>";
    let mut faults = Vec::new();
    for (index, bot) in config.bots.iter().enumerate() {
        if let Err(error) = receivers::build_telegram(bot) {
            let wrong = format!("({}) cannot be used: {error:#}", bot.name);
            faults.push(FileFault::new(bot.line, &format!("bots[{index}]"), &wrong, BOT));
        }
    }
    for (index, provider) in config.providers.iter().enumerate() {
        let made = receivers::build_phone(config, provider).map_err(|error| format!("{error:#}"));
        if let Err(error) = made.and_then(|phone| phone.try_out()) {
            let wrong = format!("({}) cannot send: {error}", provider.name);
            faults.push(FileFault::new(provider.line, &format!("providers[{index}]"), &wrong, PROVIDER));
        }
    }
    faults
}

/// Every fault, in the order of the file.
pub fn faults(config: &Config, now: Timestamp) -> Vec<FileFault> {
    let mut faults = templates(config, now);
    faults.extend(receiver_faults(config));
    faults.extend(duties(config, now));
    faults.extend(calendar::calendars(config, now));
    faults.extend(surroundings::store(config));
    faults.sort_by_key(|fault| fault.line);
    faults
}

/// The built-in templates and every name that templates know.
pub fn template_help() -> String {
    let mut help =
        String::from("# Templates (minijinja, the syntax of Jinja). Put your own under `templates` in the configuration.\n");
    for shape in TemplateShape::ALL {
        let _ = write!(help, "\n## templates.{}\n\n{}", shape.name(), shape.built_in());
    }
    help.push_str("\n## Names available to templates\n\n");
    for (name, meaning) in NAMES {
        let _ = writeln!(help, "{name:<14} {meaning}");
    }
    help.push_str("\n{{ url|link(\"words\") }} makes a link. If Telegram would drop the link, only the words appear.\n");
    help.push_str("Values are escaped and isolated as they enter the text. The reply code is added at the end of an SMS.\n");
    help
}
