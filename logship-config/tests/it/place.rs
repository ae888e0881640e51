//! This module selects the cluster of a test: its own fake, or the cluster of `ELASTICSEARCH_URL`. On a real cluster, a test
//! owns objects by their names.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use elasticsearch_fake::{Cluster, Fake};
use logship::{
    actual,
    client::{Client, Method, segment},
    config::{ClusterSettings, CredentialFiles},
    desired::{self, Desired},
    plan::{self, Allowed, Plan},
};
use tokio::sync::{Mutex, MutexGuard};

/// Time limit for a cluster that starts together with the tests.
const REAL_CLUSTER_STARTS_WITHIN: Duration = Duration::from_secs(180);

/// Returns an environment variable with test material or a real cluster.
#[expect(clippy::disallowed_methods, reason = "tests read what the Makefile and the pipeline set")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Prints a line for the reader of the test output. It bypasses the capture, which hides the output of a passing test.
pub fn print_line(line: &str) {
    use std::io::Write as _;
    // If the terminal is closed, the line is lost.
    let _ = writeln!(std::io::stderr(), "{line}");
}

pub fn settings(url: &str) -> ClusterSettings {
    ClusterSettings {
        url: url.parse().unwrap(),
        credentials: CredentialFiles::None,
        ca_file: None,
        timeout: Duration::from_secs(30),
    }
}

pub struct Place {
    pub client: Client,
    pub url: String,
    /// `None` with a real cluster.
    pub fake: Option<Arc<Fake>>,
    _alone: Option<MutexGuard<'static, ()>>,
}

/// Tests delete objects that are declared no longer, and some cases list all objects. On a shared cluster, tests therefore
/// run one at a time.
static SHARED_CLUSTER: Mutex<()> = Mutex::const_new(());

impl Place {
    /// Returns a fake in any environment, for conditions that only a fake can create.
    pub async fn fake() -> (Client, Arc<Fake>) {
        Self::fake_of(Cluster::default()).await
    }

    pub async fn fake_of(cluster: Cluster) -> (Client, Arc<Fake>) {
        let fake = Arc::new(Fake::start(cluster).await.unwrap());
        (Client::new(settings(&fake.url()), None).unwrap(), fake)
    }

    pub async fn any() -> Self {
        match variable("ELASTICSEARCH_URL") {
            Some(url) => {
                let alone = Some(SHARED_CLUSTER.lock().await);
                let client = Client::new(settings(&url), None).unwrap();
                let end = tokio::time::Instant::now() + REAL_CLUSTER_STARTS_WITHIN;
                while let Err(error) = client.get("/_cluster/health").await {
                    assert!(tokio::time::Instant::now() < end, "ELASTICSEARCH_URL: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Self { client, url, fake: None, _alone: alone }
            }
            None => {
                let (client, fake) = Self::fake().await;
                Self { client, url: fake.url(), fake: Some(fake), _alone: None }
            }
        }
    }

    /// On a real cluster, deletes the objects that the test declared. Data streams first, since `apply` never deletes one.
    pub async fn clean(&self, desired: &Desired) {
        if self.fake.is_some() {
            return;
        }
        for stream in desired.streams.keys() {
            let path = format!("/_data_stream/{}", segment(stream));
            self.client.send(Method::Delete, &path, &[], None).await.unwrap_or_else(|error| panic!("{error}"));
        }
        apply(&self.client, &Desired { owner: desired.owner.clone(), ..Desired::default() }).await;
    }
}

pub fn declared(files: &[(&str, &str)]) -> Desired {
    let mut files: BTreeMap<_, _> = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    files.entry("owner.yaml".to_owned()).or_insert_with(|| "owner: tests".to_owned());
    desired::load_desired(&files).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The platform's own set.
pub fn platform() -> Desired {
    logship::check::run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("elasticsearch")).unwrap()
}

pub async fn plan(client: &Client, desired: &Desired) -> Plan {
    plan::plan(desired, &actual::read_cluster(client).await.unwrap(), &Allowed::default())
}

pub async fn apply(client: &Client, desired: &Desired) -> usize {
    logship::apply::run(client, desired, &Allowed::default(), &|_, _| {}).await.unwrap_or_else(|failure| panic!("{failure}"))
}
