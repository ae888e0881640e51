//! Where tests run: a fake of their own, or the cluster of `ELASTICSEARCH_URL`, whose objects are then this test's by their names.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use elasticsearch_fake::{Cluster, Fake};
use logship::{
    actual,
    client::Client,
    config::{ClusterSettings, CredentialFiles},
    desired::{self, Desired},
    plan::{self, Allowed, Plan},
};

/// A cluster that was started beside the tests.
const REAL_CLUSTER_STARTS_WITHIN: Duration = Duration::from_secs(180);

/// A variable of the environment that brings test material or a real cluster.
#[expect(clippy::disallowed_methods, reason = "tests read what the Makefile and the pipeline set")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
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
    /// `None` beside a real cluster.
    pub fake: Option<Arc<Fake>>,
}

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
                let client = Client::new(settings(&url), None).unwrap();
                let end = tokio::time::Instant::now() + REAL_CLUSTER_STARTS_WITHIN;
                while let Err(error) = client.get("/_cluster/health").await {
                    assert!(tokio::time::Instant::now() < end, "ELASTICSEARCH_URL: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Self { client, fake: None }
            }
            None => {
                let (client, fake) = Self::fake().await;
                Self { client, fake: Some(fake) }
            }
        }
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
