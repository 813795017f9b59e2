//! Jobs on their way to the database threads.

use super::conn::DbConn;
use crate::error::{Code, Error, Result};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What a job may do, and so what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    Transaction,
}

/// A job with the caller who waits for it.
pub(super) struct Task {
    pub kind: Kind,
    pub queued: Instant,
    pub deadline: Instant,
    work: Box<dyn Work>,
}

/// How one run of a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    Ok,
    Err,
    Panicked,
}

impl Task {
    pub fn new<T, F>(kind: Kind, wait: Duration, job: F) -> (Self, oneshot::Receiver<Result<T>>)
    where
        T: Send + 'static,
        F: Fn(&mut DbConn) -> Result<T> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let queued = Instant::now();
        let work = Box::new(Typed { job, result: None, caller });
        (Self { kind, queued, deadline: queued + wait, work }, answer)
    }

    /// Whether somebody still waits for it.
    pub fn is_wanted(&self) -> bool {
        !self.work.is_abandoned() && Instant::now() < self.deadline
    }

    /// Runs the job; the result is kept until `answer`, or until another run.
    pub fn run(&mut self, conn: &mut DbConn) -> Ran {
        self.work.run(conn)
    }

    /// The last run's error.
    pub fn error(&self) -> Option<&Error> {
        self.work.error()
    }

    /// Whatever the job returned, this is what the caller is told.
    pub fn fail(&mut self, error: Error) {
        self.work.fail(error);
    }

    pub fn answer(self) {
        self.work.answer();
    }
}

trait Work: Send {
    fn run(&mut self, conn: &mut DbConn) -> Ran;
    fn error(&self) -> Option<&Error>;
    fn fail(&mut self, error: Error);
    fn is_abandoned(&self) -> bool;
    fn answer(self: Box<Self>);
}

struct Typed<T, F> {
    job: F,
    result: Option<Result<T>>,
    caller: oneshot::Sender<Result<T>>,
}

impl<T, F> Work for Typed<T, F>
where
    T: Send,
    F: Fn(&mut DbConn) -> Result<T> + Send,
{
    fn run(&mut self, conn: &mut DbConn) -> Ran {
        // The connection may be left in any state: whoever called sees to that.
        let (ran, result) = match catch_unwind(AssertUnwindSafe(|| (self.job)(conn))) {
            Ok(Ok(value)) => (Ran::Ok, Ok(value)),
            Ok(Err(e)) => (Ran::Err, Err(e)),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                (Ran::Panicked, Err(Error::internal(format!("a database job panicked: {text}"))))
            }
        };
        self.result = Some(result);
        ran
    }

    fn error(&self) -> Option<&Error> {
        self.result.as_ref().and_then(|r| r.as_ref().err())
    }

    fn fail(&mut self, error: Error) {
        self.result = Some(Err(error));
    }

    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    fn answer(self: Box<Self>) {
        let result = self.result.unwrap_or_else(|| Err(Code::Busy.into()));
        // Nobody there: the caller has given up meanwhile and was told that the outcome is open.
        let _ = self.caller.send(result);
    }
}

/// Why a task was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

/// A bounded queue from many callers to a few threads.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
    limit: usize,
}

#[derive(Default)]
struct Inner {
    tasks: VecDeque<Task>,
    idle: usize,
    closed: bool,
}

impl Queue {
    pub fn new(limit: usize) -> Self {
        Self { inner: Mutex::default(), filled: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No job runs under the lock, so a poisoned one is as good as any.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, task: Task) -> Result<(), Refused> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Refused::Closed);
        }
        if inner.tasks.len() >= self.limit {
            return Err(Refused::Full);
        }
        inner.tasks.push_back(task);
        // Waking costs a system call: only where somebody sleeps.
        let wake = inner.idle > 0;
        drop(inner);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits for a task; `None` once the queue is closed and empty.
    pub fn pop(&self) -> Option<Task> {
        let mut inner = self.lock();
        loop {
            if let Some(task) = inner.tasks.pop_front() {
                return Some(task);
            }
            if inner.closed {
                return None;
            }
            inner.idle += 1;
            inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.idle -= 1;
        }
    }

    pub fn try_pop(&self) -> Option<Task> {
        self.lock().tasks.pop_front()
    }

    pub fn len(&self) -> usize {
        self.lock().tasks.len()
    }

    /// Takes no more tasks; the threads finish what is there.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }
}
