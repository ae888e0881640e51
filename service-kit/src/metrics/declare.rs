//! This module declares metrics, so that tests read the declarations without running the program.

use std::collections::HashMap;

use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, Result, core::Collector,
};

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    /// Exports `<name>_bucket`, `<name>_sum` and `<name>_count`.
    Histogram,
}

/// The declaration of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Descriptor {
    pub name: &'static str,
    pub kind: MetricKind,
    /// The documentation of the field, as written.
    pub doc: &'static str,
    pub labels: &'static [&'static str],
    /// Upper bounds of a histogram's buckets; empty for the others.
    pub buckets: &'static [f64],
}

impl Descriptor {
    /// The help text: the documentation on one line.
    pub fn help(&self) -> String {
        self.doc.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The names of the metric's series in Prometheus.
    pub fn series(&self) -> Vec<String> {
        match self.kind {
            MetricKind::Histogram => ["_bucket", "_sum", "_count"].iter().map(|end| format!("{}{end}", self.name)).collect(),
            _ => vec![self.name.to_owned()],
        }
    }

    fn opts(&self) -> Opts {
        Opts {
            namespace: String::new(),
            subsystem: String::new(),
            name: self.name.into(),
            help: self.help(),
            const_labels: HashMap::new(),
            variable_labels: Vec::new(),
        }
    }

    fn histogram_opts(&self) -> HistogramOpts {
        HistogramOpts { common_opts: self.opts(), buckets: self.buckets.to_vec() }
    }
}

/// A type of metric that [`crate::metrics!`] can declare.
pub trait Instrument: Collector + Clone + Sized + 'static {
    const KIND: MetricKind;

    fn build(descriptor: &Descriptor) -> Result<Self>;

    fn register(descriptor: &Descriptor, registry: &Registry) -> Result<Self> {
        let instrument = Self::build(descriptor)?;
        registry.register(Box::new(instrument.clone()))?;
        Ok(instrument)
    }
}

macro_rules! instruments {
    ($($type:ty, $kind:ident, |$descriptor:ident| $build:expr;)*) => {$(
        impl Instrument for $type {
            const KIND: MetricKind = MetricKind::$kind;

            fn build($descriptor: &Descriptor) -> Result<Self> {
                $build
            }
        }
    )*};
}

instruments! {
    Counter, Counter, |metric| Self::with_opts(metric.opts());
    IntCounter, Counter, |metric| Self::with_opts(metric.opts());
    CounterVec, Counter, |metric| Self::new(metric.opts(), metric.labels);
    IntCounterVec, Counter, |metric| Self::new(metric.opts(), metric.labels);
    Gauge, Gauge, |metric| Self::with_opts(metric.opts());
    IntGauge, Gauge, |metric| Self::with_opts(metric.opts());
    GaugeVec, Gauge, |metric| Self::new(metric.opts(), metric.labels);
    IntGaugeVec, Gauge, |metric| Self::new(metric.opts(), metric.labels);
    Histogram, Histogram, |metric| Self::with_opts(metric.histogram_opts());
    HistogramVec, Histogram, |metric| Self::new(metric.histogram_opts(), metric.labels);
}

