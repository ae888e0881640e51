use std::ffi::OsString;

use service_kit::config::Secret;

use super::*;

const SIGNING: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

fn load_with(changes: &[(&str, &str)], needs: Needs) -> Result<Vec<Job>, Faults> {
    let mut settings = vec![
        ("BACKUP_SOURCE_URL", "postgres://me:secret@db:5433/shop"),
        ("BACKUP_STORE_BUCKET", "backups"),
        ("BACKUP_STORE_ACCESS_KEY", "a"),
        ("BACKUP_STORE_SECRET_KEY", "s"),
        ("BACKUP_SIGNING_KEY", SIGNING),
    ];
    settings.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    settings.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    let variables = settings.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    load_from(variables, None, &[], needs)
}

const RUN: Needs = Needs { source: true, signing: true };

#[test]
fn defaults_are_valid() {
    let jobs = load_with(&[], RUN).unwrap();
    let source = jobs[0].source.as_ref().unwrap();
    assert_eq!((source.host.as_str(), source.port, source.database.as_str(), source.tls), ("db", 5433, "shop", TlsMode::Prefer));
    assert_eq!(jobs[0].name, "default");
    assert_eq!(jobs[0].keys.signing.as_ref().unwrap().public_key(), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
}

/// One row per error: the setting, its value, the expected message. No message may repeat a secret.
#[test]
fn every_error_names_its_setting_and_no_secret() {
    for (name, value, told) in [
        ("BACKUP_SOURCE_URL", "", "BACKUP_SOURCE_URL is missing"),
        ("BACKUP_SOURCE_URL", "mysql://me:hunter2@db/x", "does not begin with postgres://"),
        ("BACKUP_SOURCE_URL", "postgres://me:hunter2@db/x?sslmode=maybe", "sslmode"),
        ("BACKUP_SOURCE_URL", "postgres://me:hunter2@db/x?sslkey=/a.key", "only one of sslcert and sslkey"),
        ("BACKUP_SOURCE_URL", "postgres://me:hunter2@db/x?sslcrl=y", "has a parameter"),
        ("BACKUP_SOURCE_URL", "postgres://db/x", "has no user"),
        ("BACKUP_SIGNING_KEY", "hunter2", "is not an Ed25519 key"),
        ("BACKUP_TRUSTED_KEYS", "hunter2", "is not an Ed25519 public key"),
        ("BACKUP_RECIPIENTS", "age1hunter2", "is not an age public key"),
        ("BACKUP_STORE_BUCKET", "", "BACKUP_STORE_BUCKET is missing"),
        ("BACKUP_STORE_ENDPOINT", "s3.example", "http:// or https://"),
        ("BACKUP_STORE_PART_MIB", "4", "outside 5 to 512"),
        ("BACKUP_STORE_OBJECT_LOCK", "strict", "governance or compliance"),
        ("BACKUP_PARTS_IN_FLIGHT", "2", "is not larger than BACKUP_WORKERS"),
        ("BACKUP_NAME", "a/b", "BACKUP_NAME"),
        ("BACKUP_KEEP_FLOOR", "0", "outside 1 to"),
        ("BACKUP_TARGET_URL", "postgres://db/x", "BACKUP_TARGET_URL has no user"),
        ("BACKUP_RESTORE_MAINTENANCE_MEMORY", "lots", "is not an amount of memory"),
        ("BACKUP_WORKRS", "2", "did you mean BACKUP_WORKERS"),
    ] {
        let told_all = load_with(&[(name, value)], RUN).unwrap_err().to_string();
        assert!(told_all.contains(told), "{name}={value}: {told_all}");
        assert!(!told_all.contains("hunter2"), "{told_all}");
    }
}

#[test]
fn a_reader_needs_trusted_keys_but_no_source() {
    let absent = [("BACKUP_SOURCE_URL", ""), ("BACKUP_SIGNING_KEY", "")];
    let faults = load_with(&absent, Needs::default()).unwrap_err();
    assert!(faults.to_string().contains("BACKUP_TRUSTED_KEYS is missing"), "{faults}");
    let trusting = [absent[0], absent[1], ("BACKUP_TRUSTED_KEYS", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")];
    assert!(load_with(&trusting, Needs::default()).unwrap()[0].source.is_none());
}

#[test]
fn an_address_with_escapes_or_sockets_is_parsed() {
    let parse = |url: &str| Source::parse(&Secret::from(url.to_owned())).unwrap();
    let source = parse("postgresql://m%40e:p%3Aw@h/d%20b");
    assert_eq!((source.user.as_str(), source.database.as_str()), ("m@e", "d b"));
    assert_eq!(source.password.unwrap().expose(), "p:w");
    let socket = parse("postgres://me@%2Frun%2Fpostgresql/shop");
    assert_eq!(socket.socket_path().to_str(), Some("/run/postgresql/.s.PGSQL.5432"));
    assert_eq!(parse("postgres://me@h?host=/tmp").host, "/tmp");
}
