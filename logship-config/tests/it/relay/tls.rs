//! This module tests a relay that other machines reach: TLS, a token, and changed certificates.

use std::time::Duration;

use logship::{
    client::{CallError, Client, headers::HeaderMap},
    config::{ClusterSettings, CredentialFiles},
};
use rcgen::generate_simple_self_signed;
use serde_json::Value;

use super::world::{APP, World, cluster, numbered};

const TOKEN: &str = "a token of the shipper";
const WITHIN: Duration = Duration::from_secs(10);

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.renew();
        std::fs::write(files.path("token"), TOKEN).unwrap();
        std::fs::write(files.path("wrong-token"), "another token").unwrap();
        files
    }

    fn renew(&self) {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(self.path("certificate.pem"), made.cert.pem()).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

/// The library's own client acts as the shipper: it reads TLS and token files.
async fn send(world: &World, files: &Files, token: &str, ca: &str) -> Result<(u16, Value), CallError> {
    let address = world.url.strip_prefix("http://127.0.0.1").unwrap().strip_suffix("/_bulk").unwrap();
    let settings = ClusterSettings {
        url: format!("https://localhost{address}/").parse().unwrap(),
        credentials: CredentialFiles::ApiKey(files.path(token).into()),
        ca_file: Some(ca.into()),
        timeout: WITHIN,
    };
    let client = Client::new(settings, None).unwrap();
    let reply = client.post_bytes("/_bulk", &[], HeaderMap::new(), numbered(0, 5).into(), WITHIN).await?;
    Ok((reply.status, serde_json::from_slice(&reply.body).unwrap()))
}

#[tokio::test]
async fn a_shipper_elsewhere_needs_the_authority_and_the_token() {
    let files = Files::new();
    let (certificate, key, token) = (files.path("certificate.pem"), files.path("key.pem"), files.path("token"));
    let settings = [
        ("LOGSHIP_RELAY_CERTIFICATE_FILE", certificate.as_str()),
        ("LOGSHIP_RELAY_KEY_FILE", &key),
        ("LOGSHIP_RELAY_TOKEN_FILE", &token),
    ];
    let world = World::start_with(cluster(false), &settings).await;
    let (status, told) = send(&world, &files, "wrong-token", &certificate).await.unwrap();
    assert!(status == 401 && told["error"]["reason"].as_str().unwrap().contains("LOGSHIP_RELAY_TOKEN"), "{told}");
    assert_eq!(world.chunks("unauthorised").await, 1);
    let (status, told) = send(&world, &files, "token", &certificate).await.unwrap();
    assert_eq!((status, &told["errors"]), (200, &false.into()));
    assert_eq!(world.documents(APP).len(), 5);
    assert!(world.try_send(&numbered(0, 5)).await.is_none(), "the relay accepts nothing without TLS");
    assert!(!world.log().contains(TOKEN));

    // A renewed certificate is used without a restart: the old authority does not trust it, the new one does.
    let old = files.path("old.pem");
    std::fs::copy(&certificate, &old).unwrap();
    files.renew();
    world.until("the new certificate", async |world| send(world, &files, "token", &certificate).await.is_ok()).await;
    let told = send(&world, &files, "token", &old).await.unwrap_err().to_string();
    assert!(told.contains("LOGSHIP_CA_FILE"), "{told}");
}

#[test]
fn files_without_a_certificate_are_named_in_the_error() {
    let files = Files::new();
    let (certificate, key, token) = (files.path("certificate.pem"), files.path("key.pem"), files.path("token"));
    let gone = files.path("gone.pem");
    let strange = files.path("other.pem");
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&strange, made.signing_key.serialize_pem()).unwrap();
    for (certificate, key, part) in [
        (&token, &key, "LOGSHIP_RELAY_CERTIFICATE_FILE"),
        (&certificate, &token, "LOGSHIP_RELAY_KEY_FILE"),
        (&certificate, &gone, "LOGSHIP_RELAY_KEY_FILE"),
        (&certificate, &strange, "do not match"),
    ] {
        let program = std::process::Command::new(env!("CARGO_BIN_EXE_logship"))
            .arg("relay")
            .env_clear()
            .envs([
                ("LOGSHIP_ELASTICSEARCH_URL", "http://127.0.0.1:1"),
                ("LOGSHIP_RELAY_STREAMS", APP),
                ("LOGSHIP_RELAY_LISTEN", "127.0.0.1:0"),
                ("LOGSHIP_ADMIN_LISTEN", "127.0.0.1:0"),
                ("LOGSHIP_RELAY_CERTIFICATE_FILE", certificate),
                ("LOGSHIP_RELAY_KEY_FILE", key),
            ])
            .output()
            .unwrap();
        let said = String::from_utf8(program.stderr).unwrap();
        assert!(program.status.code() == Some(64) && said.contains(part) && said.lines().count() == 1, "{said}");
    }
}