/// Declares a struct of metrics: per field its documentation (which is the help text), its type, its name, its labels
/// in brackets if any, and `buckets:` if it is a histogram. The struct gets `DESCRIPTORS` and `register`.
#[macro_export]
macro_rules! metrics {
    (
        $(#[doc = $struct_doc:expr])*
        $visibility:vis struct $struct:ident {
            $(
                $(#[doc = $doc:expr])+
                $field_visibility:vis $field:ident: $type:ty = $name:literal $(, [$($label:literal),+ $(,)?])? $(, buckets: $buckets:expr)?;
            )*
        }
    ) => {
        $(#[doc = $struct_doc])*
        #[derive(Debug, Clone)]
        $visibility struct $struct {
            $($(#[doc = $doc])+ $field_visibility $field: $type,)*
        }

        impl $struct {
            /// Every metric here, in the order of the declaration.
            $visibility const DESCRIPTORS: &'static [$crate::metrics::Descriptor] = &[
                $($crate::metrics::Descriptor {
                    name: $name,
                    kind: <$type as $crate::metrics::Instrument>::KIND,
                    doc: concat!($($doc, "\n"),+),
                    labels: &[$($($label),+)?],
                    buckets: $crate::metrics!(@buckets $($buckets)?),
                },)*
            ];

            /// Creates the metrics. Fails when a name is malformed or taken.
            $visibility fn register(metrics: &$crate::metrics::Metrics) -> ::std::result::Result<Self, $crate::prometheus_for_macros::Error> {
                let mut descriptors = Self::DESCRIPTORS.iter();
                $(
                    let $field = <$type as $crate::metrics::Instrument>::register(
                        descriptors.next().expect("a descriptor for each field"),
                        metrics.registry(),
                    )?;
                )*
                Ok(Self { $($field),* })
            }
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:expr) => { $buckets };
}

#[cfg(test)]
mod tests {
    use prometheus::proto::MetricType;

    use super::*;
    use crate::metrics::{Metrics, STANDARD};

    crate::metrics! {
        struct ShopMetrics {
            /// Customers served,
            /// by till.
            served: IntCounterVec = "shop_customers_served_total", ["till", "day"];
            /// Customers inside.
            inside: IntGauge = "shop_customers_inside";
            /// How long a visit took.
            visit: HistogramVec = "shop_visit_seconds", ["till"], buckets: &[1.0, 5.0];
            /// Money in the till.
            money: Gauge = "shop_money";
        }
    }

    /// Exports must equal their declarations: names, kinds, help texts and labels.
    #[test]
    fn declarations_and_exports_agree() {
        let metrics = Metrics::new("shop", "1", Some("abc"));
        let shop = ShopMetrics::register(&metrics).unwrap();
        shop.served.with_label_values(&["1", "monday"]).inc();
        shop.visit.with_label_values(&["1"]).observe(2.0);
        shop.inside.set(3);
        shop.money.set(1.5);

        let families = metrics.registry().gather();
        let declared: Vec<_> = STANDARD.iter().chain(ShopMetrics::DESCRIPTORS).collect();
        assert_eq!(families.len(), declared.len());
        for family in &families {
            let descriptor = declared
                .iter()
                .find(|descriptor| descriptor.name == family.name())
                .unwrap_or_else(|| panic!("{} is not declared", family.name()));
            let kind = match family.get_field_type() {
                MetricType::COUNTER => MetricKind::Counter,
                MetricType::HISTOGRAM => MetricKind::Histogram,
                _ => MetricKind::Gauge,
            };
            let mut labels: Vec<_> = family.get_metric()[0].get_label().iter().map(|label| label.name()).collect();
            let mut expected = descriptor.labels.to_vec();
            labels.sort_unstable();
            expected.sort_unstable();
            assert_eq!(
                (descriptor.kind, descriptor.help().as_str(), expected),
                (kind, family.help(), labels),
                "{}",
                family.name()
            );
        }
        let text = metrics.encode();
        for line in [
            "shop_customers_served_total{day=\"monday\",till=\"1\"} 1",
            "shop_visit_seconds_bucket{till=\"1\",le=\"1\"} 0",
            "shop_visit_seconds_bucket{till=\"1\",le=\"5\"} 1",
            "# HELP shop_customers_served_total Customers served, by till.",
            "build_info{commit=\"abc\",program=\"shop\",version=\"1\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_duplicate_name_is_refused() {
        let metrics = Metrics::new("shop", "1", None);
        ShopMetrics::register(&metrics).unwrap();
        assert!(ShopMetrics::register(&metrics).is_err());
    }

    #[test]
    fn a_histogram_has_three_series() {
        let series: Vec<_> = ShopMetrics::DESCRIPTORS.iter().flat_map(Descriptor::series).collect();
        assert_eq!(series[2..5], ["shop_visit_seconds_bucket", "shop_visit_seconds_sum", "shop_visit_seconds_count"]);
        assert_eq!(series.len(), 6);
    }
}
