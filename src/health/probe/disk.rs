//! How much room a file system has left.

use std::io;
use std::path::PathBuf;

use super::super::Reason;
use super::blocking::{Blocking, blocking};
use super::error::ProbeError;
use super::observation::Observation;

/// Makes a probe that reads how many bytes are available to this process in the file system of
/// `path`: what is left after the blocks that are reserved for root. Unix only.
///
/// The limits are the dependency's: [`warn_below`](super::super::Dependency::warn_below) and
/// [`fail_below`](super::super::Dependency::fail_below). A file system without a free inode fails
/// (`limit`) whatever its bytes. A network file system that hangs holds one thread, as with
/// [`blocking()`].
///
/// ```
/// use bartizan::health::{Dependency, probe};
///
/// const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
///
/// let spool = Dependency::local("spool", probe::disk("/var/spool/orders"))
///     .warn_below(5.0 * GIB)
///     .fail_below(1.0 * GIB);
/// ```
pub fn disk(
    path: impl Into<PathBuf>,
) -> Blocking<impl Fn() -> Result<Observation, ProbeError> + Send + Sync + 'static> {
    let path = path.into();
    blocking(move || {
        let found = rustix::fs::statvfs(&path).map_err(io::Error::from)?;
        // File systems that make inodes as they go count none.
        if found.f_files > 0 && found.f_favail == 0 {
            return Err(ProbeError::new(Reason::Limit).public("no inode is free"));
        }
        let bytes = found.f_bavail as f64 * found.f_frsize as f64;
        Ok(Observation::new()
            .value(bytes, "bytes")
            .measurement("available"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::contract::Probe;
    use super::*;

    #[tokio::test]
    async fn the_room_that_is_left_is_told_in_bytes() {
        let seen = disk(std::env::temp_dir()).check().await.unwrap();
        assert!(seen.value.unwrap() > 0.0, "{seen:?}");
        assert_eq!((seen.unit, seen.measurement), ("bytes", Some("available")));
    }

    #[tokio::test]
    async fn a_path_that_is_not_there_fails_and_is_not_named() {
        let error = disk("/nowhere/at/all").check().await.unwrap_err();
        assert_eq!(error.reason(), Reason::Failed);
        assert_eq!(error.public_text(), None);
    }
}
