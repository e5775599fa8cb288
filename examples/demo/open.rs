//! Which repository the flags name.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::args::{self, Args, BadFlag};
use crate::repository::Repository;

/// The repository in PostgreSQL, or the one in the data directory, with its events in Redis where
/// there is one.
pub(crate) async fn open(args: &Args) -> Result<Repository, BadFlag> {
    #[cfg(feature = "postgres")]
    if let Some(url) = &args.database_url {
        let opened = Repository::connect(url).await;
        return opened.map_err(|error| away(args::DATABASE_URL, url, error));
    }
    // On a thread that may wait: somebody else may be making the file.
    let dir = args.data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || open_in(&dir)).await;
    let repository = opened.expect("opening does not panic")?;
    #[cfg(feature = "redis")]
    if let Some(url) = &args.redis_url {
        let shared = repository.sharing_events(crate::fleet::client(url)?).await;
        return shared.map_err(|error| away(args::REDIS_URL, url, error));
    }
    Ok(repository)
}

/// The repository in `dir`, which is made if it is missing, for us alone to read.
fn open_in(dir: &Path) -> Result<Repository, BadFlag> {
    let refused =
        |error: String| BadFlag::new(args::DATA_DIR, Some(&dir.to_string_lossy()), &error);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| refused(error.to_string()))?;
    Repository::open(dir).map_err(|error| refused(error.to_string()))
}

/// A server that cannot be used, and why.
#[cfg(any(feature = "postgres", feature = "redis"))]
fn away(flag: &str, url: &str, error: crate::repository::Error) -> BadFlag {
    let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
    let cause = cause.replace(char::is_control, " ");
    BadFlag::new(
        flag,
        Some(&args::without_password(url)),
        &format!("{error}: {cause}"),
    )
}
