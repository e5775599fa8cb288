//! One server process and its crowd.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::crowd::{Arrivals, Crowd};
use super::kind::Kind;

/// A server that everybody is connected to; it ends with this.
pub struct Session {
    server: Child,
    /// The processes that serve.
    serving: Vec<u32>,
    crowd: Crowd,
    connections: usize,
    /// Resident bytes that the connections have added.
    grown: f64,
}

impl Session {
    pub fn start(kind: Kind, connections: usize) -> Self {
        let mut server = kind
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut port = String::new();
        let mut output = BufReader::new(server.stdout.take().expect("piped"));
        output.read_line(&mut port).expect("a port");
        let port = port.trim().parse().expect("a port");
        let serving = if kind.is_relayed() {
            descendants(server.id())
        } else {
            vec![server.id()]
        };
        assert!(
            !serving.is_empty(),
            "a kernel that tells a process's children"
        );
        let before = resident(&serving);
        let crowd = Crowd::connect(port, connections);
        std::thread::sleep(SETTLE);
        let grown = resident(&serving) - before;
        Self {
            server,
            serving,
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
        let server = &mut self.server;
        self.crowd.hear(1, || order(server, "one", user));
    }

    /// Publishes `count` events for all, and waits until they have arrived everywhere.
    pub fn all(&mut self, count: usize) -> Arrivals {
        let server = &mut self.server;
        let events = count * self.connections;
        self.crowd.hear(events, || order(server, "all", count))
    }

    /// The time that the server's threads have run meanwhile.
    pub fn cpu_of(&mut self, meanwhile: impl FnOnce(&mut Self)) -> Duration {
        let before = cpu(&self.serving);
        meanwhile(self);
        cpu(&self.serving) - before
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // This ends its standard input first, upon which it ends, and what it has started with it.
        let _ = self.server.wait();
    }
}

fn order(server: &mut Child, what: &str, number: usize) {
    let orders = server.stdin.as_mut().expect("piped");
    writeln!(orders, "{what} {number}").expect("a server that listens");
}

/// The processes that `process` has started, and those that they have.
fn descendants(process: u32) -> Vec<u32> {
    let lists = per_thread(process, "children");
    let children: Vec<u32> = lists
        .iter()
        .flat_map(|list| list.split_whitespace())
        .filter_map(|child| child.parse().ok())
        .collect();
    let further = children.iter().flat_map(|child| descendants(*child));
    children.iter().copied().chain(further).collect()
}

/// Nanoseconds on a processor, of all threads, as the scheduler counts them.
fn cpu(processes: &[u32]) -> Duration {
    let threads = processes
        .iter()
        .flat_map(|process| per_thread(*process, "schedstat"));
    let ran = threads.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok());
    Duration::from_nanos(ran.sum())
}

/// What the kernel tells in the file `name` of each of a process's threads.
fn per_thread(process: u32, name: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("a process");
    let text = |thread: std::io::Result<fs::DirEntry>| {
        fs::read_to_string(thread.ok()?.path().join(name)).ok()
    };
    threads.filter_map(text).collect()
}

/// Resident bytes, without those of files: the pages of a program are the same for one connection and for
/// many. What processes share, as nginx does what it keeps for all, counts.
fn resident(processes: &[u32]) -> f64 {
    let of = |process: &u32| {
        let text = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let kept = lines.filter(|(name, _)| ["RssAnon", "RssShmem"].contains(name));
        let kib =
            kept.filter_map(|(_, value)| value.split_whitespace().next()?.parse::<f64>().ok());
        kib.sum::<f64>() * KIB
    };
    processes.iter().map(of).sum()
}

const KIB: f64 = 1024.0;

/// Until the last of a crowd has been accepted and waits.
const SETTLE: Duration = Duration::from_millis(300);
