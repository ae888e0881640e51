//! Storage class and encryption by the store, in the requests that write.

use std::sync::{Arc, Mutex};

use backup::{
    config::{EncryptionMode, ObjectStoreSettings, ServerEncryption},
    metrics::ObjectStoreMetrics,
    store::{Replace, Store},
};
use service_kit::metrics::Metrics;

use crate::{
    faulty_store::{FaultyStore, StoreFault},
    support::store_settings,
};

const REFUSED: &str = "AccessDenied";

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(field, _)| field.eq_ignore_ascii_case(name)))
        .map(|(_, value)| value)
}

/// The test's store has no KMS, so the proxy answers every request.
#[tokio::test(flavor = "multi_thread")]
async fn objects_are_written_with_class_and_key() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let proxy = FaultyStore::before(&store_settings().await, move |request| {
        seen.lock().unwrap().push(request.head.to_owned());
        StoreFault::Answer(403, REFUSED)
    })
    .await;
    let settings = ObjectStoreSettings {
        storage_class: Some("STANDARD_IA".into()),
        encryption: Some(ServerEncryption { mode: EncryptionMode::Kms, key: Some("alias/backups".into()) }),
        ..proxy.settings.clone()
    };
    let store = Store::new(&settings, ObjectStoreMetrics::register(&Metrics::new("backup", "0", None)).unwrap());
    let told = store.put("record", "a".into(), Replace::No).await.unwrap_err().to_string();
    assert!(told.contains("kms:GenerateDataKey"), "{told}");
    assert!(store.put_own("data", "a".into()).await.is_err());
    assert!(store.begin_upload("lane").await.is_err());
    let heads = heads.lock().unwrap();
    let classes: Vec<_> = heads.iter().map(|head| field(head, "x-amz-storage-class")).collect();
    assert_eq!(classes, [None, Some("STANDARD_IA"), Some("STANDARD_IA")], "a record has the default class: {heads:?}");
    for head in heads.iter() {
        assert_eq!(field(head, "x-amz-server-side-encryption"), Some("aws:kms"), "{head}");
        assert_eq!(field(head, "x-amz-server-side-encryption-aws-kms-key-id"), Some("alias/backups"), "{head}");
    }
}
