//! A private PostgreSQL cluster.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bartizan_process::{Directory, Kind, Process, Server, find_program, is_root};

const PACKAGE: &str = "postgresql";

/// A PostgreSQL server with one superuser, `postgres`, who needs no password.
#[derive(Debug)]
pub struct Postgres(Server<PostgresServer>);

/// How to run one.
#[derive(Debug)]
pub struct PostgresServer {
    /// Who runs it: PostgreSQL refuses to run as root.
    user: Option<User>,
}

#[derive(Clone, Copy, Debug)]
struct User {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// Makes an empty cluster and starts it.
    ///
    /// # Panics
    ///
    /// When PostgreSQL is not installed, or does not answer.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self(Server::launch(|| PostgresServer { user: other_user() }))
    }

    /// `postgres://postgres@127.0.0.1:PORT/postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port())
    }

    /// Runs one of PostgreSQL's own programs against it, and returns what it writes.
    ///
    /// # Panics
    ///
    /// When the program fails.
    #[must_use]
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(find(program));
        command.arg(format!("--dbname={}", self.url()));
        let output = command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {complaint}");
        String::from_utf8(output.stdout).expect("the cluster is UTF-8")
    }

    /// Runs statements, such as those of a dump.
    ///
    /// # Panics
    ///
    /// At the first that fails.
    #[track_caller]
    pub fn psql(&self, statements: &str) {
        let file = self.directory().join("statements.sql");
        fs::write(&file, statements).expect("the directory is ours");
        let file = format!("--file={}", file.display());
        let stops = "--set=ON_ERROR_STOP=1";
        let _ = self.run("psql", &["--quiet", "--no-psqlrc", stops, &file]);
    }

    /// Keeps a copy of a killed server's data, as a snapshot of its disk does.
    pub fn save(&self) {
        self.copy("data", "saved");
    }

    /// Sets a killed server's data back to what was saved.
    pub fn set_back(&self) {
        self.copy("saved", "data");
    }

    #[track_caller]
    fn copy(&self, from: &str, to: &str) {
        let [from, to] = [from, to].map(|name| self.directory().join(name));
        let _ = fs::remove_dir_all(&to);
        let copied = Command::new("cp").arg("-a").args([from, to]).status();
        assert!(copied.is_ok_and(|status| status.success()), "cp -a");
    }
}

impl Deref for Postgres {
    type Target = Server<PostgresServer>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Postgres {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl PostgresServer {
    fn program(&self, name: &str, directory: &Directory) -> Command {
        let mut command = Command::new(find(name));
        // The directory of the caller may be one that the other user cannot enter.
        command.current_dir(directory.path());
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }
}

impl Kind for PostgresServer {
    const NAME: &'static str = "postgres";

    fn prepare(&self, directory: &Directory) {
        if let Some(user) = self.user {
            directory.give_to(user.uid, user.gid);
        }
        let made = self
            .program("initdb", directory)
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(directory.join("data"))
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("initdb does not start: {error}"));
        let complaint = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb: {complaint}");
    }

    fn command(&self, directory: &Directory, port: u16) -> Command {
        let mut command = self.program("postgres", directory);
        command.arg("-D").arg(directory.join("data"));
        command.arg("-k").arg(directory.path());
        command.args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
        // What is written survives a kill, since the kernel has it; a power cut ends the test too.
        command.args(["-c", "fsync=off"]);
        // Shared memory in files of the data directory goes away with that.
        command.args(["-c", "dynamic_shared_memory_type=mmap"]);
        command.args(["-c", "shared_buffers=16MB"]);
        command
    }

    fn is_ready(&self, port: u16, _: &Process) -> bool {
        Command::new(find("pg_isready"))
            .args(["--quiet", "--host=127.0.0.1", "--timeout=1"])
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// A killed server leaves one small System V segment, by which the next start on the same data
    /// would see that nobody is attached any more. `postmaster.pid` names it.
    fn clean_up(&self, directory: &Directory) {
        let left = fs::read_to_string(directory.join("data/postmaster.pid")).unwrap_or_default();
        let segment = left.lines().nth(6).map(str::split_ascii_whitespace);
        if let Some(id) = segment.and_then(|mut words| words.nth(1)) {
            let _ = Command::new("ipcrm").args(["-m", id]).status();
        }
    }
}

#[track_caller]
fn find(name: &str) -> PathBuf {
    find_program(name, PACKAGE, newest_first())
}

/// The `bin` directories below `/usr/lib/postgresql`, where Debian keeps each version apart from
/// `PATH`; the newest first.
fn newest_first() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<_> = versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    found.sort_by_key(|bin| std::cmp::Reverse(version_of(bin)));
    found
}

fn version_of(bin: &Path) -> Option<u32> {
    bin.parent()?.file_name()?.to_str()?.parse().ok()
}

/// The user `postgres`, whom the package makes, if this is root; nobody else otherwise.
#[track_caller]
fn other_user() -> Option<User> {
    is_root().then(|| {
        let (uid, gid) = (id(&["-u", "postgres"]), id(&["-g", "postgres"]));
        uid.zip(gid)
            .map(|(uid, gid)| User { uid, gid })
            .unwrap_or_else(|| panic!("no user `postgres`: `apt-get install {PACKAGE}` makes one"))
    })
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let nine = version_of(Path::new("/usr/lib/postgresql/9/bin"));
        let fifteen = version_of(Path::new("/usr/lib/postgresql/15/bin"));
        assert!(fifteen > nine);
    }
}
