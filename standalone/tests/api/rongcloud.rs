//! Stacks whose system app has RongCloud for its IM provider.

use crate::stack::Stack;
use std::process::Command;
use std::time::{Duration, Instant};

pub const BASE: &str = "http://im.localhost";

pub fn environment(hosts: &str) -> [(&'static str, String); 9] {
    [
        ("KITH__APPS__KITH__ID", "kith".into()),
        ("KITH__APPS__KITH__SECRET", "tuoyun".into()),
        ("KITH__APPS__KITH__AUTH_TOKEN", "kith-dev-token".into()),
        ("KITH__APPS__KITH__CUSTOMER_SERVICE__ID", "desk".into()),
        ("KITH__APPS__KITH__CUSTOMER_SERVICE__NAME", "客服".into()),
        ("KITH__APPS__KITH__RONGCLOUD__APP_KEY", "rc-key".into()),
        ("KITH__APPS__KITH__RONGCLOUD__APP_SECRET", "rc-secret".into()),
        ("KITH__APPS__KITH__RONGCLOUD__HOSTS", hosts.into()),
        ("KITH__PUBLIC_BASE_URL", BASE.into()),
    ]
}

/// A stack whose system app has these RongCloud hosts.
pub async fn stack(hosts: &str, more: &[(&str, &str)]) -> Stack {
    let environment = environment(hosts);
    let pairs: Vec<(&str, &str)> =
        environment.iter().map(|(k, v)| (*k, v.as_str())).chain(more.iter().copied()).collect();
    Stack::start(&[pairs.as_slice(), &[("RUST_LOG", "info")]].concat()).await
}

pub async fn until(what: &str, within: Duration, mut check: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !check().await {
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub const SOON: Duration = Duration::from_secs(5);

/// `kith outbox …` beside the running stack.
pub fn outbox(stack: &Stack, arguments: &[&str]) -> String {
    let process = stack.processes.values().next().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kith"))
        .arg("outbox")
        .args(arguments)
        .env_clear()
        .envs(process.environment())
        .current_dir(stack.folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
