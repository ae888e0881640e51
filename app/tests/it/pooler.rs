//! Tests of PgBouncer. In transaction mode, which assigns each transaction to another session, the exchange reports and refuses
//! it. In session mode it works.

use std::{fs, os::unix::fs::PermissionsExt, process::Stdio};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{
    eventually::until,
    proxy::server_of,
    replica::{TestReplica, database},
};

/// PgBouncer in front of the shared server. It must not run as root.
async fn pgbouncer(url: &str, mode: &str) -> (Child, String) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = std::env::temp_dir().join(format!("pooler-{mode}-{port}"));
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let (start, rest) = url.split_once('@').unwrap();
    let (user, password) = start.strip_prefix("postgres://").unwrap().split_once(':').unwrap();
    let (host, server_port) = server_of(url).split_once(':').unwrap();
    let name = rest.split_once('/').unwrap().1;
    let configuration = folder.join("pgbouncer.ini");
    let text = format!(
        "[databases]\n{name} = host={host} port={server_port} user={user} password={password}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nauth_type = any\npool_mode = {mode}\nunix_socket_dir =\nignore_startup_parameters = extra_float_digits\n"
    );
    fs::write(&configuration, text).unwrap();
    fs::set_permissions(&configuration, fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = Command::new("/usr/sbin/pgbouncer");
    command.arg(&configuration).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    if Command::new("id").arg("-u").output().await.unwrap().stdout == b"0\n" {
        let nobody = 65_534;
        command.uid(nobody).gid(nobody);
    }
    let child = command.spawn().expect("pgbouncer is installed: deploy/local/install");
    until("the pooler listens", || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
    (child, format!("{start}@127.0.0.1:{port}/{name}"))
}

#[tokio::test]
async fn transaction_pooling_is_refused_by_its_name() {
    let url = database().await;
    let (_pooler, pooled) = pgbouncer(&url, "transaction").await;
    let replica = TestReplica::start(&pooled);
    until("it reports the setting", || async {
        replica.reason("database").is_some_and(|reason| reason.contains("set pool_mode = session"))
    })
    .await;
    assert!(!replica.engine.is_leader());
    replica.stop.cancel();
}

#[tokio::test]
async fn session_pooling_serves() {
    let url = database().await;
    let (_pooler, pooled) = pgbouncer(&url, "session").await;
    let replica = TestReplica::leading(&pooled).await;
    replica.create_account("one").await.unwrap();
    replica.end().await;
}
