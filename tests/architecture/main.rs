//! The import rules of the crate: `lib -> rooms -> shared -> outside`, and inside a room
//! `layer -> service -> future -> pure files`. A broken rule is reported with file, line and reason.

mod planted;
mod rules;
mod source;

use rules::{PURE, ROOMS, SHARED, violations};

#[test]
fn the_crate_keeps_its_rules() {
    let found = violations(&source::read_all());
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn the_tables_speak_of_files_that_exist() {
    let sources = source::read_all();
    let exists = |name: &str| sources.iter().any(|source| source.module == [name]);
    assert!(ROOMS.into_iter().all(exists));
    // the backends' connections come with the first of them
    assert!(
        SHARED
            .into_iter()
            .filter(|name| *name != "backend")
            .all(exists)
    );
    let pure: Vec<_> = sources.iter().filter(|source| source.is_pure()).collect();
    assert!(
        pure.iter()
            .any(|source| source.path == "src/client/forwarded.rs")
    );
    assert!(pure.len() >= 15, "of {PURE:?} hardly any exists");
}
