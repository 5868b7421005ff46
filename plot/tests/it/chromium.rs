//! Pages in headless Chromium. A page sends what it found to the test over a connection within this machine, so that
//! the test waits for the page and not for a time.
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Collects errors and warnings from the first line of the page on; an error ends the visit.
const BEFORE: &str = "<script>window.wrong = [];
window.done = (report) => fetch('/report', { method: 'POST', body: JSON.stringify(report) });
for (const [kind, of] of [['error', (e) => e.message], ['unhandledrejection', (e) => e.reason?.stack ?? e.reason]])
  addEventListener(kind, (e) => { wrong.push(String(of(e))); done({ wrong, panels: [], sliders: [] }); });
console.error = console.warn = (...words) => wrong.push(words.join(' '));
</script>";

/// Operates a page of figures as a reader would, and reports what happened.
pub const READER: &str = include_str!("reader.js");

/// Longest time for a page, in seconds: much more than it takes on a loaded machine.
const PATIENCE: u64 = 300;

/// A browser that is installed, if there is one.
pub fn browser() -> Option<PathBuf> {
    let names = std::env::var("CHROMIUM").map_or_else(
        |_| ["chromium", "chromium-browser", "google-chrome"].map(PathBuf::from).to_vec(),
        |path| vec![PathBuf::from(path)],
    );
    let found = names.into_iter().find(|name| Command::new(name).args(["--version", "--no-sandbox"]).output().is_ok());
    if found.is_none() {
        eprintln!("skipped: chromium, chromium-browser or google-chrome is not installed, and CHROMIUM is not set");
    }
    found
}

/// What `script` in the page passes to `done(…)`.
///
/// # Panics
/// If the page is silent for [`PATIENCE`] seconds, or the browser ends three times without a report.
pub fn visit(browser: &Path, html: &str, script: &str) -> Value {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let html = html.replacen("<head>", &format!("<head>{BEFORE}"), 1);
    let html = html.replacen("</body>", &format!("<script>{script}</script></body>"), 1);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let address = format!("http://{}/", server.local_addr().unwrap());
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let profile = std::env::temp_dir().join(format!("tweedie-chromium-{}-{number}", std::process::id()));
    let start = || {
        let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
                     --disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1280,900";
        Command::new(browser)
            .args(flags.split_whitespace())
            .args([&format!("--user-data-dir={}", profile.display()), &address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Running)
            .unwrap()
    };
    let (mut running, mut starts, begun) = (start(), 1, Instant::now());
    let report = loop {
        match server.accept() {
            Ok((stream, _)) => {
                if let Some(report) = answered(stream, &html) {
                    break report;
                }
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
        assert!(begun.elapsed().as_secs() < PATIENCE, "the page did not report within {PATIENCE} s");
        if let Some(status) = running.0.try_wait().unwrap() {
            assert!(starts < 3, "the browser ended three times without a report: {status}");
            (running, starts) = (start(), starts + 1);
        }
    };
    drop(running);
    let _ = std::fs::remove_dir_all(&profile);
    serde_json::from_str(&report).unwrap()
}

/// A browser that is stopped when it is no longer needed.
struct Running(Child);
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers a request: the page to GET; the body of a POST is returned.
fn answered(stream: TcpStream, html: &str) -> Option<String> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let mut reader = BufReader::new(&stream);
    let mut request = String::new();
    reader.read_line(&mut request).ok()?;
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (status, answer) = match request.split_whitespace().collect::<Vec<_>>()[..] {
        ["GET", "/", _] => ("200 OK", html),
        ["POST", "/report", _] => ("200 OK", ""),
        _ => ("404 Not Found", ""),
    };
    let head = "Content-Type: text/html; charset=utf-8\r\nConnection: close";
    write!(&stream, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).ok()?;
    request.starts_with("POST /report").then(|| String::from_utf8_lossy(&body).into_owned())
}
