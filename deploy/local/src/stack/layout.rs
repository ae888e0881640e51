//! Where things are: the run's folder and the ports.

use std::{
    env,
    net::TcpListener,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use local_parts::free_ports;

/// The port of the REST API when `PORT_BASE` says nothing.
pub const DEFAULT_PORT_BASE: u16 = 8080;

/// One run's folder and ports.
#[derive(Debug, Clone)]
pub struct StackLayout {
    /// Data, logs, `endpoints.json`.
    pub folder: PathBuf,
    pub ports: Ports,
}

/// Every port that other programs use. `PORT_BASE` moves them together.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// The proxy in front of the replicas.
    pub rest: u16,
    /// The API of each replica, then its admin listener and its internal one.
    pub replicas: [ReplicaLayout; 2],
    pub worker_admin: u16,
    pub postgres: u16,
    pub s3: u16,
    pub backup_admin: u16,
    pub alertbot: u16,
    pub alertbot_admin: u16,
    pub telegram: u16,
    pub elasticsearch: u16,
    pub relay: u16,
    pub relay_admin: u16,
    pub watch_admin: u16,
    pub postgres_exporter: u16,
    pub node_exporter: u16,
    pub viewer: u16,
    pub traces: u16,
    pub probe_admin: u16,
    pub nginx_status: u16,
    pub nginx_exporter: u16,
    /// HAProxy in front of PostgreSQL, and its metrics.
    pub haproxy: u16,
    pub haproxy_metrics: u16,
    pub prometheus: u16,
    pub alertmanager: u16,
}

/// The ports of one `exchange serve`.
#[derive(Debug, Clone, Copy)]
pub struct ReplicaLayout {
    pub api: u16,
    pub admin: u16,
    pub internal: u16,
}

/// From the REST port to Prometheus's: 8080 and 9090, where people look for them.
const PROMETHEUS_OFFSET: u16 = 1010;
/// To Alertmanager's, 9093.
const ALERTMANAGER_OFFSET: u16 = 1013;
const PORTS: usize = 29;

impl Ports {
    fn from_base(base: u16) -> Result<Self> {
        Self::choose(|offset| {
            let room = || format!("PORT_BASE={base} leaves no room: choose at most {}", u16::MAX - ALERTMANAGER_OFFSET);
            base.checked_add(offset).with_context(room)
        })
    }

    fn free() -> Result<Self> {
        let mut free = free_ports::<PORTS>()?.into_iter();
        Self::choose(|_| free.next().context("more ports are used than were reserved"))
    }

    /// `port` returns the port with an offset from the first.
    fn choose(mut port: impl FnMut(u16) -> Result<u16>) -> Result<Self> {
        Ok(Self {
            rest: port(0)?,
            replicas: [
                ReplicaLayout { admin: port(1)?, internal: port(2)?, api: port(17)? },
                ReplicaLayout { admin: port(18)?, internal: port(19)?, api: port(20)? },
            ],
            worker_admin: port(3)?,
            postgres: port(4)?,
            s3: port(5)?,
            backup_admin: port(6)?,
            alertbot: port(7)?,
            alertbot_admin: port(8)?,
            telegram: port(9)?,
            elasticsearch: port(10)?,
            relay: port(11)?,
            relay_admin: port(12)?,
            watch_admin: port(13)?,
            postgres_exporter: port(14)?,
            node_exporter: port(15)?,
            viewer: port(16)?,
            traces: port(21)?,
            probe_admin: port(22)?,
            nginx_status: port(23)?,
            nginx_exporter: port(24)?,
            haproxy: port(25)?,
            haproxy_metrics: port(26)?,
            prometheus: port(PROMETHEUS_OFFSET)?,
            alertmanager: port(ALERTMANAGER_OFFSET)?,
        })
    }

