use super::Toy;
use gateway::{HostPort, Settings};
use service_kit::settings::{Common, List, Section};
use service_kit::{Secret, server::Running};
use std::net::SocketAddr;
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

pub const TOKEN: &str = "the gateway token";

/// A gateway on a system of its own.
pub struct Gate {
    pub public: SocketAddr,
    pub internal: SocketAddr,
    commands: UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    Drain,
    Stop,
}

impl Gate {
    /// All services at one toy.
    pub async fn to(toy: &Toy) -> Self {
        Self::with(&[toy.address], |_| {}).await
    }

    pub async fn with(services: &[SocketAddr], change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        settings.listen.set_port(0);
        settings.internal_listen.set_port(0);
        for places in settings.upstreams.0.values_mut() {
            *places = List(services.iter().map(|a| HostPort { host: a.ip().to_string(), port: a.port() }).collect());
        }
        // Nobody but the test shall ask the toys anything.
        settings.docs = false;
        change(&mut settings);
        settings.validate().unwrap();
        let common = Common { gateway_token: Secret::new(TOKEN), workers: 2, ..Common::default() };

        let (commands, mut received) = unbounded_channel();
        let (started, addresses) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let running: Running = gateway::start(common, settings).await.unwrap();
                started.send((running.public, running.internal)).unwrap();
                while let Some(Command::Drain) = received.recv().await {
                    running.drain();
                }
                running.stop().await;
            });
        });
        let (public, internal) = addresses.await.unwrap();
        Self { public, internal, commands, thread: Some(thread) }
    }

    pub fn drain(&self) {
        self.commands.send(Command::Drain).unwrap();
    }

    /// Begins to stop; the end is waited for elsewhere.
    pub fn begin_stop(&self) {
        let _ = self.commands.send(Command::Stop);
    }

    /// Waits until it has ended.
    pub async fn ended(mut self) {
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    }

    /// A metric's value, all its labels together.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = super::get(self.internal, "/metrics").await.text();
        let lines = text.lines().filter(|l| l.starts_with(name) && !l.starts_with('#'));
        lines.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.begin_stop();
    }
}
