//! What it says on standard error and standard output, and what becomes of it where nobody can read that.

use std::fs::File;
use std::process::Stdio;

use serde_json::json;

use crate::server::{Demo, command, wait_for};

/// A report of a browser is worth a line.
fn report(demo: &Demo) {
    let report = json!({"csp-report": {
        "document-uri": "http://127.0.0.1/",
        "effective-directive": "script-src-elem",
        "blocked-uri": "inline\u{1b}[31m",
    }});
    let posted = demo
        .post("/csp-reports")
        .header("content-type", "application/csp-report")
        .body(report.to_string());
    assert_eq!(posted.send().status, 204);
}

#[test]
fn a_log_that_cannot_be_written_is_no_reason_to_stop() {
    // As on a disk that is full.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut demo = Demo::logging_to(full.into());
    report(&demo);
    let cookie = demo.session("u1");
    demo.pay(&cookie, 1.0);
    demo.terminate();
    let status = wait_for("the end", || demo.exited());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_log_in_a_file_holds_no_escape_sequences() {
    let demo = Demo::start();
    report(&demo);
    let told = wait_for("the report", || {
        Some(demo.told()).filter(|told| told.contains("a browser blocked something"))
    });
    assert!(!told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn help_that_nobody_reads_ends_well() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command()
        .arg("--help")
        .stdout(writer)
        .stderr(Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(0));
}
