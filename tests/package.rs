//! What goes to the registry: what `include` in `Cargo.toml` lets in, and nothing that nobody expects there.

use std::path::Path;
use std::process::Command;

/// No source is as large; a picture, a database or a log of a test would be.
const LARGEST_FILE: u64 = 200 * 1024;

fn packaged() -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--package", "bartizan", "--list"])
        .args(["--allow-dirty", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test, so it can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let list = String::from_utf8(output.stdout).expect("paths are text");
    list.lines().map(str::to_owned).collect()
}

#[test]
fn it_is_sources_examples_and_documents_and_none_is_large() {
    for file in packaged() {
        // Cargo writes these itself.
        if [".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml.orig"].contains(&&*file) {
            continue;
        }
        let (_, extension) = file.rsplit_once('.').unwrap_or_default();
        let expected = match file.split('/').next() {
            Some("src") => ["lua", "md", "rs", "sql"].contains(&extension),
            Some("examples") => {
                ["css", "html", "js", "md", "rs", "sql", "svg"].contains(&extension)
            }
            _ => [
                "CHANGELOG.md",
                "Cargo.toml",
                "LICENSE-APACHE",
                "LICENSE-MIT",
                "README.md",
            ]
            .contains(&&*file),
        };
        assert!(expected, "{file} is not expected in a package");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        let size = path.metadata().expect("it was listed").len();
        assert!(size <= LARGEST_FILE, "{file} has {size} bytes");
    }
}

#[test]
fn it_has_what_a_build_and_its_documents_need() {
    let packaged = packaged();
    for file in [
        "src/lib.rs",
        "src/guide/comparison.md",
        "examples/demo/page/page.html",
        "README.md",
        "LICENSE-MIT",
    ] {
        assert!(packaged.iter().any(|one| one == file), "{file} is missing");
    }
}
