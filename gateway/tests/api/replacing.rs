//! One of two addresses is replaced while requests come in: none may fail.

use crate::helpers::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

struct Load {
    ended: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(gate: &Gate) -> Self {
        let (ended, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let client = |posts: bool| {
            let (ended, done, to) = (Arc::clone(&ended), Arc::clone(&done), gate.public);
            tokio::spawn(async move {
                let mut client = Client::connect(to).await;
                while !ended.load(Ordering::SeqCst) {
                    let (method, body) = if posts { ("POST", "body") } else { ("GET", "") };
                    let answer = client.call(&request(method, A, "", body)).await;
                    assert_eq!((answer.header("x-kith-failure"), answer.text().as_str()), (None, "ok"), "{method}");
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let tasks = [true, false].repeat(4).into_iter().map(client).collect();
        Self { ended, done, tasks }
    }

    async fn more(&self, n: usize) {
        let now = self.done.load(Ordering::SeqCst);
        until("more requests", || {
            self.done.load(Ordering::SeqCst) >= now + n || self.tasks.iter().any(|t| t.is_finished())
        })
        .await;
    }

    async fn end(self) -> usize {
        self.ended.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.expect("no request may fail");
        }
        self.done.load(Ordering::SeqCst)
    }
}

/// A service that can be told to drain as ours do.
async fn service(address: std::net::SocketAddr, word: &'static str) -> (Toy, Arc<AtomicBool>) {
    let draining = Arc::<AtomicBool>::default();
    let told = Arc::clone(&draining);
    let toy = Toy::at(address, move |_| {
        if told.load(Ordering::SeqCst) {
            Reply::Last(OK.replace("\r\n\r\n", &format!("\r\nconnection: close\r\n{word}\r\n")).into())
        } else {
            Reply::raw(OK)
        }
    })
    .await;
    (toy, draining)
}

/// Both addresses one after the other, as a rolling restart does it, three times.
async fn rolling_restart(word: &'static str) {
    let any = "127.0.0.1:0".parse().unwrap();
    let mut services = [service(any, word).await, service(any, word).await];
    let gate = Gate::with(&[services[0].0.address, services[1].0.address], |_| {}).await;
    let load = Load::start(&gate);
    for round in 0..3 {
        for current in &mut services {
            load.more(200).await;
            let (toy, draining) = &*current;
            draining.store(true, Ordering::SeqCst);
            load.more(200).await;
            tokio::time::sleep(millis(30)).await;
            let before = toy.count();
            load.more(200).await;
            assert_eq!(toy.count(), before, "nothing goes to a service that ends");
            // Its listener closes: whatever the kernel accepted for it would now be reset.
            let address = toy.address;
            toy.kill();
            tokio::time::sleep(millis(if round == 0 { 300 } else { 5 })).await;
            *current = service(address, word).await;
            // A rolling restart waits until a process is ready, and then some; the gateway may need its next try to see
            // that it is.
            tokio::time::sleep(millis(500)).await;
        }
    }
    load.more(200).await;
    assert!(load.end().await > 2_000);
    assert_eq!(gate.metric("kith_upstream_errors_total").await, 0.0);
}

#[tokio::test]
async fn a_rolling_restart_fails_no_request() {
    rolling_restart("x-kith-draining: 1\r\n").await;
}

#[tokio::test]
async fn a_rolling_restart_of_services_that_only_close_fails_no_request() {
    rolling_restart("").await;
}

#[tokio::test]
async fn a_single_service_that_drains_is_used_to_its_end() {
    let (toy, draining) = service("127.0.0.1:0".parse().unwrap(), "x-kith-draining: 1\r\n").await;
    let gate = Gate::to(&toy).await;
    let load = Load::start(&gate);
    load.more(50).await;
    draining.store(true, Ordering::SeqCst);
    load.more(200).await;
    load.end().await;
}
