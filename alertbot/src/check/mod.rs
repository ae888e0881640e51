//! `alertbot check`: everything that can be known to be wrong before an alert comes, and what would be sent.
//!
//! What the file says is read by [`crate::config`]; here are the faults that only its consequences show: a template that does
//! not work, a night with nobody on duty, somebody who is called by a way that he does not have.

mod duty;
mod preview;
mod surroundings;

#[cfg(test)]
mod tests;

use std::fmt::Write;

use jiff::Timestamp;

use crate::{
    config::{Config, document::Fault},
    message::{context::NAMES, render::Shape, validate},
    sender::receivers,
};

pub use preview::{preview, preview_payload};
pub use surroundings::{dropped_links, warnings};

/// Templates that cannot work: the server does not start with one.
pub fn templates(config: &Config, now: Timestamp) -> Vec<Fault> {
    validate::faults(&config.templates, now)
}

/// Duties that nobody has, and people who cannot be called. The server says them in its log and starts all the same: a gap
/// next month is no reason to be mute tonight.
pub fn duties(config: &Config, now: Timestamp) -> Vec<Fault> {
    let mut faults = duty::gaps(config, now);
    faults.extend(duty::unreachable(config));
    faults.sort_by_key(|fault| fault.line);
    faults
}

/// Bots and providers that cannot be made from their settings, and requests whose templates fail on a message. Nothing is sent.
pub fn receivers(config: &Config) -> Vec<Fault> {
    const BOT: &str = "correct `api_url` and `proxy`: http://host:port, https://host:port or socks5://host:port";
    const PROVIDER: &str = "correct `url`, `method`, `headers`, `body` and `secrets`; templates know number, digits, local, text, \
                            unicode, id, from, callback_url and secrets.<name>";
    let mut faults = Vec::new();
    for (index, bot) in config.bots.iter().enumerate() {
        if let Err(error) = receivers::telegram(bot) {
            let wrong = format!("({}) cannot be used: {error:#}", bot.name);
            faults.push(Fault::new(bot.line, &format!("bots[{index}]"), &wrong, BOT));
        }
    }
    for (index, provider) in config.providers.iter().enumerate() {
        let made = receivers::phone(config, provider).map_err(|error| format!("{error:#}"));
        if let Err(error) = made.and_then(|phone| phone.try_out()) {
            let wrong = format!("({}) cannot send: {error}", provider.name);
            faults.push(Fault::new(provider.line, &format!("providers[{index}]"), &wrong, PROVIDER));
        }
    }
    faults
}

/// All of them, in the order of the file.
pub fn faults(config: &Config, now: Timestamp) -> Vec<Fault> {
    let mut faults = templates(config, now);
    faults.extend(receivers(config));
    faults.extend(duties(config, now));
    faults.extend(surroundings::store(config));
    faults.sort_by_key(|fault| fault.line);
    faults
}

/// The built-in templates and every name that templates know.
pub fn template_help() -> String {
    let mut help =
        String::from("# Templates (minijinja, the syntax of Jinja). Put your own under `templates` in the configuration.\n");
    for shape in Shape::ALL {
        let _ = write!(help, "\n## templates.{}\n\n{}", shape.name(), shape.built_in());
    }
    help.push_str("\n## What templates know\n\n");
    for (name, meaning) in NAMES {
        let _ = writeln!(help, "{name:<14} {meaning}");
    }
    help.push_str(
        "\n{{ url|link(\"words\") }} makes a link, or the bare words where the address is none that Telegram follows.\n",
    );
    help.push_str(
        "Values are escaped and isolated as they enter the text. An SMS ends with the code to answer with, which is added.\n",
    );
    help
}
