//! The template engine: built-in templates, those of the configuration in their place, and how values enter a text.

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value, syntax::SyntaxConfig};

use super::{Reader, bidi, context::context, markup};
use crate::{
    config::{Template, Templates, document::Fault},
    incident::Incident,
};

/// What is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The first message of an incident in a chat: Telegram's HTML.
    Telegram,
    Sms,
    Voice,
}

impl Shape {
    pub const ALL: [Self; 3] = [Self::Telegram, Self::Sms, Self::Voice];

    /// Its key under `templates`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Telegram => "telegram",
            Self::Sms => "sms",
            Self::Voice => "voice",
        }
    }

    pub fn built_in(self) -> &'static str {
        match self {
            Self::Telegram => include_str!("templates/telegram.html"),
            Self::Sms => include_str!("templates/sms.txt"),
            Self::Voice => include_str!("templates/voice.txt"),
        }
    }

    pub fn of(self, templates: &Templates) -> Option<&Template> {
        match self {
            Self::Telegram => templates.telegram.as_ref(),
            Self::Sms => templates.sms.as_ref(),
            Self::Voice => templates.voice.as_ref(),
        }
    }
}

/// Instructions that one rendering may take: a template that loops for ever ends in an error, and the built-in one is used.
const FUEL: u64 = 200_000;
/// The built-in templates beside those of the configuration.
const BUILT_IN: &str = "built-in ";
const TELEGRAM: &str = "telegram";
/// Whether the reader's language is written from right to left; in the context under a name that templates do not use.
const RIGHT_TO_LEFT: &str = "_right_to_left";

/// Compiled templates.
#[derive(Debug, Clone)]
pub struct Messages {
    environment: Environment<'static>,
}

/// A text, and why the configuration's template did not make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub text: String,
    pub fault: Option<String>,
}

impl Messages {
    /// The built-in templates alone.
    pub fn built_in() -> Self {
        Self::new(&Templates::default()).0
    }

