//! The demo as a process, on data and a port of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bartizan::clock::Clock;
use serde_json::{Value, json};

use crate::http::{Answer, Call};

/// How long anything that must come may take. Long, for a machine that does much else: only what never
/// comes takes all of it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A running demo. It is killed on drop, and its data removed.
#[derive(Debug)]
pub(crate) struct Demo {
    // Ends before its data is removed.
    process: Process,
    data: Data,
    flags: Vec<String>,
    address: SocketAddr,
}

impl Demo {
    /// Starts one with limits so wide that a test does not meet them.
    pub(crate) fn start() -> Self {
        Self::with(&[
            "--reads-per-second",
            "100000",
            "--writes-per-second",
            "100000",
        ])
    }

    /// Starts one with these flags, and waits until it says that it listens.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let data = Data::new();
        let log = data.log().into();
        Self::on(data, flags, log)
    }

    /// Starts one whose standard error goes elsewhere.
    pub(crate) fn logging_to(log: Stdio) -> Self {
        Self::on(Data::new(), &[], log)
    }

    fn on(data: Data, flags: &[&str], log: Stdio) -> Self {
        let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let (process, address) = spawn(&data, "127.0.0.1:0", &flags, log);
        Self {
            process,
            data,
            flags,
            address,
        }
    }

    /// Kills it as a crash would, and starts it again on the same data.
    pub(crate) fn kill_and_restart(&mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        (self.process, self.address) = spawn(
            &self.data,
            "127.0.0.1:0",
            &self.flags,
            self.data.log().into(),
        );
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.process.terminate();
    }

    /// How it ended, once it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.process.exited()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file that it keeps everything in.
    pub(crate) fn database(&self) -> PathBuf {
        self.data.0.join("demo.sqlite3")
    }

    pub(crate) fn get(&self, path: &str) -> Call {
        Call::new(self.address, "GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        Call::new(self.address, "POST", path)
    }

    /// The cookie of a session.
    pub(crate) fn session(&self, user: &str) -> String {
        let answer = self
            .post("/api/session")
            .json(&json!({ "user": user }))
            .send();
        assert_eq!(answer.status, 204, "{answer:?}");
        let cookie = answer.header("set-cookie").expect("a cookie");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Writes a transaction, and returns its row.
    pub(crate) fn pay(&self, cookie: &str, amount: f64) -> Value {
        let answer = self.try_pay(cookie, amount);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    pub(crate) fn try_pay(&self, cookie: &str, amount: f64) -> Answer {
        let call = self.post("/api/transactions").header("cookie", cookie);
        call.json(&json!({ "amount": amount })).send()
    }

    /// What it wrote on standard error.
    pub(crate) fn told(&self) -> String {
        fs::read_to_string(self.data.0.join("stderr")).unwrap_or_default()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the demo's standard error:\n{}", self.told());
        }
    }
}

/// A process that does not outlive its test.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// How it ended, once it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory, removed on drop.
#[derive(Debug)]
pub(crate) struct Data(pub(crate) PathBuf);

impl Data {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bartizan-demo-test-{}-{next}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where its demo's standard error goes, unless the test says otherwise.
    fn log(&self) -> File {
        File::create(self.0.join("stderr")).unwrap()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The command, with nothing of this test's environment that it would take for a flag.
pub(crate) fn command() -> Command {
    let mut command = Command::new(binary());
    for name in [
        "LISTEN",
        "DATA_DIR",
        "READS_PER_SECOND",
        "WRITES_PER_SECOND",
        "TRUSTED_PROXY",
        "STREAMS_PER_USER",
        "REDIS_URL",
        "DATABASE_URL",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

fn spawn(data: &Data, listen: &str, flags: &[String], log: Stdio) -> (Process, SocketAddr) {
    let process = command()
        .args(["--listen", listen, "--data-dir"])
        .arg(&data.0)
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the demo was built");
    let mut process = Process(process);
    let stdout = process.0.stdout.take().expect("piped");
    let (lines, first) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    let first = first.recv_timeout(DEADLINE);
    let address = first
        .ok()
        .and_then(|line| line.strip_prefix("listening on http://")?.parse().ok());
    let Some(address) = address else {
        let told = fs::read_to_string(data.0.join("stderr")).unwrap_or_default();
        panic!("the first line of standard output says where it listens\n{told}");
    };
    (process, address)
}

/// Builds the demo once, unless `cargo test` has, and says where it is.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", "demo"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo runs this test");
        assert!(built.success(), "the demo does not compile");
        // This program is `target/debug/deps/demo-..`.
        let this = std::env::current_exe().unwrap();
        let profile = this.ancestors().nth(2).expect("cargo's layout");
        profile.join("examples/demo")
    })
}

/// Asks until there is an answer; panics with `what` when there is none.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_within(DEADLINE, what, condition)
}

/// The same, where it matters how long that takes.
#[track_caller]
pub(crate) fn wait_within<T>(
    deadline: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let clock = Clock::new();
    let started = clock.now();
    loop {
        if let Some(met) = condition() {
            return met;
        }
        assert!(
            clock.now().since(started) < deadline,
            "not within {deadline:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
