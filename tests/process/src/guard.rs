//! Cleans up when the test program is gone.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A shell that waits for the end of its standard input, which comes when this program dies,
/// however it dies, then kills the group and removes the directory. Dropped in good time, it does
/// nothing.
///
/// A program is there a moment before its guard: what is killed between the two leaves it behind.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    pub(crate) fn over(group: u32, directory: &Path) -> io::Result<Self> {
        const SCRIPT: &str = "read -r _ || { kill -s KILL -- -\"$1\"; rm -rf -- \"$2\"; }";

        Command::new("/bin/sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(group.to_string())
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt from the terminal goes to the test program's group: the guard outlives it.
            .process_group(0)
            .spawn()
            .map(Self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only where the shell is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
