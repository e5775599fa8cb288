//! An example of the crate, built for a test program.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};

/// Builds the example `name` with these features beside the default ones, and answers where it is: in a
/// copy, since a build with other features goes to the same place. Call it once for a test program.
///
/// # Panics
///
/// When it does not compile.
#[must_use]
#[track_caller]
pub fn example(name: &str, features: &[&str]) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // As `cargo test` sets it. Without it, in a test program that is run by hand, rustup gives each
    // dependency the toolchain that it is developed with.
    if let Some(toolchain) = option_env!("RUSTUP_TOOLCHAIN") {
        cargo.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    let built = cargo
        .args([
            "build",
            "--quiet",
            "--package",
            "bartizan",
            "--example",
            name,
        ])
        .args(["--features", &features.join(",")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo, which built this test, is still there");
    let complaint = String::from_utf8_lossy(&built.stderr);
    assert!(
        built.status.success(),
        "the example does not compile:\n{complaint}"
    );
    // This program is `target/debug/deps/..`.
    let this = env::current_exe().expect("a running program has a path");
    let profile = this.ancestors().nth(2).expect("cargo's layout");
    let kept = profile.join("examples").join("kept");
    fs::create_dir_all(&kept).expect("the target directory can be written");
    let path = kept.join([&[name], features].concat().join("-"));
    // Under another name first: a test program beside this one may be running it.
    let new = path.with_extension(process::id().to_string());
    fs::copy(profile.join("examples").join(name), &new).expect("it was built there");
    fs::rename(new, &path).expect("a name beside it");
    path
}
