//! This module runs nginx instead of the relay: `proxy_pass`, which inspects nothing and loses items that fail inside a 200.

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use local_parts::{ChildProcess, Launch, StopSignal, find_program, free_ports};

use crate::measure::{Whose, send, ticks};

const READY_DEADLINE: Duration = Duration::from_secs(30);

pub struct Nginx {
    process: ChildProcess,
    url: String,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// Returns `None` if nginx is not installed.
    pub async fn start(elasticsearch: SocketAddr) -> Result<Option<Self>> {
        let program = find_program("nginx").or_else(|missing| {
            // Debian installs it outside the path of ordinary users.
            let path = std::path::PathBuf::from("/usr/sbin/nginx");
            if path.is_file() { Ok(path) } else { Err(missing) }
        });
        let Ok(program) = program else { return Ok(None) };
        let folder = tempfile::tempdir().context("making a folder")?;
        let [port]: [u16; 1] = free_ports()?;
        let place = folder.path().display();
        // One process does all the work.
        let configuration = format!(
            "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log; events {{}}\n\
             http {{ access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path \
             {place}/f;\n\
             uwsgi_temp_path {place}/u; scgi_temp_path {place}/s; client_max_body_size 100m; client_body_buffer_size 8m;\n\
             upstream elasticsearch {{ server {elasticsearch}; keepalive 8; }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://elasticsearch; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; }} }} }}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration).context("writing nginx's configuration")?;
        let arguments = ["-c".into(), file.into_os_string(), "-p".into(), folder.path().as_os_str().to_owned()];
        let launch = Launch::new("nginx", program, arguments, Vec::new(), StopSignal::Terminate);
        let mut process = ChildProcess::start(&launch, folder.path())?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://127.0.0.1:{port}/_bulk");
        process.ready(READY_DEADLINE, async || client.get(&url).send().await.is_ok()).await?;
        Ok(Some(Self { process, url, client, _folder: folder }))
    }

    /// Returns seconds of processor time per chunk.
    pub async fn measure(&self, chunks: &[Bytes], times: usize) -> Result<f64> {
        let before = ticks(self.process.pid(), Whose::Own)?;
        for _ in 0..times {
            send(&self.client, &self.url, chunks).await?;
        }
        Ok((ticks(self.process.pid(), Whose::Own)? - before) / (chunks.len() * times) as f64)
    }
}
