//! Tests of an invalid configuration: every error at once, exit 64, before a port is bound.

use std::process::{Command, Output};

fn exchange(role: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_exchange")).arg(role).env_clear().envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn missing_malformed_unknown_and_contradictory_are_told_together() {
    // A port that is taken: binding it would be the first step to fail.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = exchange(
        "serve",
        &[
            ("EXCHANGE_DATABASE_URL", "mysql://root:hidden@localhost/x"),
            ("EXCHANGE_HTTP_LISTEN", &address),
            ("EXCHANGE_ADMIN_LISTEN", "nowhere"),
            ("EXCHANGE_QUEUE_LIMIT", "2"),
            ("EXCHANGE_QUEU_LIMIT", "4096"),
            ("EXCHANGE_KEY_ENCRYPTION_KEY", "short"),
            ("EXCHANGE_S3_BUCKET", "alone"),
            ("EXCHANGE_HTTP_WRITE_TIMEOUT", "0s"),
            ("EXCHANGE_SHUTDOWN_DEADLINE", "0ms"),
            ("EXCHANGE_CLOCK_BOUND", "48h"),
            ("LOG_FORMAT", "loud"),
        ],
    );
    assert_eq!(ended.status.code(), Some(64));
    let told = String::from_utf8(ended.stderr).unwrap();
    for name in [
        "EXCHANGE_DATABASE_URL is not the address",
        "EXCHANGE_INTERNAL_TOKEN is missing",
        "EXCHANGE_ADMIN_LISTEN is \"nowhere\"",
        "EXCHANGE_QUEUE_LIMIT is 2, outside",
        "EXCHANGE_QUEU_LIMIT is not a setting of this program; did you mean EXCHANGE_QUEUE_LIMIT",
        "EXCHANGE_KEY_ENCRYPTION_KEY is not 64 hexadecimal digits",
        "EXCHANGE_HTTP_WRITE_TIMEOUT is 0ms, outside 100ms to 10m",
        "EXCHANGE_SHUTDOWN_DEADLINE is 0ms, outside 100ms to 10m",
        "EXCHANGE_CLOCK_BOUND is 48h, outside 10ms to 1h",
        "EXCHANGE_S3_ENDPOINT is missing while other EXCHANGE_S3_*",
        "LOG_FORMAT is \"loud\"",
    ] {
        assert!(told.contains(name), "{name} is not in\n{told}");
    }
    assert!(!told.contains("hidden") && !told.contains("cannot be bound"), "{told}");
}

#[test]
fn one_environment_may_serve_every_role() {
    let ended = exchange(
        "migrate",
        &[
            ("EXCHANGE_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
            ("EXCHANGE_QUEUE_LIMIT", "4096"),
            ("EXCHANGE_INTERNAL_TOKEN", "of another role"),
        ],
    );
    // The configuration was valid; the program fails at the unreachable database.
    assert_eq!(ended.status.code(), Some(1));
    let told = String::from_utf8(ended.stdout).unwrap();
    assert!(told.contains("the database is unreachable"), "{told}");
}
