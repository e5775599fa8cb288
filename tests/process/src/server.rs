//! What all servers have in common: a port, a directory, and a life that a test controls.

use std::fmt::Debug;
use std::process::Command;
use std::time::Duration;

use crate::{Directory, Process, free_port, wait_until};

/// How long a server may take to come up. Long, for a machine that does much else: only a server
/// that never answers takes all of it.
pub const DEADLINE: Duration = Duration::from_secs(60);

const ATTEMPTS: usize = 5;

/// What one kind of server needs to run.
pub trait Kind: Debug {
    /// For messages and directories.
    const NAME: &'static str;

    /// Makes what must be there before the first start.
    fn prepare(&self, directory: &Directory);

    /// The server in the foreground, on `port` of loopback, with its data in `directory`.
    fn command(&self, directory: &Directory, port: u16) -> Command;

    /// Whether the server on `port` serves, seen from outside or from what it has written.
    fn is_ready(&self, port: u16, process: &Process) -> bool;

    /// Removes what a killed server leaves outside its directory.
    fn clean_up(&self, directory: &Directory) {
        let _ = directory;
    }
}

/// A running server, killed and removed on drop.
#[derive(Debug)]
pub struct Server<K: Kind> {
    kind: K,
    port: u16,
    // Dropped before the directory that its files are in.
    process: Process,
    directory: Directory,
}

impl<K: Kind> Server<K> {
    /// Starts a new server that has no data yet and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it cannot be started, ends by itself, or is not ready within a minute.
    #[track_caller]
    pub fn launch(kind: impl Fn() -> K) -> Self {
        for _ in 0..ATTEMPTS {
            let (kind, port) = (kind(), free_port());
            let directory = Directory::new(K::NAME);
            kind.prepare(&directory);
            let mut process = start(&kind, &directory, port);
            if came_up(&kind, &mut process, port) {
                return Self {
                    kind,
                    port,
                    process,
                    directory,
                };
            }
            // Another program was faster to take the port: once more with another one.
        }
        panic!("{} found no port in {ATTEMPTS} attempts", K::NAME);
    }

    /// The port on 127.0.0.1, the same through every restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it was made from.
    pub fn kind(&self) -> &K {
        &self.kind
    }

    /// Where the data is.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The program and what it has started.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The same, to ask it to end.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops every process of it where it stands: connections stay open, nothing answers.
    pub fn pause(&mut self) {
        self.process.pause();
    }

    /// Lets a paused server go on.
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// Kills every process of it at once, as a power cut does; the data stays.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts an ended server again, with the same data and on the same port, and waits until it
    /// is ready. One that still runs is killed first.
    ///
    /// # Panics
    ///
    /// As [`launch`](Self::launch) does, or when another program has taken the port.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process.kill();
        wait_until(DEADLINE, || {
            self.process = start(&self.kind, &self.directory, self.port);
            came_up(&self.kind, &mut self.process, self.port).then_some(())
        })
        .unwrap_or_else(|| panic!("port {} is taken by another program", self.port));
    }
}

impl<K: Kind> Drop for Server<K> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} said:\n{}", K::NAME, self.process.output());
        }
        self.process.reap();
        self.kind.clean_up(&self.directory);
    }
}

#[track_caller]
fn start<K: Kind>(kind: &K, directory: &Directory, port: u16) -> Process {
    Process::start(kind.command(directory, port), directory)
        .unwrap_or_else(|error| panic!("{} does not start: {error}", K::NAME))
}

/// Waits until it is ready; `false` if the port was lost to another program.
#[track_caller]
fn came_up<K: Kind>(kind: &K, process: &mut Process, port: u16) -> bool {
    let outcome = wait_until(DEADLINE, || {
        // In this order: what answers on a lost port is not this server, which has ended then.
        let ready = kind.is_ready(port, process);
        match process.exited() {
            Some(status) => Some(Err(status)),
            None => ready.then_some(Ok(())),
        }
    });
    match outcome {
        Some(Ok(())) => true,
        Some(Err(_)) if process.output().contains("Address already in use") => false,
        Some(Err(status)) => panic!("{} ended with {status}:\n{}", K::NAME, process.output()),
        None => panic!("{} was never ready:\n{}", K::NAME, process.output()),
    }
}
