//! Password hashes (argon2id), computed on a few threads of their own.

use crate::error::{Code, Error, Result};
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use rand::Rng;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// At some 20 ms each this is as long as callers wait.
const QUEUE: usize = 100;
/// A job that waited so long is not done any more, and its caller is told "busy".
const WAIT: Duration = Duration::from_secs(2);

/// What is checked where there is no hash: as costly as all others, and nobody's password has it. Ready-made, because
/// memory that is hashed in once stays with the process.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// 19 MiB, two passes: OWASP's recommendation.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// The hashing threads. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    jobs: mpsc::Sender<Job>,
    computed: Arc<AtomicU64>,
}

struct Job {
    work: Work,
    queued: Instant,
}

enum Work {
    Hash(String, oneshot::Sender<Result<String>>),
    Verify(String, Arc<str>, oneshot::Sender<Result<bool>>),
}

impl Passwords {
    /// Starts the threads; they end when the last clone is dropped.
    pub fn start(threads: usize) -> Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        let computed = Arc::new(AtomicU64::new(0));
        for n in 0..threads.max(1) {
            let (queue, computed) = (queue.clone(), computed.clone());
            let start = thread::Builder::new().name(format!("argon2-{n}")).spawn(move || work(&queue, &computed));
            start.map_err(|e: io::Error| Error::internal(e))?;
        }
        Ok(Self { jobs, computed })
    }

    /// The hash to store of a password.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let (done, answer) = oneshot::channel();
        self.submit(Work::Hash(password.to_owned(), done), answer).await
    }

    /// Whether the password has this hash. Without one (no such user, no password) the same work is done for
    /// nothing, so that the time tells nobody who exists.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool> {
        let (done, answer) = oneshot::channel();
        let against = Arc::from(hash.unwrap_or(NOBODYS));
        let matches = self.submit(Work::Verify(password.to_owned(), against, done), answer).await?;
        Ok(matches && hash.is_some())
    }

    /// Hashes computed so far.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    async fn submit<T>(&self, work: Work, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        self.jobs.try_send(Job { work, queued: Instant::now() }).map_err(|_full| Error::from(Code::Busy))?;
        match tokio::time::timeout(WAIT, answer).await {
            Ok(Ok(done)) => done,
            // Given up, by the caller or by the thread.
            Ok(Err(_)) | Err(_) => Err(Code::Busy.into()),
        }
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>, computed: &AtomicU64) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Job { work, queued }) = job else { return };
        if queued.elapsed() > WAIT {
            continue;
        }
        match work {
            Work::Hash(password, done) if !done.is_closed() => {
                computed.fetch_add(1, Ordering::Relaxed);
                let _ = done.send(hash(&password));
            }
            Work::Verify(password, against, done) if !done.is_closed() => {
                computed.fetch_add(1, Ordering::Relaxed);
                let _ = done.send(Ok(argon2().verify_password(password.as_bytes(), &*against).is_ok()));
            }
            Work::Hash(..) | Work::Verify(..) => {}
        }
    }
}

fn hash(password: &str) -> Result<String> {
    let mut salt = [0u8; 16];
    rand::rng().fill_bytes(&mut salt);
    match argon2().hash_password_with_salt(password.as_bytes(), &salt) {
        Ok(hash) => Ok(hash.to_string()),
        Err(e) => Err(Error::internal(e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = Passwords::start(1).unwrap();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert!(passwords.verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("wrong horse", Some(&hash)).await.unwrap());
    }

    #[test]
    fn nobodys_hash_is_made_like_all_others() {
        let costs = |hash: &str| hash.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(costs(NOBODYS), costs(&hash("whatever").unwrap()));
        let refused = argon2().verify_password(b"whatever", NOBODYS).unwrap_err();
        assert_eq!(refused, argon2::password_hash::Error::PasswordInvalid, "it is read, and the work is done");
    }

    #[tokio::test]
    async fn an_unknown_user_costs_as_much_work_as_a_wrong_password() {
        let passwords = Passwords::start(1).unwrap();
        assert!(!passwords.verify("whatever", None).await.unwrap());
        assert_eq!(passwords.computed(), 1);
    }
}
