//! This module defines the templates of a configuration, and their faults.

/// The kind of text that a template renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateShape {
    /// The first message of an incident in a chat, in Telegram's HTML.
    Telegram,
    Sms,
    Voice,
}

impl TemplateShape {
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

/// Templates that replace the built-in ones; `None`: the built-in one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Templates {
    /// Message of an incident in a chat, in Telegram's HTML.
    pub telegram: Option<Template>,
    /// Text of an SMS, shortened if it is too long.
    pub sms: Option<Template>,
    /// Text of a voice call.
    pub voice: Option<Template>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub source: String,
    /// Line in the file. Lines of faults in the template are counted from it.
    pub line: usize,
}

/// Why a template of the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    pub shape: TemplateShape,
    /// Line in the file.
    pub line: usize,
    /// The end of a sentence that begins with the template's name.
    pub wrong: String,
}
