//! Credentials from AWS's chain, as a pod or a person has them: renewed before they expire, and never logged.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use backup::config::ObjectStoreSettings;
use sqlx::Executor;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    program::{ended, program},
    support::{database, keys, store_settings},
};

/// The agent's keys are not set. The instance metadata service does not exist here.
const FROM_AWS: [(&str, &str); 3] =
    [("BACKUP_STORE_CREDENTIALS", "aws"), ("BACKUP_STORE_ACCESS_KEY", ""), ("BACKUP_STORE_SECRET_KEY", "")];
const NO_INSTANCE: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");
const TOKEN: &str = "token-of-the-pod";

/// A container credentials endpoint. The credentials expire in five seconds, which the client treats as expired.
async fn endpoint(store: &ObjectStoreSettings) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let (counted, (access, secret)) = (Arc::clone(&asked), keys(store));
    let (access, secret) = (access.to_owned(), secret.to_owned());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).to_ascii_lowercase();
            let (status, body) = if head.contains(&format!("authorization: {TOKEN}")) {
                counted.fetch_add(1, Relaxed);
                let expires = jiff::Timestamp::now() + std::time::Duration::from_secs(5);
                let body = serde_json::json!({
                    "AccessKeyId": access, "SecretAccessKey": secret, "Token": "", "Expiration": expires.to_string(),
                });
                ("200 OK", body.to_string())
            } else {
                ("401 Unauthorized", String::new())
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (format!("http://{address}/credentials"), asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_a_container_are_renewed() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let store = store_settings().await;
    let (url, asked) = endpoint(&store).await;
    let mut command = program(&source, &store, &FROM_AWS, &["run"]);
    command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", url).env("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN);
    let (status, text) = tokio::task::spawn_blocking(move || ended(command, &store)).await.unwrap();
    assert_eq!(status, 0, "{text}");
    assert!(!text.contains(TOKEN), "{text}");
    assert!(asked.load(Relaxed) > 1, "asked {} times", asked.load(Relaxed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_the_shared_files_is_used() {
    let (source, _) = database().await;
    let store = store_settings().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let (access, secret) = keys(&store);
    std::fs::write(&file, format!("[nightly]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n")).unwrap();
    let with_profile = |profile: &str| {
        let changes = [&FROM_AWS[..], &[("BACKUP_STORE_PROFILE", profile)]].concat();
        let mut command = program(&source, &store, &changes, &["list"]);
        command.env("AWS_SHARED_CREDENTIALS_FILE", &file).env(NO_INSTANCE.0, NO_INSTANCE.1);
        ended(command, &store)
    };
    let (status, text) = with_profile("nightly");
    assert_eq!(status, 0, "{text}");
    let (status, text) = with_profile("weekly");
    assert!(status == 77, "{status}: {text}");
    let one_line = |line: &str| {
        line.starts_with("backup default: ") && line.contains("no credentials") && line.contains("BACKUP_STORE_PROFILE")
    };
    assert!(text.lines().any(one_line), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_another_source_of_credentials_are_refused() {
    let (source, _) = database().await;
    let store = store_settings().await;
    let refused = |changes: &[(&str, &str)], told: &str| {
        let (status, text) = ended(program(&source, &store, changes, &["list"]), &store);
        assert!(status == 64 && text.contains(told), "{status}: {text}");
    };
    refused(&[("BACKUP_STORE_CREDENTIALS", "aws")], "BACKUP_STORE_ACCESS_KEY");
    refused(&[("BACKUP_STORE_PROFILE", "nightly")], "BACKUP_STORE_CREDENTIALS=aws");
    refused(&[("BACKUP_STORE_CREDENTIALS", "vault")], "choose keys or aws");
    refused(&[("BACKUP_STORE_STORAGE_CLASS", "DEEP_ARCHIVE")], "GLACIER_IR");
    refused(&[("BACKUP_STORE_KMS_KEY", "1234")], "BACKUP_STORE_ENCRYPTION");
    refused(&[("BACKUP_STORE_ENCRYPTION", "rot13")], "AES256");
}
