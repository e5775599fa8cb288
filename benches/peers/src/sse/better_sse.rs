//! better-sse, a package of Node's: the program beside this one's source.

use std::fs;
use std::process::Command;

use serde_json::Value;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/better-sse");
const LOCK: &str = include_str!("../../better-sse/package-lock.json");

pub fn command() -> Command {
    let mut command = Command::new("node");
    command.arg("server.mjs").current_dir(DIRECTORY);
    command
}

pub fn missing() -> Option<&'static str> {
    let wanted = locked(LOCK);
    if node().is_none() {
        Some("Node (Debian's packages nodejs and npm)")
    } else if wanted.is_none() || installed() != wanted {
        Some("better-sse (`npm ci` in benches/peers/better-sse)")
    } else {
        None
    }
}

/// Which Node and which package are installed.
pub fn versions() -> [(&'static str, Option<String>); 2] {
    [("node", node()), ("better-sse", installed())]
}

fn node() -> Option<String> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    Some(version.trim().trim_start_matches('v').to_owned())
}

fn installed() -> Option<String> {
    let path = format!("{DIRECTORY}/node_modules/better-sse/package.json");
    let package: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    Some(package["version"].as_str()?.to_owned())
}

fn locked(lock: &str) -> Option<String> {
    let lock: Value = serde_json::from_str(lock).ok()?;
    let package = &lock["packages"]["node_modules/better-sse"];
    Some(package["version"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_holds_the_package() {
        let version = locked(LOCK).unwrap();
        assert!(version.starts_with("0."), "{version}");
        assert_eq!(locked("{}"), None);
    }
}
