//! This module tests bad input by running the program: one clear line with the remedy, the documented exit status, and no
//! partial change.

use std::{
    path::Path,
    process::{Command, Output},
};

use elasticsearch_fake::{Cluster, Fake, Mode};

use crate::{place::Place, watching::folder};

fn logship(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logship"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.output().unwrap()
}

/// Returns the program's status and its standard error.
async fn told(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let ran = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        logship(&arguments, &variables)
    });
    let output = ran.await.unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn declared(folder: &Path) -> String {
    folder.display().to_string()
}

fn changes(fake: &Fake) -> usize {
    fake.calls().iter().filter(|(call, _)| call.method != "GET").count()
}

#[tokio::test]
async fn an_unusable_cluster_is_reported_in_one_line_and_unchanged() {
    let set = declared(&folder());
    let read_only = [("cluster.blocks.read_only".to_owned(), "true".to_owned())].into();
    let cases: [(&str, Cluster, i32, &str); 6] = [
        ("red", Cluster { health: "red".into(), ..Cluster::default() }, 75, "health is red"),
        ("read-only", Cluster { settings: read_only, ..Cluster::default() }, 75, "cluster.blocks.read_only is true"),
        (
            "older major",
            Cluster { version: "8.19.3".into(), ..Cluster::default() },
            78,
            "Elasticsearch 8.19.3, an unsupported older major release; upgrade it to 9.x",
        ),
        ("newer major", Cluster { version: "10.0.0".into(), ..Cluster::default() }, 78, "use a newer logship"),
        (
            "serverless",
            Cluster { mode: Mode::Serverless, ..Cluster::default() },
            78,
            "Elastic Cloud Serverless, which has no index lifecycle",
        ),
        (
            "unauthorised",
            Cluster { authorization: Some("ApiKey c2VjcmV0".into()), ..Cluster::default() },
            77,
            "correct LOGSHIP_API_KEY_FILE",
        ),
    ];
    for (case, cluster, status, part) in cases {
        let (_client, fake) = Place::fake_of(cluster).await;
        let (exit, line) = told(&["apply", "--declared", &set], &[("LOGSHIP_ELASTICSEARCH_URL", &fake.url())]).await;
        assert_eq!(exit, status, "{case}: {line}");
        assert!(line.contains(part) && line.lines().count() == 1, "{case}: {line}");
        assert_eq!(changes(&fake), 0, "{case}");
    }
}

#[tokio::test]
async fn exit_statuses_of_plan_and_of_faulty_calls() {
    let (_client, fake) = Place::fake().await;
    let set = declared(&folder());
    let url = fake.url();
    let here = [("LOGSHIP_ELASTICSEARCH_URL", url.as_str())];
    assert_eq!(told(&["plan", "--declared", &set], &here).await.0, 2);
    assert_eq!(told(&["apply", "--declared", &set], &here).await.0, 0);
    assert_eq!(told(&["plan", "--declared", &set, "--json"], &here).await.0, 0);
    assert_eq!(told(&["explain", "logs-exchange.app-default"], &here).await.0, 0);
    assert_eq!(told(&["forecast", "--declared", &set, "--json"], &here).await.0, 0);
    assert_eq!(told(&["check", "--declared", &set], &[]).await.0, 0);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (arguments, variables, status, part) in [
        (&["plan", "--declared", &set][..], &[][..], 64, "LOGSHIP_ELASTICSEARCH_URL is missing"),
        (&["plan", "--declared", &set, "--allow-shorter-retention", "logs-ap"], &here, 64, "logs-ap: no lifecycle policy"),
        (&["apply", "--declared", &set, "--allow-shorter-retention", "logs-ap"], &here, 64, "logs-ap: no lifecycle policy"),
        (&["apply", "--declared", &set, "--take-over", "shop"], &here, 64, "no object of the cluster belongs to this owner"),
        (&["plan", "--declared", "/nowhere"], &here, 64, "/nowhere cannot be read"),
        (&["plan", "--jsn"], &here, 64, "unexpected argument"),
        (&["plan", "--declared", &set], &[("LOGSHIP_ELASTICSEARCH_URL", &*format!("http://{nobody}"))], 69, "cannot be reached"),
        (&["plan", "--declared", &set], &[here[0], ("LOGSHIP_API_KEY_FILE", "/nowhere/key")], 64, "/nowhere/key cannot be read"),
        (&["explain", "nothing"], &here, 1, "no data stream or backing index"),
        (&["explain", "logs-exchange.*"], &here, 1, "no data stream or backing index \"logs-exchange.*\""),
        (&["explain", ""], &here, 1, "no data stream or backing index \"\""),
        (&["check"], &[("LOGSHIP_DECLARD", "x")], 64, "LOGSHIP_DECLARD"),
    ] {
        let (exit, line) = told(arguments, variables).await;
        assert!(exit == status && line.contains(part), "{arguments:?}: {exit} {line}");
    }
}

