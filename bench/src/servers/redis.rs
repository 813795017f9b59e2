//! A Redis server that keeps nothing.

use super::{Process, Program, free_port, local};
use crate::Result;
use crate::cost::Tree;
use crate::load::{Line, Protocol};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

pub struct Redis {
    process: Process,
    pub address: SocketAddr,
}

impl Redis {
    pub fn start(folder: &Path) -> Result<Self> {
        let port = free_port();
        let arguments = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let mut process = Program::new("redis", "redis-server", folder).arguments(arguments).start()?;
        process.until(|| TcpStream::connect(local(port)).is_ok())?;
        Ok(Self { process, address: local(port) })
    }

    pub fn tree(&self) -> Tree {
        self.process.tree()
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The raw answer to a command.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut line = Line::open(self.address, Protocol::Redis).await?;
            let mut request = Vec::new();
            command(&mut request, words);
            Ok(String::from_utf8_lossy(line.exchange(&request).await?.body).into_owned())
        })
    }
}

/// A command as Redis reads it.
pub fn command<S: AsRef<str>>(out: &mut Vec<u8>, words: &[S]) {
    out.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words.iter().map(AsRef::as_ref) {
        out.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
    }
}
