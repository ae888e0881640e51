//! An S3 server of one's own: SeaweedFS, with real signatures and checksums.

mod plan;
mod sockets;

#[cfg(test)]
mod tests;

use std::{path::Path, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
    primitives::ByteStream,
};

use crate::{folder::Folder, process::ChildProcess};

pub use plan::ObjectStorePlan;

const READY_DEADLINE: Duration = Duration::from_secs(60);
/// Timeout of one request of the readiness check.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const PROBE_BUCKET: &str = "readiness-probe";
const ATTEMPTS: usize = 3;

/// Where the server's files and ports are.
#[derive(Debug, Clone, Default)]
pub struct ObjectStoreOptions {
    /// A throwaway folder when absent.
    pub folder: Option<PathBuf>,
    /// The port of the S3 listener; a free one when absent. The server's inner ports are always free ones.
    pub port: Option<u16>,
}

/// How to reach an S3 server.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct S3Access {
    pub endpoint: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: String,
}

impl S3Access {
    /// A client with path-style addresses. It does not retry: a test wants to see the first answer.
    pub fn client(&self) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .region(Region::new(self.region.clone()))
            .credentials_provider(Credentials::new(&self.access_key, &self.secret_key, None, None, "local"))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(PROBE_TIMEOUT).build())
            .force_path_style(true)
            .build();
        Client::from_conf(config)
    }

    /// Creates a bucket; one of that name that exists already is as good.
    pub async fn create_bucket(&self, name: &str) -> Result<()> {
        match self.client().create_bucket().bucket(name).send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_bucket_already_owned_by_you() || error.is_bucket_already_exists()) =>
            {
                Ok(())
            }
            Err(error) => Err(error).with_context(|| format!("creating the bucket {name}")),
        }
    }

    /// Whether an object can be written, which comes later than the first answer.
    pub async fn takes_objects(&self) -> bool {
        let put = self.client().put_object().bucket(PROBE_BUCKET).key("probe").body(ByteStream::from_static(b"probe"));
        self.create_bucket(PROBE_BUCKET).await.is_ok() && put.send().await.is_ok()
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        drop(self.process.take());
        sockets::remove(&self.plan.sockets);
    }
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct ObjectStore {
    // Dropped in this order: the server first, then its folder.
    process: Option<ChildProcess>,
    plan: ObjectStorePlan,
    folder: Folder,
}

impl ObjectStore {
    /// Starts a server and waits until it takes objects.
    pub async fn start() -> Result<Self> {
        Self::start_with(ObjectStoreOptions::default()).await
    }

    pub async fn start_with(options: ObjectStoreOptions) -> Result<Self> {
        let folder = match &options.folder {
            Some(path) => Folder::kept(path)?,
            None => Folder::throwaway("object-store")?,
        };
        let mut store = Self { process: None, plan: ObjectStorePlan::prepare(&folder, options.port)?, folder };
        for attempt in 1.. {
            match store.start_again().await {
                Ok(()) => break,
                Err(_) if attempt < ATTEMPTS => store.plan = ObjectStorePlan::prepare(&store.folder, options.port)?,
                Err(error) => return Err(error),
            }
        }
        Ok(store)
    }

    pub fn access(&self) -> &S3Access {
        &self.plan.access
    }

    pub fn endpoint(&self) -> &str {
        &self.plan.access.endpoint
    }

    pub fn access_key(&self) -> &str {
        &self.plan.access.access_key
    }

    pub fn secret_key(&self) -> &str {
        &self.plan.access.secret_key
    }

    pub async fn create_bucket(&self, name: &str) -> Result<()> {
        self.access().create_bucket(name).await
    }

    /// The process id; `None` while stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(ChildProcess::pid)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the server; its objects and address stay.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.stop(self.plan.launch.stop_signal).await?;
        }
        Ok(())
    }

    /// Starts a stopped server at the same address.
    pub async fn start_again(&mut self) -> Result<()> {
        anyhow::ensure!(self.process.is_none(), "the object store is already running");
        let mut process = ChildProcess::start(&self.plan.launch, self.folder.path())?;
        let access = self.plan.access.clone();
        process.ready(READY_DEADLINE, async || access.takes_objects().await).await?;
        self.process = Some(process);
        Ok(())
    }
}
