//! This module exports spans to an OpenTelemetry collector: OTLP over HTTP, in batches, from a dedicated thread.
//!
//! A collector that does not answer must cost little:
//!
//! - the queue of finished spans is bounded, and a full queue discards spans;
//! - the failure is one log line, until an export succeeds again;
//! - the end of the program waits at most [`LAST_SPANS_TIMEOUT`], and not at all if the last export failed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Config, Sampler, SdkTracer, SdkTracerProvider, ShouldSample, SpanData},
};

use super::Service;
use crate::trace::sampling;

/// Longest wait at the end of the program for a collector that does not answer.
pub(super) const LAST_SPANS_TIMEOUT: Duration = Duration::from_secs(1);

/// The exporter of a program.
pub(super) struct Traces {
    provider: SdkTracerProvider,
    /// Decides before a span is created. `None`: the provider decides afterwards.
    pub(super) sampled: Option<Box<dyn ShouldSample>>,
    failing: Arc<AtomicBool>,
}

impl Traces {
    /// `endpoint` is the collector's base address; the path of the signal is added as the specification says.
    pub(super) fn to(service: Service, endpoint: &str) -> Result<Self, ExporterBuildError> {
        // A sampler that decides by the id of the trace is asked by the provider: a span has its id after its creation.
        let sampler = Config::default().sampler;
        Self::sampled_by(service, endpoint, sampling::follows_parents(&*sampler).then_some(sampler))
    }

    /// `None`: the provider's own sampler decides after the creation of a span.
    pub(super) fn sampled_by(
        service: Service,
        endpoint: &str,
        sampled: Option<Box<dyn ShouldSample>>,
    ) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()?;
        let resource = Resource::builder()
            .with_service_name(service.name)
            .with_attribute(KeyValue::new("service.version", service.version))
            .build();
        let failing = Arc::new(AtomicBool::new(false));
        let exporter = Reporting { exporter, endpoint: endpoint.to_owned(), failing: Arc::clone(&failing) };
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource);
        let provider = if sampled.is_some() { provider.with_sampler(Sampler::AlwaysOn) } else { provider };
        Ok(Self { provider: provider.build(), sampled, failing })
    }

    pub(super) fn tracer(&self, service: Service) -> SdkTracer {
        self.provider.tracer(service.name)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        let known = self.failing.load(Ordering::Relaxed);
        let wait = if known { Duration::ZERO } else { LAST_SPANS_TIMEOUT };
        if let Err(error) = self.provider.shutdown_with_timeout(wait)
            && !known
        {
            tracing::warn!(%error, "failed to export the last spans; some may be lost");
        }
    }
}

/// Logs the first failure and the first success after it.
#[derive(Debug)]
struct Reporting {
    exporter: SpanExporter,
    endpoint: String,
    failing: Arc<AtomicBool>,
}

impl opentelemetry_sdk::trace::SpanExporter for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        match (&exported, self.failing.swap(exported.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => tracing::warn!(
                %error,
                endpoint = self.endpoint,
                "the trace collector accepts no spans; discarding spans until it does"
            ),
            (Ok(()), true) => tracing::info!(endpoint = self.endpoint, "the trace collector accepts spans again"),
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
