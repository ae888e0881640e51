//! Tests of `exchange publish`: content-hashed files in the bucket, and servers that read the files of other releases there.

use bytes::Bytes;
use exchange::{assets, media::Replace};
use sha2::{Digest, Sha256};

use crate::{
    exchange::Exchange,
    replica::database,
    worker::test_worker::{bucket, media},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_serves_the_files_of_other_releases_from_the_bucket() {
    let storage = bucket(local_parts::shared_object_store().await.unwrap()).await;
    let store = media(&storage);
    let first = assets::publish_assets(&store).await.unwrap();
    assert!(first.len() >= 7 && first.iter().all(|(_, new)| *new), "{first:?}");
    let again = assets::publish_assets(&store).await.unwrap();
    assert!(again.iter().all(|(_, new)| !new) && again.len() == first.len(), "{again:?}");

    // A file of another release.
    let bytes = Bytes::from_static(b"body { color: red }");
    let other = format!("assets/{}/swagger-ui.css", &hex::encode(Sha256::digest(&bytes))[..32]);
    store.put(&other, bytes.clone(), "text/css", Replace::No).await.unwrap();
    // Not a file of a page: its content is not what its name states.
    let wrong = "assets/00000000000000000000000000000000/swagger-ui.css";
    store.put(wrong, bytes.clone(), "text/css", Replace::No).await.unwrap();

    let exchange = Exchange::on(database().await, move |settings| settings.object_storage = Some(storage)).await;
    let fetch = async |path: &str| exchange.app.http.get(format!("{}/{path}", exchange.app.api)).send().await.unwrap();
    let answer = fetch(&other).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/css; charset=utf-8");
    assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    assert_eq!(answer.bytes().await.unwrap(), bytes);
    for (object, _) in &first {
        assert_eq!(fetch(object).await.status(), 200, "{object}");
    }
    for missing in [wrong, "assets/11111111111111111111111111111111/swagger-ui.css", "assets/x/y", "assets/x/..%2F..%2Fjournal"] {
        assert_eq!(fetch(missing).await.status(), 404, "{missing}");
    }
}
