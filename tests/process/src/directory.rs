//! Where a program under test keeps its data.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::wait_until;

const DEADLINE: Duration = Duration::from_secs(5);

/// A directory of one's own, removed with all it holds on drop.
///
/// It is made in `/tmp` itself, whatever `TMPDIR` says: the path of a Unix socket has at most 107
/// bytes, and another user must be able to enter.
#[derive(Debug)]
pub struct Directory(TempDir);

impl Directory {
    /// Makes one whose name starts with `bartizan-` and `name`.
    ///
    /// # Panics
    ///
    /// When `/tmp` cannot be written to.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(
            tempfile::Builder::new()
                .prefix(&format!("bartizan-{name}-"))
                .tempdir_in("/tmp")
                .expect("/tmp takes a new directory"),
        )
    }

    /// Hands it to another user, who alone may enter from then on (besides root).
    ///
    /// # Panics
    ///
    /// When this process may not do that.
    pub fn give_to(&self, uid: u32, gid: u32) {
        let private = Permissions::from_mode(0o700);
        fs::set_permissions(self.path(), private).expect("one may set the mode of one's own");
        chown(self.path(), Some(uid), Some(gid)).expect("root may give a directory away");
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of `name` in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Chromium's crash reporter outlives it by a moment and may put one more file there.
        wait_until(DEADLINE, || {
            let _ = fs::remove_dir_all(self.path());
            (!self.path().exists()).then_some(())
        });
    }
}
