//! These tests check that the server validates requests as a real one does.

use super::*;

#[tokio::test]
async fn keeps_objects_over_a_restart_and_refuses_a_wrong_secret() {
    let mut store = ObjectStore::start().await.unwrap();
    store.create_bucket("statements").await.unwrap();
    store.create_bucket("statements").await.unwrap();
    let client = store.access().client();
    let body = ByteStream::from_static(b"one pear");
    client.put_object().bucket("statements").key("may").body(body).send().await.unwrap();

    let stranger = S3Access { secret_key: "wrong".into(), ..store.access().clone() };
    let refused = stranger.client().get_object().bucket("statements").key("may").send().await.unwrap_err();
    assert_eq!(refused.raw_response().unwrap().status().as_u16(), 403);

    let endpoint = store.endpoint().to_owned();
    store.stop().await.unwrap();
    assert!(client.get_object().bucket("statements").key("may").send().await.is_err());
    store.start_again().await.unwrap();
    assert_eq!(store.endpoint(), endpoint);
    let object = client.get_object().bucket("statements").key("may").send().await.unwrap();
    assert_eq!(object.body.collect().await.unwrap().to_vec(), b"one pear");

    let sockets = store.plan.sockets.clone();
    assert!(sockets.iter().all(|socket| socket.exists()), "{sockets:?}");
    drop(store);
    assert!(!sockets.iter().any(|socket| socket.exists()), "{sockets:?}");
}