    /// In place of a template that does not compile stands the built-in one, so that no fault can mute the bot.
    pub fn new(templates: &Templates) -> (Self, Vec<Fault>) {
        let mut environment = Environment::new();
        // A tag on a line of its own leaves no line behind.
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap_or_default());
        environment.set_fuel(Some(FUEL));
        // A label that an alert does not have is empty; misspelt names are found by `validate`.
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_auto_escape_callback(|name| match name.trim_start_matches(BUILT_IN) {
            TELEGRAM => AutoEscape::Custom(TELEGRAM.into()),
            _ => AutoEscape::None,
        });
        environment.set_formatter(|output, state, value| {
            let right_to_left = state.lookup(RIGHT_TO_LEFT).is_some_and(|value| value.is_true());
            let html = matches!(state.auto_escape(), AutoEscape::Custom(_));
            Ok(output.write_str(&entering(value, html, right_to_left))?)
        });
        environment.add_filter("link", |address: String, words: String| Value::from_safe_string(markup::link(&address, &words)));
        let mut faults = Vec::new();
        for shape in Shape::ALL {
            let built_in = environment.add_template_owned(format!("{BUILT_IN}{}", shape.name()), shape.built_in());
            debug_assert!(built_in.is_ok(), "a built-in template compiles: {built_in:?}");
            let own = shape.of(templates);
            let source = own.map_or_else(|| shape.built_in().to_owned(), |template| template.source.clone());
            if let (Err(error), Some(own)) = (environment.add_template_owned(shape.name(), source), own) {
                faults.push(fault(shape, own, &error));
                let _ = environment.add_template_owned(shape.name(), shape.built_in());
            }
        }
        (Self { environment }, faults)
    }

    /// The words about an incident. A template of the configuration that fails has the built-in one speak in its place.
    pub fn render(&self, shape: Shape, incident: &Incident, reader: &Reader) -> Rendered {
        let context = minijinja::context! { _right_to_left => reader.right_to_left(), ..context(incident, reader) };
        match self.try_render(shape, shape.name(), &context, reader) {
            Ok(text) => Rendered { text, fault: None },
            Err(why) => {
                let built_in = self.try_render(shape, &format!("{BUILT_IN}{}", shape.name()), &context, reader);
                // The last resort needs no template.
                let bare = || markup::escape(&bidi::strip(&format!("{} {}", incident.title(), incident.id))).into_owned();
                Rendered { text: built_in.unwrap_or_else(|_| bare()), fault: Some(why) }
            }
        }
    }

    /// As [`Self::render`], with the error instead of the built-in template's words.
    pub fn try_own(&self, shape: Shape, incident: &Incident, reader: &Reader) -> Result<String, Error> {
        let context = minijinja::context! { _right_to_left => reader.right_to_left(), ..context(incident, reader) };
        self.environment.get_template(shape.name())?.render(context)
    }

    /// Names that a template uses and nobody gives.
    pub fn unknown_names(&self, shape: Shape) -> Vec<String> {
        let Ok(template) = self.environment.get_template(shape.name()) else { return Vec::new() };
        let known = |name: &String| super::context::NAMES.iter().any(|(known, _)| known == name);
        let functions = ["range", "dict", "namespace", "debug", "loop"];
        let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        unknown.retain(|name| !known(name) && !functions.contains(&name.as_str()));
        unknown.sort();
        unknown
    }

    fn try_render(&self, shape: Shape, name: &str, context: &Value, reader: &Reader) -> Result<String, String> {
        let rendered = self.environment.get_template(name).and_then(|template| template.render(context));
        let text = tidy(&rendered.map_err(|error| error.to_string())?);
        if text.is_empty() {
            return Err("it is empty".into());
        }
        if shape != Shape::Telegram {
            return Ok(text);
        }
        markup::read(&text).map_err(|malformed| malformed.to_string())?;
        Ok(if reader.right_to_left() { lead(&text) } else { text })
    }
}

/// What a fault inside a template is to the file.
pub(super) fn fault(shape: Shape, template: &Template, error: &Error) -> Fault {
    // The first line of a block scalar is behind its key; of a plain one it is the key's own.
    let inside = error.line().unwrap_or(1);
    let line = if template.source.contains('\n') { template.line + inside } else { template.line };
    let wrong = format!("does not work: {}", error.detail().map_or_else(|| error.kind().to_string(), str::to_owned));
    Fault::new(line, &format!("templates.{}", shape.name()), &wrong, REMEDY)
}

pub(super) const REMEDY: &str = "`alertbot check --templates` prints the built-in one and every name that templates know";

/// A value as it enters a text: ours as it is, everything else stripped, isolated and escaped.
fn entering(value: &Value, html: bool, right_to_left: bool) -> String {
    if value.is_undefined() || value.is_none() {
        return String::new();
    }
    let text = value.to_string();
    if value.is_safe() || value.is_number() {
        return text;
    }
    let stripped = bidi::strip(&text);
    match html {
        true => markup::escape(&bidi::isolate_in(right_to_left, &stripped)).into_owned(),
        // Isolates are shown as boxes by some telephones, and cost a unit each.
        false => stripped.into_owned(),
    }
}

/// Without lines that are empty twice, and without blanks at the ends.
fn tidy(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.trim().lines().map(str::trim_end) {
        if !(line.is_empty() && lines.last().is_some_and(|last| last.is_empty())) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// RIGHT-TO-LEFT MARK: gives a line its direction although it begins with a colour or a Latin name.
const RIGHT_TO_LEFT_MARK: char = '\u{200f}';

/// Every line that shows something begins from the right.
pub(super) fn lead(text: &str) -> String {
    let lines = text.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("{RIGHT_TO_LEFT_MARK}{line}") });
    lines.collect::<Vec<_>>().join("\n")
}
