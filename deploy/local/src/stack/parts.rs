//! The parts of a run, in the order of their start, and the settings that the exchange gets.

use std::time::Duration;

use anyhow::Result;
use local_parts::{
    Folder, Launch, ObjectStorePlan, PostgresOptions, PostgresPlan, PrometheusOptions, PrometheusPlan, ScrapeTarget, StopSignal,
};

use super::{
    alerting::Alerting,
    backup,
    exporters::Exporters,
    layout::{self, Layout, local},
    logging::Logging,
    viewer::{self, Viewer},
};

pub const BUCKET: &str = "exchange";
const DATABASE: &str = "exchange";
const SCRAPE_INTERVAL: Duration = Duration::from_secs(5);
/// Everything local comes from one address and few accounts; the limits of production would throttle the simulator.
const RATE_LIMITS: [(&str, &str); 3] = [
    ("EXCHANGE_RATE_LIMIT_WEIGHT_1M", "600000"),
    ("EXCHANGE_RATE_LIMIT_ORDERS_10S", "10000"),
    ("EXCHANGE_RATE_LIMIT_ORDERS_1D", "100000000"),
];

/// What service discovery of a cluster adds to each target. Boards select by them.
const TARGET_LABELS: [(&str, &str); 3] = [("cluster", "local"), ("namespace", "exchange"), ("node", "this-machine")];

/// Everything that a run starts.
pub struct Parts {
    pub postgres: PostgresPlan,
    pub object_store: ObjectStorePlan,
    pub prometheus: PrometheusPlan,
    pub serve: Launch,
    pub worker: Launch,
    pub simulator: Launch,
    pub backup: Launch,
    pub alerting: Alerting,
    pub logging: Logging,
    pub exporters: Exporters,
    pub viewer: Viewer,
    /// What `exchange migrate` and `exchange admin` get too.
    pub environment: Vec<(String, String)>,
}

impl Parts {
    /// Prepares folders and command lines; starts nothing but `initdb`.
    pub async fn prepare(layout: &Layout) -> Result<Self> {
        let ports = layout.ports;
        let folder = |name: &str| Folder::kept(layout.folder.join(name));
        let postgres = PostgresPlan::prepare(
            &Folder::kept_within_reach(layout.folder.join("postgres"))?,
            &PostgresOptions::default().on_port(ports.postgres),
        )
        .await?;
        let object_store = ObjectStorePlan::prepare(&folder("object-store")?, Some(ports.s3))?;
        let prometheus = PrometheusPlan::prepare(
            &folder("prometheus")?,
            &PrometheusOptions {
                folder: None,
                port: Some(ports.prometheus),
                rules: viewer::rules(layout)?.into_iter().chain([layout.demonstration_rules()]).collect(),
                targets: targets(layout, &object_store),
                target_labels: TARGET_LABELS.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                external_url: None,
                alertmanagers: vec![local(ports.alertmanager)],
                external_labels: Vec::new(),
                interval: SCRAPE_INTERVAL,
            },
        )?;
        let alerting = Alerting::prepare(layout, &prometheus.url)?;
        let logging = Logging::prepare(layout)?;
        let exporters = Exporters::prepare(layout, &postgres, DATABASE)?;
        let viewer = Viewer::prepare(layout, &prometheus.url)?;
        let secret = || hex::encode(rand::random::<[u8; 32]>());
        let mut environment: Vec<(String, String)> = [
            ("EXCHANGE_DATABASE_URL", postgres.url(DATABASE)),
            ("EXCHANGE_INTERNAL_TOKEN", secret()),
            ("EXCHANGE_KEY_ENCRYPTION_KEY", secret()),
            ("EXCHANGE_S3_ENDPOINT", object_store.access.endpoint.clone()),
            ("EXCHANGE_S3_REGION", object_store.access.region.clone()),
            ("EXCHANGE_S3_BUCKET", BUCKET.to_owned()),
            ("EXCHANGE_S3_ACCESS_KEY", object_store.access.access_key.clone()),
            ("EXCHANGE_S3_SECRET_KEY", object_store.access.secret_key.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        environment.extend(RATE_LIMITS.map(|(name, value)| (name.to_owned(), value.to_owned())));

        // No proxy in front of it writes the access stream.
        environment.push(("EXCHANGE_ACCESS_LOG".to_owned(), "true".to_owned()));

        let exchange = |name: &'static str, role: &str, own: &[(&str, u16)]| -> Result<Launch> {
            let mut environment = environment.clone();
            environment.extend(own.iter().map(|(name, port)| ((*name).to_owned(), local(*port))));
            Ok(Launch::new(name, layout::program("exchange")?, [role], environment, StopSignal::Terminate))
        };
        let serve = exchange(
            "serve",
            "serve",
            &[
                ("EXCHANGE_HTTP_LISTEN", ports.rest),
                ("EXCHANGE_ADMIN_LISTEN", ports.serve_admin),
                ("EXCHANGE_INTERNAL_LISTEN", ports.serve_internal),
            ],
        )?;
        let worker = exchange("worker", "worker", &[("EXCHANGE_ADMIN_LISTEN", ports.worker_admin)])?;
        let (endpoints, accounts) = (layout.simulator_endpoints().into_os_string(), layout.simulator_accounts().into_os_string());
        let arguments = ["simulate".into(), "--endpoints".into(), endpoints, "--accounts".into(), accounts];
        let simulator =
            Launch::new("simulator", layout::program("exchange-loadgen")?, arguments, Vec::new(), StopSignal::Terminate);
        let backup = backup::launch(layout, &postgres, DATABASE, &object_store.access)?;
        Ok(Self {
            postgres,
            object_store,
            prometheus,
            serve,
            worker,
            simulator,
            backup,
            alerting,
            logging,
            exporters,
            viewer,
            environment,
        })
    }

    /// In the order of their start.
    pub fn launches(&self) -> Vec<Launch> {
        let exchange = [
            &self.postgres.launch,
            &self.object_store.launch,
            &self.serve,
            &self.worker,
            &self.backup,
            &self.prometheus.launch,
            &self.simulator,
        ];
        let exchange = exchange.map(Clone::clone).into_iter();
        exchange
            .chain(self.alerting.launches())
            .chain(self.logging.launches())
            .chain(self.exporters.launches())
            .chain([self.viewer.launch()])
            .collect()
    }

    pub fn database() -> &'static str {
        DATABASE
    }
}

/// What Prometheus scrapes: a job for each role of a program, and for each part.
fn targets(layout: &Layout, object_store: &ObjectStorePlan) -> Vec<ScrapeTarget> {
    let ports = layout.ports;
    let jobs = [
        ("exchange-serve", local(ports.serve_admin)),
        ("exchange-worker", local(ports.worker_admin)),
        ("backup", local(ports.backup_admin)),
        ("alertbot", local(ports.alertbot_admin)),
        ("logship-relay", local(ports.relay_admin)),
        ("logship-watch", local(ports.watch_admin)),
        ("object-store", object_store.metrics.clone()),
        ("alertmanager", local(ports.alertmanager)),
        ("prometheus", local(ports.prometheus)),
    ];
    let target = |(job, address): (&str, String)| ScrapeTarget { job: job.to_owned(), addresses: vec![address] };
    jobs.map(target).into_iter().chain(Exporters::targets(layout)).collect()
}
