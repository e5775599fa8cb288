//! One server process and its crowd.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::crowd::{Arrivals, Crowd};
use super::server::Kind;

/// A server that everybody is connected to; it ends with this.
pub struct Session {
    server: Child,
    orders: ChildStdin,
    crowd: Crowd,
    connections: usize,
    /// Resident bytes that the connections have added.
    grown: f64,
}

impl Session {
    pub fn start(kind: Kind, connections: usize) -> Self {
        let mut server = Command::new(std::env::current_exe().expect("a path"))
            .args(["--serve", kind.flag()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut port = String::new();
        let mut output = BufReader::new(server.stdout.take().expect("piped"));
        output.read_line(&mut port).expect("a port");
        let port = port.trim().parse().expect("a port");
        let orders = server.stdin.take().expect("piped");
        let before = resident(server.id());
        let crowd = Crowd::connect(port, connections);
        std::thread::sleep(SETTLE);
        let grown = resident(server.id()) - before;
        Self {
            server,
            orders,
            crowd,
            connections,
            grown,
        }
    }

    pub fn connections(&self) -> usize {
        self.connections
    }

    pub fn grown(&self) -> f64 {
        self.grown
    }

    /// Publishes an event for one user, and waits until it has arrived.
    pub fn one(&mut self, user: usize) {
        let orders = &mut self.orders;
        self.crowd.hear(1, || order(orders, "one", user));
    }

    /// Publishes `count` events for all, and waits until they have arrived everywhere.
    pub fn all(&mut self, count: usize) -> Arrivals {
        let orders = &mut self.orders;
        let events = count * self.connections;
        self.crowd.hear(events, || order(orders, "all", count))
    }

    /// The time that the server's threads have run meanwhile.
    pub fn cpu_of(&mut self, meanwhile: impl FnOnce(&mut Self)) -> Duration {
        let before = cpu(self.server.id());
        meanwhile(self);
        cpu(self.server.id()) - before
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn order(orders: &mut ChildStdin, what: &str, number: usize) {
    writeln!(orders, "{what} {number}").expect("a server that listens");
}

/// Nanoseconds on a processor, of all threads, as the scheduler counts them.
fn cpu(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("a process");
    let of = |task: std::io::Result<fs::DirEntry>| -> Option<u64> {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(tasks.filter_map(of).sum())
}

/// Resident bytes.
fn resident(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).expect("a process");
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.expect("a number") * PAGE
}

const PAGE: f64 = 4096.0;

/// Until the last of a crowd has been accepted and waits.
const SETTLE: Duration = Duration::from_millis(300);
