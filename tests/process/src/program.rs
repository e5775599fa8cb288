//! Where the programs under test are.

use std::path::PathBuf;

/// Finds `name` in `PATH`, or in one of the directories `besides` it.
///
/// # Panics
///
/// When it is nowhere, with the package that holds it: a test without what it tests is a failure.
#[track_caller]
#[must_use]
pub fn find_program(name: &str, package: &str, besides: Vec<PathBuf>) -> PathBuf {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "no-such-server is not installed: `apt-get install the-package`")]
    fn a_missing_server_names_its_package() {
        let _ = find_program("no-such-server", "the-package", Vec::new());
    }
}
