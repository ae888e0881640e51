//! This module reads the settings of telemetry. They are the same for every program and have no program's prefix.

use std::{fmt, str::FromStr};

use super::level;
use crate::config::{Secret, SettingsReader};

const DEFAULT_LEVEL: &str = "info";

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One ECS JSON object a line.
    Json,
    /// For a person.
    Pretty,
    /// Pretty when standard output is a terminal, JSON otherwise.
    #[default]
    ByTerminal,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            "auto" => Ok(Self::ByTerminal),
            _ => Err("choose json, pretty or auto"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Json => "json",
            Self::Pretty => "pretty",
            Self::ByTerminal => "auto",
        })
    }
}

/// The settings of [`super::init`].
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// `error`, `warn`, `info`, `debug` or `trace`, with exceptions for modules: `info,program::module=debug`.
    pub level: String,
    pub format: Format,
    /// The credential that a change of the level at run time must present; `None` asks for none.
    pub level_token: Option<Secret>,
    /// Base address of an OpenTelemetry collector that accepts OTLP over HTTP; `None` exports nothing.
    pub otlp_endpoint: Option<String>,
    /// Variables with the program's prefix that were ignored, see [`SettingsReader::service_links`]; [`super::init`] logs them.
    pub ignored_variables: Vec<String>,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            level: DEFAULT_LEVEL.into(),
            format: Format::default(),
            level_token: None,
            otlp_endpoint: None,
            ignored_variables: Vec::new(),
        }
    }
}

impl TelemetrySettings {
    /// Reads `LOG_LEVEL`, `LOG_LEVEL_TOKEN`, `LOG_FORMAT` and `OTEL_EXPORTER_OTLP_ENDPOINT`. The exporter itself reads the other
    /// variables of the OpenTelemetry specification (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`, …).
    pub fn read(env: &mut SettingsReader) -> Self {
        let level = env.or(
            "LOG_LEVEL",
            DEFAULT_LEVEL.to_owned(),
            "error, warn, info, debug or trace; exceptions as info,program::module=debug",
        );
        if let Err(fault) = level::parse_level(&level) {
            env.fault("LOG_LEVEL", &fault.to_string(), "write it as info or info,program::module=debug");
        }
        let level_token = env.optional_secret(
            "LOG_LEVEL_TOKEN",
            "bearer token that `PUT /log-level` must present; without it every client of the admin port may change the level",
        );
        let format = env.or("LOG_FORMAT", Format::default(), "json, pretty or auto (pretty on a terminal)");
        let otlp_endpoint: Option<String> = env.optional(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://host:4318 of an OpenTelemetry collector; without it no spans are exported",
        );
        if otlp_endpoint.as_deref().is_some_and(|endpoint| !endpoint.starts_with("http://")) {
            env.fault(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "does not begin with http://",
                "name a collector on the same host or network; it can forward over TLS",
            );
        }
        Self { level, format, level_token, otlp_endpoint, ignored_variables: env.service_links() }
    }
}
