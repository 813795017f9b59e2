//! The gateway on free ports, against services written for the test.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod documents;
mod failures;
mod forwarding;
mod helpers;
mod hostile;
mod limits;
mod replacing;
mod sockets;
mod upstreams;
