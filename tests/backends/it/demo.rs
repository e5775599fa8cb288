//! Two demos on one log, each of which is killed in its turn.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{sleep, spawn};
use std::time::Duration;

use bartizan_process::{Directory, Kind, Process, Server, wait_until};
use server::{Postgres, Redis};

use crate::DEADLINE;

#[test]
fn demos_on_one_database_show_each_others_events_and_lose_none_that_was_acknowledged() {
    let database = Postgres::start();
    let (one, two) = share(&["--database-url", &database.url()]);
    // The books are shared as well: either lists what was written through both.
    for demo in [&one, &two] {
        let listed = demo.ask("GET", "/api/transactions?limit=1000", "").unwrap();
        assert_eq!(listed.matches("\"amount\":1.0,").count(), 40, "{listed}");
    }
}

#[test]
fn demos_on_one_redis_show_each_others_events_and_lose_none_that_was_acknowledged() {
    let redis = Redis::start();
    let _ = share(&["--redis-url", &redis.url()]);
}

#[test]
fn a_database_that_is_away_is_told_takes_no_instance_out_and_comes_back() {
    let mut database = Postgres::start();
    let demo = Demo::start(&["--database-url", &database.url()]);
    let page = Page::open(&demo);
    let pay = || {
        demo.ask("POST", "/api/transactions", r#"{"amount":2.0}"#)
            .unwrap()
    };
    assert!(pay().contains("201 Created"));
    page.next();

    database.kill();
    let told = wait_until(DEADLINE, || {
        let health = demo.ask("GET", "/health", "").unwrap();
        health
            .contains(r#""rootCauses":["database"]"#)
            .then_some(health)
    });
    assert!(told.is_some(), "nobody says what is wrong");
    let refused = pay();
    assert!(refused.contains("503 Service Unavailable"), "{refused}");
    let ready = demo.ask("GET", "/readyz", "").unwrap();
    assert!(
        ready.contains("200 OK"),
        "another instance has no other database: {ready}"
    );

    database.restart();
    wait_until(DEADLINE, || pay().contains("201 Created").then_some(())).unwrap();
    page.next();
}

#[test]
fn a_database_that_cannot_be_reached_is_one_line_without_its_password_and_exit_status_2() {
    let url = "postgres://demo:hunter2@127.0.0.1:1/demo";
    let directory = Directory::new("demo");
    let refused = Command::new(binary())
        .args([
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            url,
            "--data-dir",
        ])
        .arg(directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(
        told.contains("--database-url") && told.contains("127.0.0.1:1"),
        "{told}"
    );
    assert_eq!(
        (told.lines().count(), told.contains("hunter2")),
        (1, false),
        "{told}"
    );
}

/// Writes through two demos, kills each, and holds what two pages saw against what was acknowledged.
fn share(arguments: &[&str]) -> (Demo, Demo) {
    let (mut one, mut two) = (Demo::start(arguments), Demo::start(arguments));
    // The session is opened at one, and good at both.
    two.cookie.clone_from(&one.cookie);
    let pages = [Page::open(&one), Page::open(&two)];
    let mut acknowledged = Vec::new();
    for n in 0..40 {
        match n {
            10 => one.server.kill(),
            20 => one.server.restart(),
            25 => two.server.kill(),
            35 => two.server.restart(),
            _ => {}
        }
        // Whoever is refused asks the other.
        let memo = format!("row {n}");
        let body = format!(r#"{{"amount":1.0,"memo":"{memo}"}}"#);
        let written = [&one, &two]
            .into_iter()
            .cycle()
            .skip(n % 2)
            .take(40)
            .any(|demo| {
                let answer = demo.ask("POST", "/api/transactions", &body);
                answer.is_ok_and(|answer| answer.contains("201 Created"))
            });
        assert!(written, "{memo} was never acknowledged");
        acknowledged.push(memo);
    }
    let pages = pages.map(|page| {
        let seen: Vec<_> = acknowledged.iter().map(|_| page.next()).collect();
        assert!(page.is_silent(), "nothing is shown twice");
        seen
    });
    assert_eq!(pages[0], acknowledged);
    assert_eq!(pages[1], acknowledged);
    (one, two)
}

/// A demo with both features.
pub(crate) struct Demo {
    server: Server<DemoServer>,
    cookie: String,
}

impl Demo {
    /// Starts one with limits so wide that a test does not meet them.
    #[track_caller]
    fn start(arguments: &[&str]) -> Self {
        Self::with(&[arguments, &LIMITS].concat())
    }

    /// Starts one, and opens a session.
    #[track_caller]
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|&one| one.to_owned()).collect();
        let server = Server::launch(|| DemoServer {
            arguments: arguments.clone(),
        });
        let cookie = String::new();
        let mut demo = Self { server, cookie };
        let opened = demo
            .ask("POST", "/api/session", r#"{"user":"u1"}"#)
            .unwrap();
        let cookie = opened.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let set = name.eq_ignore_ascii_case("set-cookie").then_some(value)?;
            set.split(';').next()
        });
        cookie.expect("a cookie").clone_into(&mut demo.cookie);
        demo
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.server.port()).into()
    }

    /// The whole answer to a request.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let mut answer = String::new();
        let more = format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        send(self.address(), method, path, &self.cookie, &more, body)?
            .read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// HTTP/1.0: the answer ends with the connection, and is not chunked.
fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    cookie: &str,
    more: &str,
    body: &str,
) -> std::io::Result<BufReader<TcpStream>> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(DEADLINE))?;
    let head = format!("{method} {path} HTTP/1.0\r\nhost: demo\r\ncookie: {cookie}\r\n{more}\r\n");
    socket.write_all(head.as_bytes())?;
    socket.write_all(body.as_bytes())?;
    Ok(BufReader::new(socket))
}

