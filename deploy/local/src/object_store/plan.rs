//! From options to folders, credentials and a command line.

use std::{ffi::OsString, fs, path::PathBuf};

use anyhow::{Context, Result};

use super::S3Access;
use crate::{
    binaries,
    folder::Folder,
    launch::{Launch, StopSignal},
    ports::free_ports,
};

/// A small store for one machine; the default volumes of 30 GB would be full after a handful of buckets.
const VOLUME_SIZE_MEGABYTES: u32 = 128;
const VOLUMES: u32 = 500;
/// Limits the server's memory, so that a compiler can run at the same time.
const MEMORY_LIMIT: &str = "256MiB";
const REGION: &str = "us-east-1";

/// A server that is ready to be started, by this process or by a supervisor.
#[derive(Debug, Clone)]
pub struct ObjectStorePlan {
    pub launch: Launch,
    pub access: S3Access,
    /// The address (`host:port`) of its metrics.
    pub metrics: String,
    pub(super) sockets: Vec<PathBuf>,
}

impl ObjectStorePlan {
    /// Reuses credentials that the folder already has.
    pub fn prepare(folder: &Folder, port: Option<u16>) -> Result<Self> {
        let credentials_file = folder.path().join("s3.json");
        let (access_key, secret_key) = match fs::read(&credentials_file) {
            Ok(standing) => credentials(&standing).context("reading s3.json")?,
            Err(_) => (hex::encode_upper(rand::random::<[u8; 10]>()), hex::encode(rand::random::<[u8; 20]>())),
        };
        let identity = serde_json::json!({"identities": [{
            "name": "local",
            "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        fs::write(&credentials_file, identity.to_string()).with_context(|| format!("writing {}", credentials_file.display()))?;
        let data = folder.path().join("data");
        fs::create_dir_all(&data).with_context(|| format!("creating {}", data.display()))?;

        super::sockets::remove_abandoned();
        let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc, iceberg, lance, metrics] = free_ports()?;
        let s3 = port.unwrap_or(s3);
        let mut arguments: Vec<OsString> =
            ["-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"].map(Into::into).to_vec();
        let mut option = |name: &str, value: &dyn std::fmt::Display| arguments.push(format!("-{name}={value}").into());
        for (name, port) in [
            ("master.port", master),
            ("master.port.grpc", master_grpc),
            ("volume.port", volume),
            ("volume.port.grpc", volume_grpc),
            ("filer.port", filer),
            ("filer.port.grpc", filer_grpc),
            ("s3.port", s3),
            ("s3.port.grpc", s3_grpc),
            // Both listen by default, on fixed ports.
            ("s3.port.iceberg", iceberg),
            ("s3.port.lance", lance),
            ("metricsPort", metrics),
        ] {
            option(name, &port);
        }
        option("dir", &data.display());
        option("s3.config", &credentials_file.display());
        option("master.volumeSizeLimitMB", &VOLUME_SIZE_MEGABYTES);
        option("volume.max", &VOLUMES);
        option("master.telemetry", &false);
        let launch = Launch {
            name: "object-store",
            program: binaries::find("weed")?,
            arguments,
            environment: vec![
                // Each bucket would grow seven volumes at once, and with all volumes taken every write fails.
                ("WEED_MASTER_VOLUME_GROWTH_COPY_1".into(), "1".into()),
                ("GOMEMLIMIT".into(), MEMORY_LIMIT.into()),
            ],
            account: None,
            open_input: false,
            stop_signal: StopSignal::Kill,
        };
        let access = S3Access { endpoint: format!("http://127.0.0.1:{s3}"), region: REGION.into(), access_key, secret_key };
        let sockets = super::sockets::of(&[
            ("master-grpc", master_grpc),
            ("volume-grpc", volume_grpc),
            ("filer", filer),
            ("filer-grpc", filer_grpc),
            ("s3", s3),
            ("s3-grpc", s3_grpc),
        ]);
        Ok(Self { launch, access, metrics: format!("127.0.0.1:{metrics}"), sockets })
    }
}

fn credentials(identity: &[u8]) -> Option<(String, String)> {
    let identity: serde_json::Value = serde_json::from_slice(identity).ok()?;
    let text = |name: &str| Some(identity.pointer(&format!("/identities/0/credentials/0/{name}"))?.as_str()?.to_owned());
    Some((text("accessKey")?, text("secretKey")?))
}
