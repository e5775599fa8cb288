//! Which versions a lock file holds of what a package names.

/// `package`'s own dependencies, and their versions.
pub fn named<'a>(lock: &'a str, package: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let entry = lock
        .split("[[package]]")
        .find(|entry| field(entry, "name") == Some(package));
    let dependencies = entry.and_then(|entry| entry.split_once("dependencies = ["));
    let (_, dependencies) = dependencies.expect("a package that depends on something");
    // A version stands there only where the lock file has several.
    quoted(dependencies).map(|dependency| match dependency.split_once(' ') {
        Some(pair) => pair,
        None => (dependency, version(lock, dependency)),
    })
}

fn version<'a>(lock: &'a str, package: &str) -> &'a str {
    let entry = lock
        .split("[[package]]")
        .find(|entry| field(entry, "name") == Some(package));
    let version = entry.and_then(|entry| field(entry, "version"));
    version.expect("a lock file holds what it names")
}

/// The text that a line gives to `key`.
fn field<'a>(entry: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = entry.lines().filter_map(|line| line.split_once(" = "));
    let (_, value) = lines.find(|(name, _)| *name == key)?;
    quoted(value).next()
}

/// What stands between quotation marks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "rake"
version = "0.3.0"

[[package]]
name = "shovel"
version = "1.0.0"

[[package]]
name = "shovel"
version = "2.0.0"
dependencies = [
 "rake",
]

[[package]]
name = "garden"
version = "0.0.0"
dependencies = [
 "rake",
 "shovel 2.0.0",
]
"#;

    #[test]
    fn a_dependency_has_the_version_that_the_package_uses() {
        let versions: Vec<_> = named(LOCK, "garden").collect();
        assert_eq!(versions, [("rake", "0.3.0"), ("shovel", "2.0.0")]);
    }

    #[test]
    fn a_name_that_others_begin_with_is_not_theirs() {
        let lock = LOCK.replace("\"shovel\"", "\"rake-handle\"");
        assert_eq!(version(&lock, "rake"), "0.3.0");
    }
}
