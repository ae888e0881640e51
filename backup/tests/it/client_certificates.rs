//! A server that accepts only client certificates: backup, restore and the client tools log in with one.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use local_parts::{Postgres, SharedPostgres, StopMode, find_program};
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    program::{ended, program},
    support::{connect, store_settings},
};

const ROLE: &str = "backup_agent";

fn openssl(folder: &Path, arguments: &str) {
    let output =
        Command::new(find_program("openssl").unwrap()).current_dir(folder).args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, a certificate of the server, and one of the role.
fn certificates(folder: &Path) {
    openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt",
    );
    std::fs::write(folder.join("server.ext"), "subjectAltName = IP:127.0.0.1").unwrap();
    std::fs::write(folder.join("client.ext"), "extendedKeyUsage = clientAuth").unwrap();
    for (name, subject) in [("server", "127.0.0.1"), ("client", ROLE)] {
        openssl(
            folder,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={subject} -keyout {name}.key -out {name}.csr"
            ),
        );
        openssl(
            folder,
            &format!(
                "x509 -req -days 2 -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile {name}.ext -out {name}.crt"
            ),
        );
    }
}

/// The server's files, which belong to the account that runs it.
fn server_files(folder: &Path, like: &Path) -> PathBuf {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let own = folder.join("server");
    std::fs::create_dir(&own).unwrap();
    for name in ["ca.crt", "server.crt", "server.key"] {
        std::fs::copy(folder.join(name), own.join(name)).unwrap();
    }
    let rules = format!(
        "local all all trust\nhostssl all {ROLE} 127.0.0.1/32 cert\nhost all {ROLE} all reject\nhost all all 127.0.0.1/32 trust\n"
    );
    std::fs::write(own.join("pg_hba.conf"), rules).unwrap();
    let owner = std::fs::metadata(like).unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(own.join("server.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    for path in [own.clone()].into_iter().chain(std::fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().path())) {
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    own
}

async fn server(files: &Path) -> Postgres {
    let mut postgres = Postgres::start(SharedPostgres::options()).await.unwrap();
    let own = server_files(files, postgres.folder());
    let mut session = connect(&crate::support::source(&postgres.url())).await;
    let file = |name: &str| own.join(name).display().to_string();
    for (setting, value) in [
        ("ssl", "on".to_owned()),
        ("ssl_ca_file", file("ca.crt")),
        ("ssl_cert_file", file("server.crt")),
        ("ssl_key_file", file("server.key")),
        ("hba_file", file("pg_hba.conf")),
    ] {
        session.execute(AssertSqlSafe(format!("ALTER SYSTEM SET {setting} = '{value}'"))).await.unwrap();
    }
    session.execute(AssertSqlSafe(format!("CREATE ROLE {ROLE} LOGIN SUPERUSER"))).await.unwrap();
    postgres.restart(StopMode::Fast).await.unwrap();
    postgres
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_logs_in_with_a_client_certificate() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let postgres = server(folder.path()).await;
    let database = crate::support::source(&postgres.create_database("shop").await.unwrap());
    connect(&database).await.execute("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)").await.unwrap();
    let store = store_settings().await;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let url = |more: &str| {
        let root = path("ca.crt");
        format!("postgres://{ROLE}@127.0.0.1:{}/shop?sslmode=verify-full&sslrootcert={root}{more}", database.port)
    };
    let own = format!("&sslcert={}&sslkey={}", path("client.crt"), path("client.key"));
    let say = |url: &str, arguments: &[&str]| ended(program(&database, &store, &[("BACKUP_SOURCE_URL", url)], arguments), &store);
    let (status, text) = say(&url(""), &["check"]);
    assert!(status == 77 && text.contains("certificate"), "{status}: {text}");
    for (wrong, told) in [
        ("&sslcert=/a.crt", "only one of sslcert and sslkey"),
        ("&sslcert=/a.crt&sslkey=/a.key&sslmode=disable", "sslmode=disable"),
    ] {
        let (status, text) = say(&url(wrong), &["check"]);
        assert!(status == 64 && text.contains(told), "{status}: {text}");
    }
    let (status, text) = say(&url(&own), &["run"]);
    assert!(status == 0 && text.contains("1000 rows"), "{status}: {text}");
    let (status, text) = say(&url(&own), &["restore", "--to", "again"]);
    assert!(status == 0, "{status}: {text}");
    let mut again = connect(&database.with_database("again")).await;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut again).await.unwrap();
    assert_eq!(rows, 1000);
}