    fn all(self) -> [(&'static str, u16); PORTS] {
        let [first, second] = self.replicas;
        [
            ("the API", self.rest),
            ("the first server", first.api),
            ("the first server's admin listener", first.admin),
            ("the first server's internal listener", first.internal),
            ("the second server", second.api),
            ("the second server's admin listener", second.admin),
            ("the second server's internal listener", second.internal),
            ("the worker's admin listener", self.worker_admin),
            ("PostgreSQL", self.postgres),
            ("the S3 server", self.s3),
            ("the backup agent's admin listener", self.backup_admin),
            ("the alert bot's webhook", self.alertbot),
            ("the alert bot's admin listener", self.alertbot_admin),
            ("Telegram's emulator", self.telegram),
            ("the fake of Elasticsearch", self.elasticsearch),
            ("the relay", self.relay),
            ("the relay's admin listener", self.relay_admin),
            ("the admin listener of logship watch", self.watch_admin),
            ("PostgreSQL's exporter", self.postgres_exporter),
            ("the node exporter", self.node_exporter),
            ("the viewer", self.viewer),
            ("the receiver of spans", self.traces),
            ("the probe's admin listener", self.probe_admin),
            ("nginx's status", self.nginx_status),
            ("nginx's exporter", self.nginx_exporter),
            ("HAProxy", self.haproxy),
            ("HAProxy's metrics", self.haproxy_metrics),
            ("Prometheus", self.prometheus),
            ("Alertmanager", self.alertmanager),
        ]
    }
}

impl StackLayout {
    /// `port_base` 0 takes any free ports; without a `folder` it is `.run` in the repository.
    pub fn new(port_base: u16, folder: Option<PathBuf>) -> Result<Self> {
        let ports = if port_base == 0 { Ports::free()? } else { Ports::from_base(port_base)? };
        let folder = match folder {
            Some(folder) => std::path::absolute(folder).context("looking for the folder of the run")?,
            None => repository()?.join(".run"),
        };
        Ok(Self { folder, ports })
    }

    /// Fails when another process listens on one of the ports.
    pub fn check_ports(&self) -> Result<()> {
        for (purpose, port) in self.ports.all() {
            if TcpListener::bind(("127.0.0.1", port)).is_err() {
                bail!("port {port}, meant for {purpose}, is taken: end what uses it, or move every port with PORT_BASE=18080");
            }
        }
        Ok(())
    }

    pub fn log(&self, part: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{part}.log"))
    }

    pub fn supervisor_configuration(&self) -> PathBuf {
        self.folder.join("supervisord.conf")
    }

    pub fn supervisor_pid_file(&self) -> PathBuf {
        self.folder.join("supervisord.pid")
    }

    pub fn endpoints(&self) -> PathBuf {
        self.folder.join("endpoints.json")
    }

    /// The simulator's own copy of the endpoints: it starts before the file for everybody is complete.
    pub fn simulator_endpoints(&self) -> PathBuf {
        self.folder.join("simulator-endpoints.json")
    }

    /// The rules that `make alert` writes, in addition to those of the repository.
    pub fn demonstration_rules(&self) -> PathBuf {
        self.folder.join("demonstration.yml")
    }

    /// The accounts that the simulator trades with.
    pub fn simulator_accounts(&self) -> PathBuf {
        self.folder.join("simulator-accounts.json")
    }
}

pub fn repository() -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    path.canonicalize().with_context(|| format!("looking for the repository at {}", path.display()))
}

/// A program of this repository, built into the same folder.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = env::current_exe().context("looking for this program")?.with_file_name(name);
    anyhow::ensure!(path.is_file(), "{} is not built: run `make build`", path.display());
    Ok(path)
}

/// The address of a port on loopback.
pub fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_moves_every_port() {
        let (first, moved) = (Ports::from_base(8080).unwrap().all(), Ports::from_base(18080).unwrap().all());
        assert!(first.iter().zip(&moved).all(|((_, port), (_, other))| other - port == 10_000));
        assert_eq!((first[0].1, first[PORTS - 2].1, first[PORTS - 1].1), (8080, 9090, 9093));
        assert!(StackLayout::new(65_000, None).unwrap_err().to_string().contains("at most 64522"));
    }

    #[test]
    fn a_taken_port_is_told_with_its_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut layout = StackLayout::new(DEFAULT_PORT_BASE, None).unwrap();
        layout.ports = Ports { rest: taken.local_addr().unwrap().port(), ..layout.ports };
        let error = layout.check_ports().unwrap_err().to_string();
        assert!(error.contains("meant for the API, is taken") && error.contains("PORT_BASE"), "{error}");
    }
}
