//! A demo as a process, built with all its features.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bartizan_process::{Directory, Kind, Process, Server, example};

use crate::DEADLINE;

/// A demo with both features.
pub(crate) struct Demo {
    pub(super) server: Server<DemoServer>,
    /// Who has a session here, as `u1`.
    pub(super) client: Client,
}

impl Demo {
    /// Starts one with limits so wide that a test does not meet them.
    #[track_caller]
    pub(super) fn start(arguments: &[&str]) -> Self {
        Self::with(&[arguments, &LIMITS].concat())
    }

    /// Starts one, and opens a session.
    #[track_caller]
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|&one| one.to_owned()).collect();
        let server = Server::launch(|| DemoServer {
            arguments: arguments.clone(),
        });
        let client = Client::of((Ipv4Addr::LOCALHOST, server.port()).into(), "u1");
        Self { server, client }
    }

    /// The whole answer to a request.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        self.client.ask(method, path, body)
    }
}

/// Somebody with a session, at one demo.
#[derive(Clone)]
pub(super) struct Client {
    address: SocketAddr,
    cookie: String,
}

impl Client {
    /// Opens a session for `user`.
    #[track_caller]
    pub(super) fn of(address: SocketAddr, user: &str) -> Self {
        let cookie = String::new();
        let mut client = Self { address, cookie };
        let session = format!(r#"{{"user":"{user}"}}"#);
        let opened = client.ask("POST", "/api/session", &session).unwrap();
        let cookie = opened.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let set = name.eq_ignore_ascii_case("set-cookie").then_some(value)?;
            set.split(';').next()
        });
        cookie.expect("a cookie").clone_into(&mut client.cookie);
        client
    }

    /// Another person at the same demo.
    #[track_caller]
    pub(super) fn another(&self, user: &str) -> Self {
        Self::of(self.address, user)
    }

    /// The same person at another demo, where the session is good as well.
    pub(super) fn at(&self, demo: &Demo) -> Self {
        Self {
            address: demo.client.address,
            cookie: self.cookie.clone(),
        }
    }

    /// The whole answer to a request: nothing if the demo ends before it has begun one.
    pub(super) fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let mut answer = String::new();
        let more = format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        let mut reader = self.send(method, path, &more, body)?;
        reader.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// HTTP/1.0: the answer ends with the connection, and is not chunked.
    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        more: &str,
        body: &str,
    ) -> io::Result<BufReader<TcpStream>> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        let cookie = &self.cookie;
        let head =
            format!("{method} {path} HTTP/1.0\r\nhost: demo\r\ncookie: {cookie}\r\n{more}\r\n");
        socket.write_all(head.as_bytes())?;
        socket.write_all(body.as_bytes())?;
        Ok(BufReader::new(socket))
    }
}

/// The status of an answer, if there is one.
pub(crate) fn status(answer: &str) -> Option<u16> {
    answer.split(' ').nth(1)?.parse().ok()
}

/// How to run one.
#[derive(Debug)]
pub(super) struct DemoServer {
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

/// The demo with its features, built once for each test program.
pub(super) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| example("demo", &["postgres", "redis"]))
}
