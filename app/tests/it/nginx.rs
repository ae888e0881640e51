//! This module is nginx with the settings that the annotations of the deployment's Ingress become, in front of servers of a test.

use std::{fmt::Write, path::PathBuf, process::Stdio};

use tokio::process::{Child, Command};

use crate::{eventually::until, rolling::free_port};

const PROGRAM: &str = "/usr/sbin/nginx";
const CONFIGURATION: &str = include_str!("../../../deploy/infrastructure/ingress/nginx.conf");
/// The limit of the Ingress, in requests a second of one client.
pub const LIMITED: &str = "rate=200r/s";
/// For a load that comes from one address.
pub const UNLIMITED: &str = "rate=1000000r/s";

/// Prints the reason if this machine has no nginx.
pub fn is_missing() -> bool {
    let missing = !std::path::Path::new(PROGRAM).exists();
    if missing {
        println!("skipped: {PROGRAM} is missing; install the package nginx");
    }
    missing
}

/// A running nginx.
pub struct Nginx {
    child: Child,
    folder: PathBuf,
    pub api: String,
}

impl Nginx {
    pub async fn start(servers: &[u16], rate: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("exchange-nginx-{}", rand::random::<u64>()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = free_port().await;
        let mut upstream = String::new();
        for server in servers {
            writeln!(upstream, "        server 127.0.0.1:{server} max_fails=0;").unwrap();
        }
        let lines: String = CONFIGURATION
            .lines()
            .filter(|line| !line.contains("UPSTREAM_TWO"))
            .map(|line| if line.contains("UPSTREAM_ONE") { upstream.clone() } else { format!("{line}\n") })
            .collect();
        let configuration = lines
            .replace("WORK", &folder.display().to_string())
            .replace("LISTEN", &port.to_string())
            .replace(LIMITED, rate)
            .replacen("worker_processes 2;", "daemon off;\nmaster_process off;", 1);
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let child = Command::new(PROGRAM)
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(folder.join("start.log"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let api = format!("http://127.0.0.1:{port}");
        until("nginx answers", || async { reqwest::get(format!("{api}/api/v3/ping")).await.is_ok_and(|r| r.status() == 200) })
            .await;
        Self { child, folder, api }
    }

    pub async fn end(mut self) {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(std::process::Command::new("kill").args(["-QUIT", &pid]).status().unwrap().success());
        self.child.wait().await.unwrap();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
