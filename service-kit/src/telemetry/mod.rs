//! Logs and traces of a program: ECS JSON lines on standard output (or error), a level that can change at run time, panics as
//! one line, and spans to an OpenTelemetry collector when one is named.
//!
//! Log once, at the boundary: a line is a message for a person plus fields for a query. Fields keep the names that
//! the caller gives, so use ECS names (`event.duration` in nanoseconds, `error.type`, `http.response.status_code`);
//! the field `error` becomes `error.message`. A span's fields stand on every line inside it.

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
    io::{self, IsTerminal},
    os::fd::AsFd,
    sync::Arc,
};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::{Layer, Registry, fmt, fmt::writer::BoxMakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

pub use level::{LevelFault, LogLevel};
pub use settings::{Format, Settings};

use output::Output;

/// What stands on every line about the program itself.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    pub name: &'static str,
    pub version: &'static str,
}

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    /// For a command whose answer is on standard output.
    Stderr,
}

impl Stream {
    fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        }
    }

    fn output(self) -> io::Result<Output> {
        let descriptor = match self {
            Self::Stdout => io::stdout().as_fd().try_clone_to_owned()?,
            Self::Stderr => io::stderr().as_fd().try_clone_to_owned()?,
        };
        Ok(Output::to(descriptor))
    }

    fn writer(self) -> BoxMakeWriter {
        match self {
            Self::Stdout => BoxMakeWriter::new(io::stdout),
            Self::Stderr => BoxMakeWriter::new(io::stderr),
        }
    }
}

/// Keeps telemetry alive: hold it until the program ends, so that the last spans leave before the process does.
#[must_use = "spans still waiting are lost when nobody holds the guard"]
pub struct TelemetryGuard {
    level: LogLevel,
    traces: Option<SdkTracerProvider>,
}

impl TelemetryGuard {
    /// The handle that changes the log level while the program runs.
    pub fn log_level(&self) -> LogLevel {
        self.level.clone()
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Some(traces) = &self.traces
            && let Err(error) = traces.shutdown_with_timeout(export::LAST_SPANS_TIMEOUT)
        {
            tracing::warn!(%error, "the last spans may not have reached the collector");
        }
    }
}

/// Starts logging and tracing for the whole process. Once per process, first thing after the configuration was read.
///
/// # Errors
/// When the exporter cannot be built from the `OTEL_*` variables, or telemetry was started before.
pub fn init(service: Service, settings: &Settings) -> Result<TelemetryGuard, Box<dyn std::error::Error + Send + Sync>> {
    init_to(Stream::Stdout, service, settings)
}

/// [`init`] with lines on a stream of the caller's choice.
///
/// # Errors
/// As [`init`].
pub fn init_to(
    stream: Stream,
    service: Service,
    settings: &Settings,
) -> Result<TelemetryGuard, Box<dyn std::error::Error + Send + Sync>> {
    let traces = settings.otlp_endpoint.as_deref().map(|endpoint| export::provider(service, endpoint)).transpose()?;
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
    Ok(TelemetryGuard { level, traces })
}

/// The subscriber without making it the process's own. `output` is where JSON lines go; `None` writes for a person, to `stream`.
fn assemble(
    service: Service,
    settings: &Settings,
    stream: Stream,
    output: Option<Arc<Output>>,
    traces: Option<&SdkTracerProvider>,
) -> (impl tracing::Subscriber + Send + Sync + use<>, LogLevel) {
    let (filter, level) = LogLevel::new(&settings.level);
    let spans = traces.map(|traces| tracing_opentelemetry::layer().with_tracer(traces.tracer(service.name)));
    // Boxed, since an optional layer never learns which subscriber it belongs to.
    let lines: Box<dyn Layer<_> + Send + Sync> = match output {
        Some(output) => Box::new(ecs::EcsLayer::new(service, output)),
        None => Box::new(fmt::layer().with_writer(stream.writer()).with_ansi(stream.is_terminal())),
    };
    let subscriber = Registry::default().with(filter).with(spans).with(lines);
    (subscriber, level)
}
