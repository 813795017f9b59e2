//! Images that cannot be had.

use crate::stack::{Stack, shared};

#[tokio::test]
async fn no_cache_keeps_that_an_image_could_not_be_had() {
    let stack = Stack::start(&[
        ("KITH__MEDIA__URL", "s3://nobody"),
        ("KITH__MEDIA__ENDPOINT", "http://127.0.0.1:1"),
        ("KITH__MEDIA__REGION", "us-east-1"),
        ("KITH__MEDIA__ACCESS_KEY_ID", "key"),
        ("KITH__MEDIA__SECRET_ACCESS_KEY", "secret"),
    ])
    .await;
    for (kith, status) in [(shared().await, 404), (stack.client(), 200)] {
        let answer = kith.get(&format!("/media/{}.png", "0".repeat(64))).await;
        assert_eq!((answer.status, answer.header("cache-control")), (status, Some("no-store")), "{}", answer.text);
        assert_eq!(answer.header("x-kith-failure").is_some(), status == 200);
    }
}
