//! nginx as a reverse proxy, as fast as its configuration makes it.

use super::{Process, Program, free_port, local, postgres::which};
use crate::Result;
use crate::cost::Tree;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

pub struct Nginx {
    process: Process,
    pub address: SocketAddr,
}

impl Nginx {
    /// A worker per core, connections to the upstream kept, no access log.
    pub fn start(folder: &Path, upstream: SocketAddr, workers: usize) -> Result<Self> {
        let folder = folder.join("nginx");
        fs::create_dir_all(&folder)?;
        let (port, place) = (free_port(), folder.display());
        let configuration = format!(
            "worker_processes {workers};
pid {place}/pid;
error_log {place}/error.log warn;
daemon off;
user root;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    upstream up {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://up;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
}}
"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration)?;
        let arguments = ["-c".to_owned(), file.display().to_string(), "-p".to_owned(), folder.display().to_string()];
        let mut process = Program::new("nginx", which("nginx")?, &folder).arguments(arguments).start()?;
        process.until(|| TcpStream::connect(local(port)).is_ok())?;
        Ok(Self { process, address: local(port) })
    }

    pub fn tree(&self) -> Tree {
        self.process.tree()
    }
}
