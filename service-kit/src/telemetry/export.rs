//! This module exports spans to an OpenTelemetry collector: OTLP over HTTP, in batches, from a dedicated thread.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};

use super::Service;

/// Longest wait at the end of the program for a collector that does not answer.
pub(super) const LAST_SPANS_TIMEOUT: Duration = Duration::from_secs(2);

/// `endpoint` is the collector's base address; the path of the signal is added as the specification says.
pub(super) fn provider(service: Service, endpoint: &str) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()?;
    let resource = Resource::builder()
        .with_service_name(service.name)
        .with_attribute(KeyValue::new("service.version", service.version))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
