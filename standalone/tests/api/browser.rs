//! A real, headless Chromium, driven over WebDriver (Debian's `chromium` and `chromium-driver`, which
//! `scripts/test.sh` brings). Without one the tests fail.

use crate::process::{free_port, spawn};
use crate::tusers::read_qr;
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// Long enough for a loaded machine; the page itself looks every two seconds.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Browser {
    pub client: Client,
    /// chromedriver and all that it starts, in a process group that ends when our end of its input closes: also
    /// where this test process is killed.
    group: Child,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// How the window is.
#[derive(Clone, Copy)]
pub enum Window {
    Desk,
    /// Of a small phone.
    Phone,
}

impl Browser {
    pub async fn start(window: Window, languages: &str) -> Self {
        // One at a time: a browser takes a core.
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let (port, profile) = (free_port(), TempDir::new().unwrap());
        let mut command = Command::new("setsid");
        command
            .args(["sh", "-c", "chromedriver --port=$0 >/dev/null 2>&1 & cat >/dev/null; kill -9 0", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let group = spawn(command);
        let mut options = json!({
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--no-proxy-server", "--window-size=1000,900", format!("--accept-lang={languages}"),
                format!("--user-data-dir={}", profile.path().display())
            ]
        });
        if let Window::Phone = window {
            options["mobileEmulation"] = json!({"deviceMetrics": {"width": 320, "height": 640, "pixelRatio": 2.0}});
        }
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        let start = Instant::now();
        let client = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            let opened = builder.capabilities(capabilities.clone()).connect(&format!("http://127.0.0.1:{port}")).await;
            match opened {
                Ok(client) => break client,
                Err(e) if start.elapsed() > PATIENCE => {
                    panic!("no browser (Debian's packages chromium and chromium-driver): {e}")
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        Self { client, group, _profile: profile, _turn: turn }
    }

    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Waits until an element is there and shown.
    pub async fn shown(&self, id: &str) -> Element {
        let start = Instant::now();
        loop {
            if let Ok(element) = self.client.find(Locator::Id(id)).await
                && element.is_displayed().await.unwrap_or(false)
            {
                return element;
            }
            if start.elapsed() > PATIENCE {
                panic!("no #{id} in {}", self.client.source().await.unwrap());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn is_shown(&self, id: &str) -> bool {
        match self.client.find(Locator::Id(id)).await {
            Ok(element) => element.is_displayed().await.unwrap_or(false),
            Err(_) => false,
        }
    }

    /// Waits until the page says something.
    pub async fn says(&self, text: &str) {
        let start = Instant::now();
        loop {
            let body = self.run("return document.body.innerText").await;
            if body.as_str().is_some_and(|body| body.contains(text)) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{text:?} is not in {body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Id of the element that has the keyboard.
    pub async fn focused(&self) -> String {
        self.run("return document.activeElement.id").await.as_str().unwrap().to_owned()
    }

    /// To whatever has the keyboard.
    pub async fn press(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    pub async fn sign_in(&self, user: &str, password: &str) {
        let username = self.shown("username").await;
        // It may hold what was typed before.
        username.clear().await.unwrap();
        username.send_keys(user).await.unwrap();
        self.shown("password").await.send_keys(password).await.unwrap();
        self.shown("sign-in").await.click().await.unwrap();
    }

    /// What a phone would read off the screen. The picture is kept under `name` in the build folder.
    pub async fn read_code(&self, name: &str) -> String {
        self.shown("code").await;
        let png = self.picture(name).await;
        let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let (width, height, samples) = (info.width as usize, info.height as usize, info.color_type.samples());
        let luma = |x: usize, y: usize| {
            let at = (y * width + x) * samples;
            let sum: u32 = pixels[at..at + samples.min(3)].iter().map(|&p| u32::from(p)).sum();
            u8::try_from(sum / samples.min(3) as u32).unwrap()
        };
        read_qr(width, height, luma).expect("a QR code in the picture")
    }

    pub async fn picture(&self, name: &str) -> Vec<u8> {
        let png = self.client.screenshot().await.unwrap();
        std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bind-{name}.png")), &png)
            .unwrap();
        png
    }

    pub async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.group.stdin.take());
        let _ = self.group.wait();
    }
}
