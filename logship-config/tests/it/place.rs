//! Where tests run: a fake of their own, or the cluster of `ELASTICSEARCH_URL`, whose objects are then this test's by their names.

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

/// A cluster that was started beside the tests.
const REAL_CLUSTER_STARTS_WITHIN: Duration = Duration::from_secs(180);

/// A variable of the environment that brings test material or a real cluster.
#[expect(clippy::disallowed_methods, reason = "tests read what the Makefile and the pipeline set")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A line for whoever reads the tests' output: past the capture, which shows nothing of a test that passes.
pub fn tell(line: &str) {
    use std::io::Write as _;
    // Nobody reads it when the terminal is gone.
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
    /// `None` beside a real cluster.
    pub fake: Option<Arc<Fake>>,
    _alone: Option<MutexGuard<'static, ()>>,
}

/// What is declared no longer goes, and cases ask for all that there is: on a cluster that tests share, one goes after the other.
static SHARED_CLUSTER: Mutex<()> = Mutex::const_new(());

impl Place {
    /// A fake, whatever the environment says: for what only a fake can bring about.
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

    /// Beside a real cluster: takes away what the test declared. Data streams first, since `apply` never deletes one.
    pub async fn clean(&self, desired: &Desired) {
        if self.fake.is_some() {
            return;
        }
        for stream in desired.streams.keys() {
            let path = format!("/_data_stream/{}", segment(stream));
            self.client.send(Method::Delete, &path, &[], None).await.unwrap_or_else(|error| panic!("{error}"));
        }
        apply(&self.client, &Desired::default()).await;
    }
}

pub fn declared(files: &[(&str, &str)]) -> Desired {
    let files: BTreeMap<_, _> = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    desired::load(&files).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The platform's own set.
pub fn platform() -> Desired {
    logship::check::run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("elasticsearch")).unwrap()
}

pub async fn plan(client: &Client, desired: &Desired) -> Plan {
    plan::plan(desired, &actual::read(client).await.unwrap(), &Allowed::default())
}

pub async fn apply(client: &Client, desired: &Desired) -> usize {
    logship::apply::run(client, desired, &Allowed::default(), &|_, _| {}).await.unwrap_or_else(|failure| panic!("{failure}"))
}
