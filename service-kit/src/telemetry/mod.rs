//! This module starts the logs and traces of a program:
//!
//! - ECS JSON lines on standard output or standard error, with a level that can change at run time;
//! - a panic as one line;
//! - spans to an OpenTelemetry collector, if the settings name one.
//!
//! Log once, at the boundary: a line is a message for a person plus fields for a query. Field names are written
//! unchanged, so use ECS names (`event.duration` in nanoseconds, `error.type`, `http.response.status_code`). The field
//! `error` becomes `error.message`. Every line inside a span has the span's fields.

mod ecs;
mod export;
mod level;
mod line;
mod output;
mod panic;
mod settings;

#[cfg(test)]
mod tests;

use std::{
    fmt::Display,
    io::{self, IsTerminal},
    os::fd::AsFd,
    process::ExitCode,
    sync::Arc,
};

use tracing_subscriber::{Layer, Registry, fmt, fmt::writer::BoxMakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

pub use level::{LevelFault, LogLevel};
pub use line::with_causes;
pub use settings::{Format, TelemetrySettings};

use export::Traces;
use output::LogOutput;

use crate::trace::{measured::TracerLayer, sampling::SampledFilter};

/// The program's name, version and role, written on every line.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    pub name: &'static str,
    pub version: &'static str,
    /// `serve`, `worker` and the like: processes of one program do different work. ECS's `service.node.name`.
    pub role: &'static str,
}

/// The destination of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    Stdout,
    /// For a command that prints its result on standard output.
    Stderr,
}

impl LogStream {
    fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        }
    }

    fn output(self) -> io::Result<LogOutput> {
        let descriptor = match self {
            Self::Stdout => io::stdout().as_fd().try_clone_to_owned()?,
            Self::Stderr => io::stderr().as_fd().try_clone_to_owned()?,
        };
        Ok(LogOutput::to(descriptor))
    }

    fn writer(self) -> BoxMakeWriter {
        match self {
            Self::Stdout => BoxMakeWriter::new(io::stdout),
            Self::Stderr => BoxMakeWriter::new(io::stderr),
        }
    }
}

/// Hold this guard until the program ends. Its drop exports the last spans.
#[must_use = "spans still waiting are lost unless the guard lives until the program ends"]
pub struct TelemetryGuard {
    level: LogLevel,
    /// Its drop exports the last spans.
    _traces: Option<Traces>,
}

impl TelemetryGuard {
    /// The handle that changes the log level while the program runs.
    pub fn log_level(&self) -> LogLevel {
        self.level.clone()
    }
}

/// Starts logging and tracing for the whole process. Call it once, directly after reading the configuration.
///
/// # Errors
/// Returns an error if the `OTEL_*` variables do not describe an exporter, or telemetry has already started.
pub fn init(service: Service, settings: &TelemetrySettings) -> Result<TelemetryGuard, Box<dyn std::error::Error + Send + Sync>> {
    init_to(LogStream::Stdout, service, settings)
}

/// Does the same as [`init`], with lines on `stream`.
///
/// # Errors
/// Returns the errors of [`init`].
pub fn init_to(
    stream: LogStream,
    service: Service,
    settings: &TelemetrySettings,
) -> Result<TelemetryGuard, Box<dyn std::error::Error + Send + Sync>> {
    let traces = settings.otlp_endpoint.as_deref().map(|endpoint| Traces::to(service, endpoint)).transpose()?;
    let json = match settings.format {
        Format::Json => true,
        Format::Pretty => false,
        Format::ByTerminal => !stream.is_terminal(),
    };
    let output = json.then(|| stream.output().map(Arc::new)).transpose()?;
    let (subscriber, level) = assemble(service, settings, stream, output.clone(), traces.as_ref());
    subscriber.try_init()?;
    if let Some(output) = output {
        panic::install(service, output);
    }
    warn_of_ignored(&settings.ignored_variables);
    Ok(TelemetryGuard { level, _traces: traces })
}

/// Logs that service links were ignored. Nothing is wrong with the program, but a setting may be hidden among them.
/// Logs how a long-running program ended; returns its exit status.
pub fn log_end<Failed: Display>(ended: &Result<(), Failed>) -> ExitCode {
    match ended {
        Ok(()) => {
            tracing::info!("ended");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended by an error");
            ExitCode::FAILURE
        }
    }
}

fn warn_of_ignored(variables: &[String]) {
    if !variables.is_empty() {
        tracing::warn!(
            variables = variables.join(", "),
            "ignoring variables of a Kubernetes service link; set `enableServiceLinks: false` on the pod to remove them"
        );
    }
}

/// Builds the subscriber without installing it. JSON lines go to `output`; with `None`, text lines go to `stream`.
fn assemble(
    service: Service,
    settings: &TelemetrySettings,
    stream: LogStream,
    output: Option<Arc<LogOutput>>,
    traces: Option<&Traces>,
) -> (impl tracing::Subscriber + Send + Sync + use<>, LogLevel) {
    let (filter, level) = LogLevel::new(&settings.level, settings.level_token.clone());
    let spans = traces.map(|traces| {
        let tracer = traces.tracer(service);
        // Names of source files and threads say little about a request and would be half of each span.
        let layer = tracing_opentelemetry::layer().with_tracer(tracer.clone());
        let layer = layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
        layer.with_filter(traces.sampled.clone().map(SampledFilter)).and_then(TracerLayer(tracer))
    });
    // Boxed, since an optional layer does not receive the dispatch of its subscriber.
    let lines: Box<dyn Layer<_> + Send + Sync> = match output {
        Some(output) => Box::new(ecs::EcsLayer::new(service, output)),
        None => Box::new(fmt::layer().with_writer(stream.writer()).with_ansi(stream.is_terminal())),
    };
    let subscriber = Registry::default().with(filter).with(spans).with(lines);
    (subscriber, level)
}