#[tokio::test]
async fn a_guards_refusal_exits_with_73_and_names_the_flag() {
    let (_client, fake) = Place::fake().await;
    let url = fake.url();
    let here = [("LOGSHIP_ELASTICSEARCH_URL", url.as_str())];
    assert_eq!(told(&["apply", "--declared", &declared(&folder())], &here).await.0, 0);
    let shorter = tempfile::tempdir().unwrap();
    for (file, text) in logship::desired::read_files(&folder()).unwrap() {
        let path = shorter.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text.replace("min_age: 30d", "min_age: 3d")).unwrap();
    }
    let set = declared(shorter.path());
    fake.forget_calls();
    let (exit, line) = told(&["apply", "--declared", &set], &here).await;
    assert!(exit == 73 && line.contains("--allow-shorter-retention logs-app allows it"), "{exit} {line}");
    assert!(line.lines().count() == 1 && changes(&fake) == 0, "{line}");
    assert_eq!(told(&["plan", "--declared", &set], &here).await.0, 2);
    assert_eq!(told(&["apply", "--declared", &set, "--allow-shorter-retention", "logs-app"], &here).await.0, 0);
}

#[tokio::test]
async fn invalid_files_are_refused_before_any_request() {
    let (_client, fake) = Place::fake().await;
    for (file, text, part) in [
        ("policies/p.yaml", "phases: [\n", "policies/p.yaml:2: is not valid YAML"),
        ("policies/p.yaml", "phases:\n  hot:\n    min_age: 3 dayz\n", "policies/p.yaml:3: phases.hot.min_age: is \"3 dayz\""),
        ("policies/p.yaml", "phasen: {}\n", "did you mean phases?"),
        ("policies/p.yaml", "phases: {}\nphases: {}\n", "policies/p.yaml:2: phases: is set twice (first in line 1); remove one"),
        ("streams.yaml", "streams:\n  logs-a-b: {}\n", "matches no declared index template"),
    ] {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("policies")).unwrap();
        std::fs::write(place.path().join(file), text).unwrap();
        let url = fake.url();
        for command in ["check", "plan", "apply", "watch"] {
            let here = [("LOGSHIP_ELASTICSEARCH_URL", url.as_str())];
            let (exit, line) = told(&[command, "--declared", &declared(place.path())], &here).await;
            assert!(exit == 65 && line.contains(part), "{command}: {exit} {line}");
        }
    }
    assert_eq!(fake.calls().len(), 0);
}

#[tokio::test]
async fn files_that_are_not_text_or_declare_a_name_twice() {
    let place = tempfile::tempdir().unwrap();
    let policies = place.path().join("policies");
    std::fs::create_dir_all(&policies).unwrap();
    let set = declared(place.path());
    std::fs::write(policies.join("a.yaml"), "phases: {}\n").unwrap();
    std::fs::write(policies.join("a.yml"), "phases: {hot: {}}\n").unwrap();
    let (exit, line) = told(&["check", "--declared", &set], &[]).await;
    let twice = "policies/a.yml: declares the lifecycle_policy \"a\", and so does policies/a.yaml; remove one of them";
    assert!(exit == 65 && line.contains(twice), "{exit} {line}");
    std::fs::write(policies.join("a.yml"), b"phases: {} # caf\xe9\n").unwrap();
    let (exit, line) = told(&["check", "--declared", &set], &[]).await;
    assert!(exit == 65 && line.contains("policies/a.yml: ") && line.contains("save the file as UTF-8"), "{exit} {line}");
}

