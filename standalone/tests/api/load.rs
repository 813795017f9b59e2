//! A load of registrations while something happens to the servers.

use crate::client::Client;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Registers until it is ended.
pub struct Load {
    stop: Arc<AtomicBool>,
    outcome: Arc<Mutex<Outcome>>,
    workers: Vec<JoinHandle<()>>,
}

/// What became of a load.
#[derive(Default)]
pub struct Outcome {
    /// Who was registered.
    pub answered: Vec<String>,
    /// All other answers.
    pub failures: Vec<Value>,
    pub slowest: Duration,
}

impl Outcome {
    /// Sees that whoever was not registered was told to try again, and nobody waited longer than that.
    #[track_caller]
    pub fn is_clear_within(&self, limit: Duration) {
        let unclear = self.failures.iter().find(|answer| ![json!(503), json!(500)].contains(&answer["errCode"]));
        assert_eq!(unclear, None);
        assert!(self.slowest < limit, "{:?}", self.slowest);
    }
}

impl Load {
    pub fn start(kith: &Client, workers: usize) -> Self {
        let (stop, outcome) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Outcome>>::default());
        let worker = |worker| tokio::spawn(register(kith.clone(), worker, stop.clone(), outcome.clone()));
        Self { workers: (0..workers).map(worker).collect(), stop, outcome }
    }

    /// Waits until so many more are registered, however slow the machine is.
    pub async fn goes_on(&self, more: usize) {
        let answered = || self.outcome.lock().unwrap().answered.len();
        let enough = answered() + more;
        while answered() < enough {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it, and sees that whoever was told to be registered is.
    pub async fn end(self, kith: &Client) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.await.unwrap();
        }
        let outcome = std::mem::take(&mut *self.outcome.lock().unwrap());
        for chunk in outcome.answered.chunks(200) {
            let body = kith.users_info(json!(chunk)).await.ok_b();
            assert_eq!(body["data"].as_array().unwrap().len(), chunk.len(), "an answered registration is gone");
        }
        outcome
    }
}

async fn register(kith: Client, worker: usize, stop: Arc<AtomicBool>, outcome: Arc<Mutex<Outcome>>) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let uid = format!("load-{worker}-{n}");
        let start = Instant::now();
        let answer = kith.register(&uid).await.json();
        let took = start.elapsed();
        let failed = {
            let mut outcome = outcome.lock().unwrap();
            outcome.slowest = outcome.slowest.max(took);
            let failed = answer["errCode"] != 0;
            if failed {
                outcome.failures.push(answer);
            } else {
                outcome.answered.push(uid);
            }
            failed
        };
        if failed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
