//! Broken rules, planted: each is found, at its line and for its reason.

use crate::rules::violations;
use crate::source::{Source, read_all};

/// Adds one file to the crate and returns what that breaks.
fn plant(path: &str, text: &str) -> Vec<String> {
    let mut sources = read_all();
    sources.retain(|source| source.path != path);
    sources.push(Source::parse(path, text));
    let found = violations(&sources);
    found
        .iter()
        .filter(|v| v.path == path)
        .map(ToString::to_string)
        .collect()
}

/// Puts these files in the place of the room `health` and returns what that breaks there.
fn plant_room(files: &[(&str, &str)]) -> Vec<String> {
    let mut sources = read_all();
    sources.retain(|source| !source.path.starts_with("src/health/"));
    sources.extend(files.iter().map(|(path, text)| Source::parse(path, text)));
    let found = violations(&sources).into_iter();
    let here = found.filter(|v| v.path.starts_with("src/health/"));
    here.map(|v| v.to_string()).collect()
}

#[track_caller]
fn assert_found(path: &str, text: &str, line: usize, reason: &str) {
    let found = plant(path, text);
    let place = format!("{path}:{line}: ");
    assert!(
        found.len() == 1 && found[0].starts_with(&place) && found[0].contains(reason),
        "expected {place}{reason}, found {found:#?}\n{text}"
    );
}

#[test]
fn a_room_that_imports_a_room_is_found() {
    for import in [
        "use crate::health::Health;",
        "use crate::{clock::Clock, health::{self, Status}};",
        "use super::super::health::Health;",
        "pub(crate) use crate::health::Health as Guard;",
        "fn f() { crate::health::probe::run(); }",
        "macro_rules! m { () => { $crate::health::Health } }",
        "emit!(warn, { name = crate::health::NAME }, \"text\");",
    ] {
        let text = format!("//! Doc.\n\n{import}\n");
        assert_found("src/rate_limit/planted.rs", &text, 3, "the room `health`");
    }
    let in_tests = "//! Doc.\n#[cfg(test)]\nmod tests {\n    use crate::health::Health;\n}\n";
    assert_found(
        "src/rate_limit/planted.rs",
        in_tests,
        4,
        "the room `health`",
    );
}

#[test]
fn a_guide_with_code_is_found() {
    let text = "//! Doc.\nuse crate::health::Health;\n";
    assert_found("src/guide/planted.rs", text, 2, "a guide documents");
}

#[test]
fn shared_that_imports_a_room_is_found() {
    let text = "//! Doc.\nuse crate::rate_limit::Quota;\n";
    assert_found("src/shed.rs", text, 2, "shared `shed` imports the room");
    let text = "//! Doc.\nuse super::super::rate_limit::Quota;\n";
    assert_found(
        "src/client/planted.rs",
        text,
        2,
        "shared `client` imports the room",
    );
}

#[test]
fn an_import_from_the_root_is_found() {
    assert_found(
        "src/shed.rs",
        "//! Doc.\nuse crate::Anything;\n",
        2,
        "lib.rs is the map",
    );
}

#[test]
fn a_file_that_imports_what_stands_above_it_is_found() {
    for (path, import) in [
        ("src/health/service.rs", "use super::layer::X;"),
        ("src/health/future.rs", "use super::service::X;"),
        ("src/health/future.rs", "use crate::health::service::X;"),
        ("src/health/planted.rs", "use super::future::X;"),
        ("src/health/graph.rs", "use super::handle::X;"),
        ("src/health/planted/deep.rs", "use super::super::layer::X;"),
    ] {
        let mut files = vec![
            ("src/health/mod.rs", "//! Doc.\n"),
            ("src/health/handle.rs", "//! Doc.\nuse super::layer::X;\n"),
            (
                "src/health/layer.rs",
                "//! Doc.\nuse super::{handle::X, service::Y};\n",
            ),
            ("src/health/service.rs", "//! Doc.\nuse super::future::X;\n"),
            ("src/health/future.rs", "//! Doc.\nuse super::graph::X;\n"),
        ];
        assert_eq!(plant_room(&files), Vec::<String>::new());
        let text = format!("//! Doc.\n{import}\n");
        files.retain(|file| file.0 != path);
        files.push((path, &text));
        let found = plant_room(&files);
        assert_eq!(found.len(), 1, "{path}: {import}: {found:?}");
        assert!(found[0].starts_with(&format!("{path}:2: ")), "{found:?}");
        assert!(found[0].ends_with("which stands above it"), "{found:?}");
    }
}

#[test]
fn an_import_through_a_re_export_counts_as_one_of_the_file_behind_it() {
    let found = plant_room(&[
        (
            "src/health/mod.rs",
            "//! Doc.\npub use self::layer::HealthLayer;\nmod layer;\n",
        ),
        ("src/health/layer.rs", "//! Doc.\n"),
        (
            "src/health/ring.rs",
            "//! Doc.\n\nuse super::HealthLayer;\n",
        ),
    ]);
    let expected = "src/health/ring.rs:3: `ring` imports `layer`, which stands above it";
    assert_eq!(found, [expected]);
}