/// A file that is not read would be a declaration without effect.
#[tokio::test]
async fn files_that_are_not_yaml_are_faults() {
    let place = tempfile::tempdir().unwrap();
    let policies = place.path().join("policies");
    std::fs::create_dir_all(&policies).unwrap();
    std::fs::write(policies.join("policy.yaml"), "phases: {}\n").unwrap();
    let set = declared(place.path());
    for (file, refused) in [
        ("policies/a.json", true),
        ("policies/a.yaml.orig", true),
        ("policies/a", true),
        ("a.json", true),
        ("README.md", false),
        ("policies/notes.txt", false),
        (".hidden.json", false),
        ("policies/..data.json", false),
    ] {
        let path = place.path().join(file);
        std::fs::write(&path, "{\"phases\": {}}\n").unwrap();
        let (exit, line) = told(&["check", "--declared", &set], &[]).await;
        let says = line.contains(&format!("{file}: is not a YAML file; rename it to end with .yaml"));
        assert_eq!((exit, says), if refused { (65, true) } else { (0, false) }, "{file}: {line}");
        std::fs::remove_file(path).unwrap();
    }
}

/// A closed reader of the output (`| head`) does not end a command.
#[tokio::test]
async fn a_closed_output_changes_neither_work_nor_status() {
    let (_client, fake) = Place::fake().await;
    let (set, url) = (declared(&folder()), fake.url());
    for (arguments, status) in [
        (vec!["plan", "--declared", &set], 2),
        (vec!["apply", "--declared", &set], 0),
        (vec!["plan", "--declared", &set, "--json"], 0),
        (vec!["explain", "logs-exchange.app-default"], 0),
        (vec!["forecast", "--declared", &set], 0),
        (vec!["check", "--declared", &set], 0),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logship"));
        command.args(&arguments).env_clear().env("LOGSHIP_ELASTICSEARCH_URL", &url);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = tokio::task::spawn_blocking(move || command.stdout(writer).output()).await.unwrap().unwrap();
        let line = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.code() == Some(status) && line.is_empty(), "{arguments:?}: {:?} {line}", ran.status);
    }
}

/// At any point of a kill: applied steps remain, and the next run applies the others.
#[tokio::test]
async fn a_killed_apply_is_continued_by_the_next() {
    use elasticsearch_fake::{FaultKind, InjectedFault};
    let set = declared(&folder());
    for path in ["_ilm/policy/logs%2Daccess", "_index_template/logs%2Dexchange%2Eaccess", "audit%2Ddefault"] {
        let (_client, fake) = Place::fake().await;
        let slow = InjectedFault::new(FaultKind::Slow(std::time::Duration::from_secs(20))).at(path).times(1);
        fake.change(|cluster| cluster.faults.add(slow));
        let mut command = Command::new(env!("CARGO_BIN_EXE_logship"));
        command.args(["apply", "--declared", &set]).env_clear().env("LOGSHIP_ELASTICSEARCH_URL", fake.url());
        let mut program = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        let end = tokio::time::Instant::now() + std::time::Duration::from_secs(15);
        while !fake.calls().iter().any(|(call, _)| call.method == "PUT" && call.path.ends_with(path)) {
            assert!(tokio::time::Instant::now() < end, "{path} is not sent");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        program.kill().unwrap();
        assert!(!program.wait().unwrap().success());
        let url = fake.url();
        let here = [("LOGSHIP_ELASTICSEARCH_URL", url.as_str())];
        fake.forget_calls();
        let (exit, line) = told(&["apply", "--declared", &set], &here).await;
        assert!(exit == 0 && changes(&fake) > 0, "{path}: {exit} {line}");
        let again = fake.calls().iter().filter(|(call, _)| call.method == "PUT" && call.path.ends_with(path)).count();
        assert_eq!(again, 0, "{path} was done");
        assert_eq!(told(&["plan", "--declared", &set], &here).await.0, 0, "{path}");
    }
}

#[tokio::test]
async fn mounted_credentials_are_read_again_and_not_shown() {
    let place = tempfile::tempdir().unwrap();
    let key = place.path().join("key");
    std::fs::write(&key, "first:secret-one\n").unwrap();
    let expected = |text: &str| {
        use base64::Engine as _;
        Some(format!("ApiKey {}", base64::engine::general_purpose::STANDARD.encode(text)))
    };
    let cluster = Cluster { authorization: expected("first:secret-one"), ..Cluster::default() };
    let (_open, fake) = Place::fake_of(cluster).await;
    let settings = logship::config::ClusterSettings {
        credentials: logship::config::CredentialFiles::ApiKey(key.clone()),
        ..crate::place::settings(&fake.url())
    };
    let client = logship::client::Client::new(settings, None).unwrap();
    client.get("/").await.unwrap();
    // The key is rotated. The next request works, even if the file was checked a moment ago.
    fake.change(|cluster| cluster.authorization = expected("second:secret-two"));
    std::fs::write(&key, "second:secret-two\n").unwrap();
    client.get("/").await.unwrap();
    fake.change(|cluster| cluster.authorization = expected("fourth:secret-four"));
    std::fs::write(&key, "third:secret-three\n").unwrap();
    let refused = client.get("/").await.unwrap_err();
    assert!(!format!("{refused} {refused:?} {client:?}").contains("secret-"), "{refused}");
}

#[tokio::test]
async fn a_user_and_a_password_are_sent_and_read_again() {
    use base64::Engine as _;
    let expected = |text: &str| Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text)));
    let place = tempfile::tempdir().unwrap();
    let password = place.path().join("password");
    std::fs::write(&password, "secret: one\n").unwrap();
    let cluster = Cluster { authorization: expected("logship:secret: one"), ..Cluster::default() };
    let (_open, fake) = Place::fake_of(cluster).await;
    let settings = logship::config::ClusterSettings {
        credentials: logship::config::CredentialFiles::Basic { username: "logship".into(), password: password.clone() },
        ..crate::place::settings(&fake.url())
    };
    let client = logship::client::Client::new(settings, None).unwrap();
    client.get("/").await.unwrap();
    fake.change(|cluster| cluster.authorization = expected("logship:secret-two"));
    std::fs::write(&password, "secret-two\n").unwrap();
    client.get("/").await.unwrap();
    assert!(!format!("{client:?}").contains("secret"));
}

