//! Where the servers' programs are.

use std::fs;
use std::path::{Path, PathBuf};

/// Finds `name` in `PATH`, or in one of the directories `besides` it.
///
/// # Panics
///
/// When it is nowhere, with the package that holds it: a test without its server is a failure.
#[track_caller]
pub(crate) fn find(name: &str, package: &str, besides: Vec<PathBuf>) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    besides
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{name} is not installed: `apt-get install {package}`, or run ./scripts/test, which does"
            )
        })
}

/// The `bin` directories below `/usr/lib/postgresql`, where Debian keeps each version apart from
/// `PATH`; the newest first.
pub(crate) fn postgres_directories() -> Vec<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "no-such-server is not installed: `apt-get install the-package`")]
    fn a_missing_server_names_its_package() {
        find("no-such-server", "the-package", Vec::new());
    }

    #[test]
    fn versions_are_numbers() {
        let nine = version_of(Path::new("/usr/lib/postgresql/9/bin"));
        let fifteen = version_of(Path::new("/usr/lib/postgresql/15/bin"));
        assert!(fifteen > nine);
    }
}
