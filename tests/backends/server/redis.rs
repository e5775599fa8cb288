//! A private redis-server.

use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::time::Duration;

use bartizan_process::{Directory, Kind, Process, Server, find_program, free_port};

/// A redis-server without a password.
#[derive(Debug)]
pub struct Redis(Server<RedisServer>);

/// How to run one.
#[derive(Debug)]
pub struct RedisServer {
    /// The port on which it talks to the other nodes, if it is one of a cluster.
    bus: Option<u16>,
}

impl Redis {
    /// Starts an empty one.
    ///
    /// # Panics
    ///
    /// When redis-server is not installed, or does not answer.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self(Server::launch(|| RedisServer { bus: None }))
    }

    #[track_caller]
    pub(crate) fn start_node() -> Self {
        Self(Server::launch(|| RedisServer {
            bus: Some(free_port()),
        }))
    }

    pub(crate) fn bus(&self) -> Option<u16> {
        self.kind().bus
    }

    /// `redis://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port())
    }

    /// Runs one command from outside the code under test.
    ///
    /// # Errors
    ///
    /// When the server does not answer in time, or with an error.
    pub fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        command(self.port(), words)
    }

    /// Lets `user` do everything under this password, and under no other any more.
    ///
    /// # Panics
    ///
    /// When the server does not take that.
    #[track_caller]
    pub fn set_password(&self, user: &str, password: &str) {
        let password = format!(">{password}");
        let rules = ["on", "resetpass", &password, "~*", "+@all"];
        let words = [&["ACL", "SETUSER", user], &rules[..]].concat();
        self.command::<()>(&words).expect("an ACL");
    }
}

impl Deref for Redis {
    type Target = Server<RedisServer>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Redis {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Kind for RedisServer {
    const NAME: &'static str = "redis";

    fn prepare(&self, _: &Directory) {}

    fn command(&self, directory: &Directory, port: u16) -> Command {
        let mut command = Command::new(find_program("redis-server", "redis-server", Vec::new()));
        command.current_dir(directory.path());
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        // Every write is handed to the kernel before it is answered, so that a kill loses nothing;
        // only a power cut could, and none of these tests survives one.
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "no"]);
        if let Some(bus) = self.bus {
            command.args(["--cluster-enabled", "yes"]);
            command.args(["--cluster-port", &bus.to_string()]);
            command.args(["--cluster-node-timeout", "2000"]);
        }
        command
    }

    fn is_ready(&self, port: u16, _: &Process) -> bool {
        command::<String>(port, &["PING"]).is_ok()
    }
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}/")
}

fn command<T: redis::FromRedisValue>(port: u16, words: &[&str]) -> redis::RedisResult<T> {
    const TIMEOUT: Duration = Duration::from_secs(1);

    let client = redis::Client::open(url(port))?;
    let mut connection = client.get_connection_with_timeout(TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    let mut command = redis::Cmd::new();
    command.arg(words);
    command.query(&mut connection)
}