/// An authority, and the file with its certificate.
fn authority(folder: &Path, name: &str) -> (rcgen::CertifiedKey<rcgen::KeyPair>, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, made.cert.pem()).unwrap();
    (made, file)
}

/// The address of a server with this certificate that answers every request as an older Elasticsearch.
async fn tls_server(served: &rcgen::CertifiedKey<rcgen::KeyPair>) -> String {
    let key = rustls::pki_types::PrivateKeyDer::try_from(served.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![served.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate closes the connection here.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.read(&mut [0; 4096]).await;
                let body = r#"{"version": {"number": "8.0.0"}}"#;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all((head + body).as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    url
}

#[tokio::test]
async fn a_mounted_authority_that_changes_is_read_again() {
    let place = tempfile::tempdir().unwrap();
    let ((served, right), (_, mounted)) = (authority(place.path(), "right.pem"), authority(place.path(), "mounted.pem"));
    let settings =
        logship::config::ClusterSettings { ca_file: Some(mounted.clone()), ..crate::place::settings(&tls_server(&served).await) };
    let client = logship::client::Client::new(settings, None).unwrap();
    assert!(client.get("/").await.unwrap_err().to_string().contains("LOGSHIP_CA_FILE"));
    std::fs::copy(right, mounted).unwrap();
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while let Err(error) = client.get("/").await {
        assert!(tokio::time::Instant::now() < end, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_untrusted_certificate_is_reported_with_its_setting() {
    let place = tempfile::tempdir().unwrap();
    let ((served, right), (_, wrong)) = (authority(place.path(), "right.pem"), authority(place.path(), "wrong.pem"));
    let url = tls_server(&served).await;
    let set = declared(&folder());
    let with = |ca: &Path| [("LOGSHIP_ELASTICSEARCH_URL".to_owned(), url.clone()), ("LOGSHIP_CA_FILE".to_owned(), declared(ca))];
    for (ca, status, part) in [(&wrong, 69, "LOGSHIP_CA_FILE"), (&right, 78, "older major release")] {
        let variables = with(ca);
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (exit, line) = told(&["plan", "--declared", &set], &variables).await;
        assert!(exit == status && line.contains(part) && line.lines().count() == 1, "{exit} {line}");
    }
}
