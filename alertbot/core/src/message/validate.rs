//! This module validates the templates of a configuration on every sample in every language, so that faults show before an alert.

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    locale::{Calendar, Language},
    markup,
    reader::Reader,
    render::{Messages, fault},
    samples::samples,
    template::{Template, TemplateFault, TemplateShape, Templates},
};

/// Every fault of every template of the configuration, in the order of the file.
pub fn faults(templates: &Templates, now: Timestamp) -> Vec<TemplateFault> {
    let (messages, mut faults) = Messages::new(templates);
    for shape in TemplateShape::ALL {
        let Some(template) = shape.of(templates) else { continue };
        if faults.iter().any(|fault| fault.shape == shape) {
            continue;
        }
        for name in messages.unknown_names(shape) {
            let line = line_of(template, &name);
            faults.push(TemplateFault { shape, line, wrong: format!("uses {name}, which is not defined") });
        }
        faults.extend(tried(&messages, shape, template, now));
    }
    faults.sort_by_key(|fault| fault.line);
    faults
}

/// The first sample on which it fails. Others would mostly fail for the same reason.
fn tried(messages: &Messages, shape: TemplateShape, template: &Template, now: Timestamp) -> Option<TemplateFault> {
    for language in [Language::English, Language::Persian] {
        let reader = Reader { language, zone: TimeZone::UTC, now, calendar: Calendar::Gregorian, links: Arc::default() };
        for sample in samples(now) {
            let told = |wrong: String| Some(TemplateFault { shape, line: template.line, wrong });
            match messages.try_own(shape, &sample.incident, &reader) {
                Err(error) => return Some(fault(shape, template, &error)),
                Ok(text) if text.trim().is_empty() => return told(format!("is empty for the sample \"{}\"", sample.name)),
                Ok(text) if shape == TemplateShape::Telegram => {
                    if let Err(malformed) = markup::read(&text) {
                        return told(format!("is not valid Telegram HTML for the sample \"{}\": {malformed}", sample.name));
                    }
                }
                Ok(_) => {}
            }
        }
    }
    None
}

fn line_of(template: &Template, name: &str) -> usize {
    let inside = template.source.lines().position(|line| line.contains(name)).unwrap_or(0);
    if template.source.contains('\n') { template.line + 1 + inside } else { template.line }
}