/// A page in a browser: an `EventSource`, which reconnects by itself with the last id it has seen.
struct Page(Receiver<Shown>);

enum Shown {
    /// The stream is open.
    Open,
    /// The memo of a transaction.
    Row(String),
    /// The stream has ended, or could not be opened.
    Closed,
}

impl Page {
    /// Opens it at one demo, and waits until its stream is open.
    #[track_caller]
    fn open(demo: &Demo) -> Self {
        let (address, cookie) = (demo.address(), demo.cookie.clone());
        let (show, shown) = channel();
        spawn(move || {
            let mut last = String::new();
            loop {
                let _ = follow(address, &cookie, &mut last, &show);
                if show.send(Shown::Closed).is_err() {
                    return;
                }
                sleep(Duration::from_millis(50));
            }
        });
        let page = Self(shown);
        while !matches!(page.0.recv_timeout(DEADLINE), Ok(Shown::Open)) {}
        page
    }

    /// The memo of the next transaction that it shows.
    #[track_caller]
    fn next(&self) -> String {
        loop {
            if let Shown::Row(memo) = self.0.recv_timeout(DEADLINE).expect("every row is shown") {
                return memo;
            }
        }
    }

    /// Whether it shows nothing more in the next moment.
    fn is_silent(&self) -> bool {
        sleep(Duration::from_millis(500));
        !self
            .0
            .try_iter()
            .any(|shown| matches!(shown, Shown::Row(_)))
    }
}

/// Reads one stream to its end.
fn follow(
    address: SocketAddr,
    cookie: &str,
    last: &mut String,
    show: &Sender<Shown>,
) -> std::io::Result<()> {
    let accept = format!("accept: text/event-stream\r\nlast-event-id: {last}\r\n");
    let (mut kind, mut id) = (String::new(), String::new());
    for line in send(address, "GET", "/api/events", cookie, &accept, "")?.lines() {
        let line = line?;
        match line.split_once(": ") {
            Some(("id", told)) => told.clone_into(&mut id),
            Some(("event", told)) => told.clone_into(&mut kind),
            Some(("data", row)) if kind == "transaction.created" => {
                let row: serde_json::Value = serde_json::from_str(row)?;
                let memo = row["memo"].as_str().unwrap_or_default();
                let _ = show.send(Shown::Row(memo.to_owned()));
            }
            // The end of a block, which is all there or was not sent.
            None if line.is_empty() && !id.is_empty() => {
                if last.is_empty() {
                    let _ = show.send(Shown::Open);
                }
                id.clone_into(last);
                kind.clear();
            }
            _ => {}
        }
    }
    Ok(())
}

/// How to run one.
#[derive(Debug)]
struct DemoServer {
    arguments: Vec<String>,
}

impl Kind for DemoServer {
    const NAME: &'static str = "demo";

    fn prepare(&self, _: &Directory) {}

    fn command(&self, directory: &Directory, port: u16) -> Command {
        let mut command = Command::new(binary());
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--data-dir"]);
        command.arg(directory.join("data")).args(&self.arguments);
        command
    }

    fn is_ready(&self, _: u16, process: &Process) -> bool {
        process.stdout().starts_with("listening on http://")
    }
}

/// Wide enough that no test meets them.
const LIMITS: [&str; 4] = [
    "--reads-per-second",
    "100000",
    "--writes-per-second",
    "100000",
];

/// Builds the demo with its features, once for each test program, and keeps a copy: the demo without
/// them is built to the same place.
fn binary() -> &'static Path {
    static BINARY: OnceLock<(Directory, PathBuf)> = OnceLock::new();
    let (_, path) = BINARY.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--package",
                "bartizan",
                "--example",
                "demo",
            ])
            .args(["--features", "postgres,redis"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo, which built this test, is still there");
        let complaint = String::from_utf8_lossy(&built.stderr);
        assert!(
            built.status.success(),
            "the demo does not compile:\n{complaint}"
        );
        // This program is `target/debug/deps/backends-..`.
        let this = std::env::current_exe().expect("a running program has a path");
        let profile = this.ancestors().nth(2).expect("cargo's layout");
        let kept = Directory::new("demo-program");
        let path = kept.join("demo");
        fs::copy(profile.join("examples/demo"), &path).expect("it was built there");
        (kept, path)
    });
    path
}
