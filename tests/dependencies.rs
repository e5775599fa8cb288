//! What a build of each feature compiles: nobody takes on more crates by accident.
//!
//! The limits are today's counts on Linux, the crate itself not counted. A change that needs another
//! crate raises its limit here, beside the reason it gives in `Cargo.toml`.

use std::collections::BTreeSet;
use std::process::Command;

/// Features, separated by commas, and the most crates that their build may compile.
const LIMITS: [(&str, usize); 11] = [
    ("", 29),
    ("rate-limit", 36),
    ("governor", 56),
    ("security-headers", 36),
    ("event-stream", 40),
    ("health", 47),
    ("default", 75),
    ("websocket", 54),
    // Drivers, and what sqlx needs for names of hosts and for passwords.
    ("health,redis", 87),
    ("health,postgres", 126),
    ("full", 155),
];

/// The crates that `cargo` would compile for a library with these features.
fn crates(features: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "bartizan",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args([
            "--target",
            "x86_64-unknown-linux-gnu",
            "--locked",
            "--offline",
        ])
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

#[test]
fn no_feature_compiles_more_crates_than_it_says() {
    let counted = LIMITS.map(|(features, _)| (features, crates(features).len()));
    let over = counted
        .iter()
        .zip(LIMITS)
        .any(|(now, limit)| now.1 > limit.1);
    assert!(!over, "\ncounted {counted:?}\nallowed {LIMITS:?}\n");
}

#[test]
fn the_count_sees_what_a_feature_adds() {
    let (bare, health) = (crates(""), crates("health"));
    assert!(bare.contains("http") && !bare.contains("arc-swap"));
    assert!(health.contains("arc-swap") && health.is_superset(&bare));
}

#[test]
fn frameworks_and_tower_itself_stay_out_of_the_library() {
    let (default, full) = (crates("default"), crates("full"));
    for name in ["axum", "tonic", "tower"] {
        assert!(!full.contains(name), "{name}");
    }
    for name in ["hyper", "redis", "sqlx-core"] {
        assert!(!default.contains(name), "{name}");
    }
}
