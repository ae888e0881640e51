use std::ffi::OsString;

use service_kit::config::Secret;

use super::*;

const SIGNING: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

fn load_with(changes: &[(&str, &str)], needs: Needs) -> Result<Vec<Job>, ConfigError> {
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
    let parse = |url: &str| SourceSettings::parse(&Secret::from(url.to_owned())).unwrap();
    let source = parse("postgresql://m%40e:p%3Aw@h/d%20b");
    assert_eq!((source.user.as_str(), source.database.as_str()), ("m@e", "d b"));
    assert_eq!(source.password.unwrap().expose(), "p:w");
    let socket = parse("postgres://me@%2Frun%2Fpostgresql/shop");
    assert_eq!(socket.socket_path().to_str(), Some("/run/postgresql/.s.PGSQL.5432"));
    assert_eq!(parse("postgres://me@h?host=/tmp").host, "/tmp");
}

/// Each fault is stated where it was made: at the key of the file, at the variable, or at `--set`. A missing setting is stated at
/// the job that lacks it, and a fault outside `jobs` once.
#[test]
fn a_fault_names_the_place_where_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup.yaml");
    std::fs::write(
        &path,
        "workers: lots\nstore:\n  bukket: b\njobs:\n  - name: one\n    parts_in_flight: 2\n    signing_key: hunter2\n  - name: two\n    signing_key_file: /none\n",
    )
    .unwrap();
    let variables = [
        ("BACKUP_SOURCE_URL", "postgres://me:secret@db:5433/shop"),
        ("BACKUP_STORE_ACCESS_KEY", "a"),
        ("BACKUP_STORE_SECRET_KEY", "s"),
        ("BACKUP_STORE_BUCKET", ""),
        ("BACKUP_SIGNING_KEY", SIGNING),
        ("BACKUP_KEEP_FLOOR", "0"),
    ];
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let overrides = [("BACKUP_LEASE".to_owned(), "long".to_owned())];
    let ConfigError(faults) = load_from(variables[..3].to_vec(), Some(&path), &[], RUN).unwrap_err();
    let at = format!("{}:", path.display());
    assert!(faults.contains(&format!("{at}5: jobs[0].store_bucket: is missing; set it: {}", bucket_help())), "{faults:#?}");
    assert!(faults.contains(&format!("{at}8: jobs[1].store_bucket: is missing; set it: {}", bucket_help())), "{faults:#?}");
    assert!(faults.iter().any(|fault| fault.contains("did you mean store_bucket?")), "{faults:#?}");
    let ConfigError(faults) = load_from(variables.to_vec(), Some(&path), &overrides, RUN).unwrap_err();
    for expected in [
        "1: workers: is \"lots\", expected a whole number",
        "3: store.bukket: is not a setting of this program; did you mean BACKUP_STORE_BUCKET? Otherwise remove it",
        "6: jobs[0].parts_in_flight: is not larger than workers; set it to at least one more than workers",
        "7: jobs[0].signing_key: is not an Ed25519 key",
        "9: jobs[1].signing_key_file: names /none, which cannot be read",
    ] {
        let expected = format!("{at}{expected}");
        let stated = faults.iter().filter(|fault| fault.starts_with(&expected)).count();
        assert_eq!(stated, 1, "{expected}: {faults:#?}");
    }
    for expected in
        ["BACKUP_KEEP_FLOOR is 0, outside 1 to", "BACKUP_STORE_BUCKET is empty", "--set lease: is \"long\", not a span"]
    {
        assert_eq!(faults.iter().filter(|fault| fault.starts_with(expected)).count(), 1, "{expected}: {faults:#?}");
    }
    assert!(!faults.iter().any(|fault| fault.contains("hunter2")), "{faults:#?}");
}

fn bucket_help() -> String {
    let help = help();
    let line = help.lines().find(|line| line.starts_with("BACKUP_STORE_BUCKET ")).unwrap();
    line.split_once("required").unwrap().1.trim().to_owned()
}

/// A limit of zero would fail every attempt. The server reads a `lock_timeout` of zero as no limit, and refuses one above 24 days.
#[test]
fn limits_of_time_have_bounds() {
    let values = [
        ("BACKUP_LOCK_WAIT", "0s"),
        ("BACKUP_LOCK_WAIT", "577h"),
        ("BACKUP_LEASE", "0ms"),
        ("BACKUP_STALL_LIMIT", "0s"),
        ("BACKUP_MAX_DURATION", "0s"),
        ("BACKUP_CHECK_TIMEOUT", "0s"),
        ("BACKUP_HOOK_TIMEOUT", "0s"),
        ("BACKUP_SHUTDOWN_DEADLINE", "0s"),
        ("BACKUP_STORE_CONNECT_TIMEOUT", "0s"),
        ("BACKUP_STORE_REQUEST_TIMEOUT", "0s"),
        ("BACKUP_STORE_OBJECT_LOCK_FOR", "0h"),
    ];
    for (name, value) in values {
        let ConfigError(faults) = load_from(vec![(name.into(), value.into())], None, &[], RUN).unwrap_err();
        let stated = format!("{name} is ");
        assert!(
            faults.iter().any(|fault| fault.starts_with(&stated) && fault.contains("outside")),
            "{name}={value}: {faults:#?}"
        );
    }
}
