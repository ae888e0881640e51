//! This module is the template engine: built-in templates, their replacements from the configuration, and the treatment of
//! values.

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value, syntax::SyntaxConfig};

use super::{
    bidi,
    context::context,
    markup,
    reader::Reader,
    template::{Template, TemplateFault, TemplateShape, Templates},
};
use crate::incident::Incident;

/// Maximum instructions of one rendering. A template with an endless loop fails, and the built-in one is used.
const FUEL: u64 = 200_000;
/// Name of a built-in template, in addition to those of the configuration.
const BUILT_IN: &str = "built-in ";
const TELEGRAM: &str = "telegram";
/// Whether the reader's language is right-to-left. The context stores it under a name that templates do not use.
const RIGHT_TO_LEFT: &str = "_right_to_left";

/// Compiled templates.
#[derive(Debug, Clone)]
pub struct Messages {
    environment: Environment<'static>,
}

/// A rendered text, and the reason if the configuration's template failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub text: String,
    pub fault: Option<String>,
}

impl Messages {
    /// Only the built-in templates.
    pub fn built_in() -> Self {
        Self::new(&Templates::default()).0
    }

    /// A template that does not compile is replaced with the built-in one, so that no fault can mute the bot.
    pub fn new(templates: &Templates) -> (Self, Vec<TemplateFault>) {
        let mut environment = Environment::new();
        // A tag on a line of its own produces no line.
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap_or_default());
        environment.set_fuel(Some(FUEL));
        // A missing label is empty. `validate` finds misspelt names.
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
        for shape in TemplateShape::ALL {
            let built_in = environment.add_template_owned(format!("{BUILT_IN}{}", shape.name()), shape.built_in());
            debug_assert!(built_in.is_ok(), "a built-in template must compile: {built_in:?}");
            let own = shape.of(templates);
            let source = own.map_or_else(|| shape.built_in().to_owned(), |template| template.source.clone());
            if let (Err(error), Some(own)) = (environment.add_template_owned(shape.name(), source), own) {
                faults.push(fault(shape, own, &error));
                let _ = environment.add_template_owned(shape.name(), shape.built_in());
            }
        }
        (Self { environment }, faults)
    }

    /// Renders the text about an incident. If a template of the configuration fails, the built-in one is used.
    pub fn render(&self, shape: TemplateShape, incident: &Incident, reader: &Reader) -> Rendered {
        let context = minijinja::context! { _right_to_left => reader.right_to_left(), ..context(incident, reader) };
        match self.try_render(shape, shape.name(), &context, reader) {
            Ok(text) => Rendered { text, fault: None },
            Err(why) => {
                let built_in = self.try_render(shape, &format!("{BUILT_IN}{}", shape.name()), &context, reader);
                // The last fallback needs no template.
                let bare = || markup::escape(&bidi::strip(&format!("{} {}", incident.title(), incident.id))).into_owned();
                Rendered { text: built_in.unwrap_or_else(|_| bare()), fault: Some(why) }
            }
        }
    }

    /// Like [`Self::render`], but returns the error instead of using the built-in template.
    pub fn try_own(&self, shape: TemplateShape, incident: &Incident, reader: &Reader) -> Result<String, Error> {
        let context = minijinja::context! { _right_to_left => reader.right_to_left(), ..context(incident, reader) };
        self.environment.get_template(shape.name())?.render(context)
    }

    /// Undefined names that a template uses.
    pub fn unknown_names(&self, shape: TemplateShape) -> Vec<String> {
        let Ok(template) = self.environment.get_template(shape.name()) else { return Vec::new() };
        let known = |name: &String| super::context::NAMES.iter().any(|(known, _)| known == name);
        let functions = ["range", "dict", "namespace", "debug", "loop"];
        let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        unknown.retain(|name| !known(name) && !functions.contains(&name.as_str()));
        unknown.sort();
        unknown
    }

    fn try_render(&self, shape: TemplateShape, name: &str, context: &Value, reader: &Reader) -> Result<String, String> {
        let rendered = self.environment.get_template(name).and_then(|template| template.render(context));
        let text = tidy(&rendered.map_err(|error| error.to_string())?);
        if text.is_empty() {
            return Err("the text is empty".into());
        }
        if shape != TemplateShape::Telegram {
            return Ok(text);
        }
        markup::read(&text).map_err(|malformed| malformed.to_string())?;
        Ok(if reader.right_to_left() { lead(&text) } else { text })
    }
}

/// Converts a template error into a fault of the file.
pub(super) fn fault(shape: TemplateShape, template: &Template, error: &Error) -> TemplateFault {
    // A block scalar starts on the line after its key, a plain scalar on the line of the key.
    let inside = error.line().unwrap_or(1);
    let line = if template.source.contains('\n') { template.line + inside } else { template.line };
    let wrong = format!("fails: {}", error.detail().map_or_else(|| error.kind().to_string(), str::to_owned));
    TemplateFault { shape, line, wrong }
}

/// A value in a text. The bot's own values stay unchanged. Others are stripped, isolated and escaped.
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
        // Some phones show isolates as boxes, and each costs a unit.
        false => stripped.into_owned(),
    }
}

/// Removes repeated empty lines, and blanks at both ends.
fn tidy(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.trim().lines().map(str::trim_end) {
        if !(line.is_empty() && lines.last().is_some_and(|last| last.is_empty())) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// RIGHT-TO-LEFT MARK: sets the direction of a line that begins with a colour or a Latin name.
const RIGHT_TO_LEFT_MARK: char = '\u{200f}';

/// Marks every visible line as right-to-left.
pub(super) fn lead(text: &str) -> String {
    let lines = text.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("{RIGHT_TO_LEFT_MARK}{line}") });
    lines.collect::<Vec<_>>().join("\n")
}
