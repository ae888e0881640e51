//! This module runs nginx in front of the replicas, with the settings of the cluster's ingress. It must not have settings of its own
//! but addresses, and no limit per address: everything local comes from one address.

use std::fs;

use anyhow::{Context, Result, ensure};
use local_parts::{Launch, StopSignal, find_program};

use super::layout::{self, StackLayout};

/// The configuration that `make deployment` tests.
const CONFIGURATION: &str = "deploy/infrastructure/ingress/nginx.conf";
/// The limit of production is per address.
const LIMIT: &str = "rate=200r/s";
const LOCAL_LIMIT: &str = "rate=100000r/s";

/// Prepares nginx; it answers once a replica does.
pub fn launch_proxy(layout: &StackLayout) -> Result<Launch> {
    let folder = layout.folder.join("nginx");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let source = layout::repository()?.join(CONFIGURATION);
    let text = fs::read_to_string(&source).with_context(|| format!("reading {}", source.display()))?;
    let text = with_status(&completed(&text, layout)?, layout.ports.nginx_status)?;
    let file = folder.join("nginx.conf");
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    let arguments = [
        "-c".into(),
        file.into_os_string(),
        "-p".into(),
        folder.clone().into_os_string(),
        "-e".into(),
        folder.join("error.log").into_os_string(),
        "-g".into(),
        "daemon off;".into(),
    ];
    Ok(Launch::new("nginx", find_program("nginx")?, arguments, Vec::new(), StopSignal::Quit))
}

fn completed(text: &str, layout: &StackLayout) -> Result<String> {
    let [first, second] = layout.ports.replicas;
    let mut text = text.to_owned();
    for (written, ours) in [
        ("WORK", layout.folder.join("nginx").to_string_lossy().into_owned()),
        ("UPSTREAM_ONE", first.api.to_string()),
        ("UPSTREAM_TWO", second.api.to_string()),
        ("LISTEN", layout.ports.rest.to_string()),
        (LIMIT, LOCAL_LIMIT.to_owned()),
        ("burst=400", "burst=100000".to_owned()),
    ] {
        ensure!(text.contains(written), "{CONFIGURATION} does not contain {written:?}");
        text = text.replace(written, &ours);
    }
    // Workers of a root nginx change their user, and then cannot write into the folder of the run.
    Ok(if rustix::process::geteuid().is_root() { format!("user root;\n{text}") } else { text })
}

/// Adds the page that the exporter reads; the cluster's controller has it too.
fn with_status(text: &str, port: u16) -> Result<String> {
    let (before, end) = text.rsplit_once('}').context("the configuration ends with a brace")?;
    let status = format!(
        "    server {{\n        listen 127.0.0.1:{port};\n        location = /stub_status {{\n            stub_status;\n        }}\n    }}\n"
    );
    Ok(format!("{before}{status}}}{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::DEFAULT_PORT_BASE;

    #[test]
    fn the_proxy_has_the_settings_of_the_ingress_and_local_addresses() {
        let layout = StackLayout::new(DEFAULT_PORT_BASE, Some("/run".into())).unwrap();
        let text = fs::read_to_string(layout::repository().unwrap().join(CONFIGURATION)).unwrap();
        let ours = completed(&text, &layout).unwrap();
        for expected in
            ["listen 127.0.0.1:8080;", "server 127.0.0.1:8097 ", "server 127.0.0.1:8100 ", "/run/nginx/error.log", "least_conn;"]
        {
            assert!(ours.contains(expected), "{expected}: {ours}");
        }
        assert!(completed("nothing to replace", &layout).is_err());
        let status = with_status("http {\n}\n", 9).unwrap();
        assert!(
            status.starts_with("http {\n    server {\n        listen 127.0.0.1:9;") && status.ends_with("    }\n}\n"),
            "{status}"
        );
    }
}