#[test]
fn a_pure_file_that_names_what_waits_or_serves_is_found() {
    for name in [
        "tokio::time::sleep",
        "tower_service::Service",
        "http_body::Body",
        "tokio",
    ] {
        let text = format!("//! Doc.\nuse {name};\n");
        let crate_name = name.split(':').next().unwrap_or(name);
        assert_found(
            "src/rate_limit/gcra.rs",
            &text,
            2,
            &format!("a pure file names `{crate_name}`"),
        );
    }
    let text = "//! Doc.\nfn f() {\n    ::tokio::spawn(async {});\n}\n";
    assert_found(
        "src/security_headers/csp/planted.rs",
        text,
        3,
        "names `tokio`",
    );
    let text = "//! Doc.\n#[cfg(test)]\nmod tests {\n    #[tokio::test]\n    async fn f() { tokio::task::yield_now().await }\n}\n";
    assert_eq!(plant("src/rate_limit/gcra.rs", text), Vec::<String>::new());
}

#[test]
fn a_clock_that_is_read_outside_the_clock_is_found() {
    for read in [
        "std::time::Instant::now()",
        "SystemTime::now()",
        "tokio::time::Instant::now()",
    ] {
        let text = format!("//! Doc.\nfn f() {{\n    let _ = {read};\n}}\n");
        assert_found(
            "src/health/planted.rs",
            &text,
            3,
            "only clock.rs reads time",
        );
    }
}

#[test]
fn a_feature_that_is_asked_for_in_the_wrong_file_is_found() {
    for text in [
        "//! Doc.\n#[cfg(feature = \"tracing\")]\nfn f() {}\n",
        "//! Doc.\n#[cfg(any(unix, not(feature = \"tracing\")))]\nfn f() {}\n",
        "//! Doc.\n#[cfg_attr(feature = \"serde\", derive(Debug))]\nstruct S;\n",
        "//! Doc.\nfn f() -> bool { cfg!(feature = \"tracing\") }\n",
    ] {
        assert_found("src/health/planted.rs", text, 2, "a feature is asked for");
        assert_eq!(
            plant("src/health/planted/mod.rs", text),
            Vec::<String>::new()
        );
        assert_eq!(plant("src/health/redis.rs", text), Vec::<String>::new());
    }
    let text = "//! Doc.\n#[cfg(feature = \"tracing\")]\nfn f() {}\n";
    assert_found(
        "src/client/planted/mod.rs",
        text,
        2,
        "a feature is asked for",
    );
}

#[test]
fn a_backend_that_is_named_by_another_file_is_found() {
    let found = plant_room(&[
        (
            "src/health/probe/mod.rs",
            "//! Doc.\npub use self::redis::RedisProbe;\n",
        ),
        ("src/health/probe/redis.rs", "//! Doc.\n"),
        (
            "src/health/probe/planted.rs",
            "//! Doc.\nuse super::redis::RedisProbe;\n",
        ),
    ]);
    let expected = "the backend `redis` is named by its parent's mod.rs alone";
    assert_eq!(
        found,
        [format!("src/health/probe/planted.rs:2: {expected}")]
    );
}

#[test]
fn a_file_without_a_purpose_and_one_that_is_too_long_are_found() {
    assert_found(
        "src/health/planted.rs",
        "use std::fmt;\n",
        1,
        "starts with `//!`",
    );
    assert_found("src/health/planted.rs", "", 1, "starts with `//!`");
    let long = format!("//! Doc.\n{}", "// line\n".repeat(450));
    assert_found("src/health/planted.rs", &long, 451, "451 lines");
    let full = format!("//! Doc.\n{}", "// line\n".repeat(449));
    assert_eq!(plant("src/health/planted.rs", &full), Vec::<String>::new());
}

#[test]
fn tests_that_do_not_come_last_are_found() {
    let text = "//! Doc.\n#[cfg(test)]\nmod tests {}\n\n#[derive(Debug)]\nstruct Late;\n";
    assert_found("src/health/planted.rs", text, 6, "tests come last");
    let text = "//! Doc.\n#[cfg(test)]\nmod tests;\nconst LATE: u8 = 0;\n";
    assert_found("src/health/planted.rs", text, 4, "tests come last");
    let text = "//! Doc.\n#[cfg(test)]\nfn helper() {}\nconst FINE: u8 = 0;\n#[cfg(test)]\nmod tests {}\n#[cfg(test)]\nmod more;\n";
    assert_eq!(plant("src/health/planted.rs", text), Vec::<String>::new());
}

#[test]
fn a_folder_that_no_table_knows_is_found() {
    assert_found(
        "src/fifth/mod.rs",
        "//! Doc.\n",
        1,
        "neither a room nor shared",
    );
}

#[test]
fn comments_strings_and_the_own_room_are_not_found() {
    let text = r##"//! See [`crate::health::Health`].

use crate::clock::Clock;
use crate::rate_limit::quota::Quota;
use self::inner::X;

/// Not [`crate::health`]; `Instant::now` would be wrong.
const TEXT: &str = "crate::health::Health Instant::now #[cfg(feature = \"x\")]";
// use crate::health::Health;
const RAW: &str = r#"use crate::health::Health;"#;

mod inner {
    use super::TEXT;
    pub(super) struct X;
}
"##;
    assert_eq!(
        plant("src/rate_limit/planted.rs", text),
        Vec::<String>::new()
    );
}
