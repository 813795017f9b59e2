//! An S3 server to test against: moto's, which `scripts/test.sh` starts.

use crate::client::Client;
use crate::stack::Stack;
use service_kit::random;
use tokio::sync::OnceCell;

/// The stack with its media in S3 that tests share; each uses users of its own.
pub async fn shared() -> Client {
    static SHARED: OnceCell<(String, Stack)> = OnceCell::const_new();
    let (url, _) = SHARED
        .get_or_init(|| async {
            let s3 = S3::bucket().await;
            let mut settings = s3.settings("shared").to_vec();
            settings.push(("RUST_LOG", "info"));
            let stack = Stack::start(&settings).await;
            (stack.url.clone(), stack)
        })
        .await;
    Client::new(url)
}

pub struct S3 {
    server: String,
    bucket: String,
    url: std::cell::OnceCell<String>,
}

impl S3 {
    /// A fresh bucket on the run's server.
    pub async fn bucket() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the run's own parameter")]
        let server = std::env::var("KITH_TEST_S3_URL");
        let server =
            server.expect("KITH_TEST_S3_URL must name an S3 server (moto[server] from PyPI): run scripts/test.sh");
        let server = server.trim_end_matches('/').to_owned();
        let bucket = format!("kith-{}", random::hex(6));
        let made = reqwest::Client::new().put(format!("{server}/{bucket}")).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
        Self { server, bucket, url: std::cell::OnceCell::new() }
    }

    /// What a stack needs to keep its media there, below `prefix`.
    pub fn settings(&self, prefix: &str) -> [(&str, &str); 5] {
        let url = self.url.get_or_init(|| format!("s3://{}/{prefix}", self.bucket));
        [
            ("KITH__MEDIA__URL", url),
            ("KITH__MEDIA__ENDPOINT", &self.server),
            ("KITH__MEDIA__REGION", "us-east-1"),
            ("KITH__MEDIA__ACCESS_KEY_ID", "key"),
            ("KITH__MEDIA__SECRET_ACCESS_KEY", "secret"),
        ]
    }

    /// How many objects there are whose names begin with `prefix`.
    pub async fn objects(&self, prefix: &str) -> usize {
        let url = format!("{}/{}?list-type=2&prefix={prefix}", self.server, self.bucket);
        let list = reqwest::get(url).await.unwrap().text().await.unwrap();
        list.matches("<Key>").count()
    }
}
