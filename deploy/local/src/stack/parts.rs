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
    haproxy,
    layout::{self, ReplicaLayout, StackLayout, local},
    logging::Logging,
    probe, proxy, traces,
    viewer::{self, Viewer},
};

pub const BUCKET: &str = "exchange";
const DATABASE: &str = "exchange";
/// The names of the servers; their logs have the same names.
pub const REPLICAS: [&str; 2] = ["serve", "serve-2"];
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
pub struct StartedParts {
    pub postgres: PostgresPlan,
    pub object_store: ObjectStorePlan,
    pub prometheus: PrometheusPlan,
    pub haproxy: Launch,
    pub proxy: Launch,
    pub traces: Launch,
    pub replicas: [Launch; 2],
    pub worker: Launch,
    pub probe: Launch,
    pub simulator: Launch,
    pub backup: Launch,
    pub alerting: Alerting,
    pub logging: Logging,
    pub exporters: Exporters,
    pub viewer: Viewer,
    /// What `exchange migrate` and `exchange admin` get too.
    pub environment: Vec<(String, String)>,
}

impl StartedParts {
    /// Prepares folders and command lines; starts nothing but `initdb`.
    pub async fn prepare(layout: &StackLayout) -> Result<Self> {
        let ports = layout.ports;
        let folder = |name: &str| Folder::kept(layout.folder.join(name));
        let postgres = PostgresPlan::prepare(
            &Folder::kept_within_reach(layout.folder.join("postgres"))?,
            &PostgresOptions::default().with_checksums().on_port(ports.postgres),
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
            ("EXCHANGE_DATABASE_URL", through_haproxy(&postgres.url(DATABASE), layout)?),
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

        // The proxy in front of it writes no access stream.
        environment.push(("EXCHANGE_ACCESS_LOG".to_owned(), "true".to_owned()));
        environment.push(("EXCHANGE_TRUSTED_PROXIES".to_owned(), "127.0.0.1/32".to_owned()));

        let exchange = |name: &'static str, role: &str, own: &[(&str, u16)]| -> Result<Launch> {
            let mut environment = environment.clone();
            environment.extend(own.iter().map(|(name, port)| ((*name).to_owned(), local(*port))));
            let launch = Launch::new(name, layout::program("exchange")?, [role], environment, StopSignal::Terminate);
            Ok(traces::exporting(launch, layout))
        };
        let replica = |name, replica: ReplicaLayout| {
            exchange(
                name,
                "serve",
                &[
                    ("EXCHANGE_HTTP_LISTEN", replica.api),
                    ("EXCHANGE_ADMIN_LISTEN", replica.admin),
                    ("EXCHANGE_INTERNAL_LISTEN", replica.internal),
                ],
            )
        };
        let [first, second] = ports.replicas;
        let replicas = [replica(REPLICAS[0], first)?, replica(REPLICAS[1], second)?];
        let worker = exchange("worker", "worker", &[("EXCHANGE_ADMIN_LISTEN", ports.worker_admin)])?;
        let (endpoints, accounts) = (layout.simulator_endpoints().into_os_string(), layout.simulator_accounts().into_os_string());
        let arguments = ["simulate".into(), "--endpoints".into(), endpoints, "--accounts".into(), accounts];
        let simulator =
            Launch::new("simulator", layout::program("exchange-loadgen")?, arguments, Vec::new(), StopSignal::Terminate);
        let backup = traces::exporting(backup::launch_backup(layout, &postgres, DATABASE, &object_store.access)?, layout);
        Ok(Self {
            postgres,
            object_store,
            prometheus,
            haproxy: haproxy::launch_haproxy(layout)?,
            proxy: proxy::launch_proxy(layout)?,
            traces: traces::launch_traces(layout)?,
            replicas,
            probe: traces::exporting(probe::launch_probe(layout)?, layout),
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
        let [first, second] = &self.replicas;
        let exchange = [
            &self.postgres.launch,
            &self.haproxy,
            &self.object_store.launch,
            &self.traces,
            first,
            second,
            &self.proxy,
            &self.worker,
            &self.probe,
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
fn targets(layout: &StackLayout, object_store: &ObjectStorePlan) -> Vec<ScrapeTarget> {
    let ports = layout.ports;
    let jobs = [
        ("exchange-serve", ports.replicas.map(|replica| local(replica.admin)).into()),
        ("exchange-worker", vec![local(ports.worker_admin)]),
        ("exchange-probe", vec![local(ports.probe_admin)]),
        ("backup", vec![local(ports.backup_admin)]),
        ("alertbot", vec![local(ports.alertbot_admin)]),
        ("logship-relay", vec![local(ports.relay_admin)]),
        ("logship-watch", vec![local(ports.watch_admin)]),
        ("object-store", vec![object_store.metrics.clone()]),
        ("alertmanager", vec![local(ports.alertmanager)]),
        ("prometheus", vec![local(ports.prometheus)]),
        ("haproxy", vec![local(ports.haproxy_metrics)]),
    ];
    let target = |(job, addresses): (&str, Vec<String>)| ScrapeTarget { job: job.to_owned(), addresses };
    jobs.map(target).into_iter().chain(Exporters::targets(layout)).collect()
}

/// The database's address with HAProxy's port.
fn through_haproxy(url: &str, layout: &StackLayout) -> Result<String> {
    let port = format!(":{}/", layout.ports.postgres);
    anyhow::ensure!(url.contains(&port), "the address of PostgreSQL names no port");
    Ok(url.replace(&port, &format!(":{}/", layout.ports.haproxy)))
}
