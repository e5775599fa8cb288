//! What a build of each feature compiles: nobody takes on more crates by accident.
//!
//! The guide `dependencies` names them all. A change that needs another crate gives its reason in `Cargo.toml`,
//! and has the table written anew: `BARTIZAN_WRITE=1 cargo test --test dependencies`.

use std::collections::BTreeSet;
use std::process::Command;

/// As `src/lib.rs` lists them. `serde` and `test-util` bring nothing, which the table shows as well.
const FEATURES: [&str; 13] = [
    "rate-limit",
    "governor",
    "security-headers",
    "event-stream",
    "health",
    "postgres",
    "redis",
    "websocket",
    "tracing",
    "metrics",
    "serde",
    "test-util",
    "default",
];

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/dependencies.md");
const BEGIN: &str = "<!-- from here on written by the test of this table -->\n";
const END: &str = "<!-- to here -->\n";

const ALL: [&str; 2] = ["--edges", "normal"];
const DIRECT: [&str; 4] = ["--edges", "normal", "--depth", "1"];
const WITH_BUILD_SCRIPTS: [&str; 2] = ["--edges", "normal,build"];

/// The crates that `cargo` would compile for a library with these features, as far as `which` goes.
fn crates(features: &str, which: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "bartizan"])
        .args(which)
        .args(["--target", "x86_64-unknown-linux-gnu", "--prefix", "none"])
        .args(["--locked", "--offline"])
        .args(["--no-default-features", "--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test, so it can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{features}: {errors}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "bartizan")
        .map(str::to_owned)
        .collect()
}

fn table() -> String {
    let bare = crates("", &ALL);
    let mut table =
        String::from("| feature | crates | named by this one | with them |\n|---|---|---|---|\n");
    table += &row("none", "", &BTreeSet::new());
    for feature in FEATURES {
        table += &row(&format!("`{feature}`"), feature, &bare);
    }
    let full = crates("full", &ALL).len();
    table + &format!("| `full` | {full} | all of the above | |\n")
}

fn row(title: &str, feature: &str, besides: &BTreeSet<String>) -> String {
    let (all, direct) = (crates(feature, &ALL), crates(feature, &DIRECT));
    assert!(all.is_superset(besides), "{feature}");
    let (mut named, mut with_them) = (Vec::new(), Vec::new());
    for name in all.difference(besides) {
        let column = if direct.contains(name) {
            &mut named
        } else {
            &mut with_them
        };
        column.push(name.as_str());
    }
    let (count, named, with_them) = (all.len(), named.join(", "), with_them.join(", "));
    format!("| {title} | {count} | {named} | {with_them} |\n")
}

#[test]
fn each_feature_compiles_what_the_guide_says_and_nothing_else() {
    let guide = std::fs::read_to_string(GUIDE).expect("the guide is there");
    let (before, rest) = guide.split_once(BEGIN).expect("the first mark");
    let (written, after) = rest.split_once(END).expect("the second mark");
    let table = table();
    if std::env::var_os("BARTIZAN_WRITE").is_some() {
        let guide = format!("{before}{BEGIN}{table}{END}{after}");
        std::fs::write(GUIDE, guide).expect("the guide can be written");
        return;
    }
    assert!(
        written == table,
        "{GUIDE} says\n{written}\nand it should be\n{table}\nBARTIZAN_WRITE=1 writes it"
    );
}

#[test]
fn the_list_sees_what_a_feature_adds() {
    let (bare, health) = (crates("", &ALL), crates("health", &ALL));
    assert!(bare.contains("http") && !bare.contains("arc-swap"));
    assert!(health.contains("arc-swap") && health.is_superset(&bare));
    assert!(crates("", &DIRECT).len() < bare.len());
}

#[test]
fn frameworks_and_tower_itself_stay_out_of_the_library() {
    let (default, full) = (crates("default", &ALL), crates("full", &ALL));
    for name in ["axum", "tonic", "tower"] {
        assert!(!full.contains(name), "{name}");
    }
    for name in ["hyper", "redis", "sqlx-core"] {
        assert!(!default.contains(name), "{name}");
    }
}

#[test]
fn nothing_brings_tls_or_needs_a_c_compiler() {
    let all = crates("full", &WITH_BUILD_SCRIPTS);
    for name in [
        "bindgen",
        "cc",
        "cmake",
        "native-tls",
        "openssl-sys",
        "pkg-config",
        "rustls",
    ] {
        assert!(!all.contains(name), "{name}");
    }
}
