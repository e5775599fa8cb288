//! Tells the program which compiler builds it, for it to say so beside its numbers.

use std::env;
use std::process::Command;

fn main() {
    let compiler = env::var_os("RUSTC").expect("cargo names it");
    let output = Command::new(compiler).arg("--version").output();
    let version = String::from_utf8(output.expect("it starts").stdout).expect("it writes text");
    println!("cargo::rustc-env=RUSTC_VERSION={}", version.trim());
    println!("cargo::rerun-if-changed=build.rs");
}
