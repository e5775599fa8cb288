//! One program and what it starts.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::guard::Guard;
use crate::{Directory, tree, wait_until};

/// Signals act at once, but for a process that the kernel cannot interrupt just then, or that a busy
/// machine does not let run.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(60);

/// A running program, the processes that it has started, and the files that hold its output.
///
/// All of them are killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    /// Killed and waited for.
    gone: bool,
    _guard: Guard,
}

impl Process {
    /// Starts `command` in a process group of its own, with no input and its output in the files
    /// `stdout` and `stderr` of `directory`, which start empty.
    ///
    /// # Errors
    ///
    /// When the program cannot be started; [`io::ErrorKind::NotFound`] if there is none.
    pub fn start(mut command: Command, directory: &Directory) -> io::Result<Self> {
        let (stdout, stderr) = (directory.join("stdout"), directory.join("stderr"));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .process_group(0)
            .spawn()?;
        match Guard::over(child.id(), directory.path()) {
            Ok(guard) => Ok(Self {
                child,
                stdout,
                stderr,
                gone: false,
                _guard: guard,
            }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Its process id, which is also that of its group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Every living process of the tree.
    #[must_use]
    pub fn members(&self) -> Vec<u32> {
        tree::members(self.id())
    }

    /// What it has written to its standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// Both its outputs, one after the other.
    #[must_use]
    pub fn output(&self) -> String {
        self.stdout() + &fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end (SIGTERM to the program itself) and waits; `None` if it still runs after
    /// `deadline`.
    pub fn terminate(&mut self, deadline: Duration) -> Option<ExitStatus> {
        tree::send_to(&[self.id()], Signal::TERM);
        wait_until(deadline, || self.exited())
    }

    /// Stops the whole tree where it stands (SIGSTOP): sockets stay open, nothing answers.
    ///
    /// # Panics
    ///
    /// When there is nothing left to stop.
    pub fn pause(&mut self) {
        let stopped = self.stop_all().is_some();
        assert!(stopped, "cannot be paused: {}", self.output());
    }

    /// Lets a paused tree go on (SIGCONT).
    pub fn resume(&mut self) {
        tree::send(self.id(), Signal::CONT);
    }

    /// Kills the whole tree (SIGKILL) and waits until it is gone.
    ///
    /// # Panics
    ///
    /// When something of it survives.
    pub fn kill(&mut self) {
        let left = self.kill_all();
        assert!(left.is_empty(), "{left:?} survived being killed");
    }

    /// Stops one after the other, and looks again for what the last one started before it stood.
    fn stop_all(&self) -> Option<()> {
        wait_until(SIGNAL_DEADLINE, || {
            tree::send(self.id(), Signal::STOP);
            tree::is_stopped(self.id()).then_some(())
        })
    }

    /// Like [`kill`](Self::kill), for drops: a panic there would hide the one that may be unwinding.
    pub(crate) fn reap(&mut self) {
        let left = self.kill_all();
        if !left.is_empty() {
            eprintln!("{left:?} survived being killed");
        }
    }

    fn kill_all(&mut self) -> Vec<u32> {
        if self.gone {
            // Its number may be that of a stranger by now.
            return Vec::new();
        }
        // Once the root is dead its children are nobody's: all are found before any is killed.
        if self.exited().is_none() {
            let _ = self.stop_all();
        }
        let mut members = self.members();
        tree::send_to(&members, Signal::KILL);
        let _ = self.child.wait();
        wait_until(SIGNAL_DEADLINE, || {
            members.retain(|&pid| tree::is_alive(pid));
            members.is_empty().then_some(())
        });
        self.gone = true;
        members
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.reap();
    }
}
