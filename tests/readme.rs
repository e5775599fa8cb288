//! The READMEs: what they show are the results that are kept, and their links lead somewhere. And the metrics: those
//! that the documentation names are those that there are.
//!
//! After a new run of `scripts/peers` or `scripts/load` whose results are kept, `BARTIZAN_WRITE=1 cargo test --test readme`
//! writes its tables anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

const END: &str = "<!-- to here -->\n";

/// What is measured, the table of the results that tells, and what to say of it.
///
/// `{row|column|digits}` is a number: of the one row whose name contains this, with so many digits after
/// the point.
const ROWS: [(&str, &str, &str, &str); 11] = [
    (
        "rate limit, passed, with fields",
        "rate limit, allowed, with fields",
        "{bartizan|1|0} ns, {bartizan|2|0} allocations",
        "tower_governor {tower_governor|1|0} ns, {tower_governor|2|0}; axum-governor {axum-governor|1|0} ns, {axum-governor|2|0}",
    ),
    (
        "rate limit, passed, no fields",
        "rate limit, allowed, no fields",
        "{bartizan|1|0} ns, {bartizan|2|0}",
        "tower_governor {tower_governor|1|0} ns, {tower_governor|2|0}",
    ),
    (
        "rate limit, a flood of new keys",
        "rate limit, a flood of new keys, 1 thread(s)",
        "{bartizan|1|0} ns, fixed memory",
        "tower_governor {tower_governor|1|0} ns, grows",
    ),
    (
        "memory per tracked IPv6 client",
        "rate limit, memory, 1,000,000 IPv6 clients",
        "{bartizan|0|0} bytes",
        "governor {governor|0|0} bytes",
    ),
    (
        "twelve security headers",
        "security headers, twelve fixed ones",
        "{bartizan|1|0} ns, {bartizan|2|0}",
        "cloning a map by hand {cloning|1|0} ns, {cloning|2|0}; tower-http {twelve layers|1|0} ns, {twelve layers|2|0}; axum-helmet {axum-helmet|1|0} ns, {axum-helmet|2|0}",
    ),
    (
        "a policy with a nonce",
        "security headers with a nonce",
        "{bartizan|1|0} ns, {bartizan|2|0}",
        "http-security-headers {http-security|1|0} ns, {http-security|2|0}",
    ),
    (
        "health, the whole report",
        "health, one report",
        "{bartizan|1|0} ns, {bartizan|2|0}",
        "a static body {static body|1|0} ns, {static body|2|0}; axum-health {axum-health|1|0} ns, {axum-health|2|0}",
    ),
    (
        "an event for one of 8,000 streams, CPU",
        "SSE, one event to one of many connections, 8000 of them",
        "{bartizan on bare hyper|0|0} us",
        "axum with a broadcast {axum::serve, Sse|0|0} us; actix-web-lab {actix|0|0} us; better-sse {better-sse|0|0} us; nchan {nchan|0|0} us; raw TCP {raw TCP|0|0} us",
    ),
    (
        "bursts of 100 events to 2,000 streams, CPU per delivery",
        "SSE, bursts of 100 events to all, 2000 of them",
        "{bartizan on bare hyper|0|2} us",
        "axum with a broadcast {axum::serve, Sse|0|2} us; actix-web-lab {actix|0|2} us; better-sse {better-sse|0|2} us; nchan {nchan: one channel|0|2} us; raw TCP {raw TCP|0|2} us",
    ),
    (
        "an event to all of 10,000 streams, CPU per delivery",
        "SSE, one event to all, 10000 of them",
        "{bartizan on bare hyper|2|1} us",
        "axum with a broadcast {axum::serve, Sse|2|1} us; actix-web-lab {actix|2|1} us; better-sse {better-sse|2|1} us; nchan {nchan: one channel|2|1} us; raw TCP {raw TCP|2|1} us",
    ),
    (
        "an idle stream, resident memory",
        "SSE, memory per idle connection, 4000 of them",
        "{bartizan on bare hyper|0|1} KiB; under axum {bartizan on axum|0|1} KiB",
        "axum with a broadcast {axum::serve, Sse|0|1} KiB; actix-web-lab {actix|0|1} KiB; better-sse {better-sse|0|1} KiB; nchan {nchan|0|1} KiB; hyper alone {silence|0|1} KiB",
    ),
];

#[test]
fn what_documents_show_are_the_results_that_are_kept() {
    let results = read(&root().join("benches/peers/results/results.json"));
    let results: Value = serde_json::from_str(&results).expect("JSON");
    let load = read(&root().join("benches/load/results.md"));
    let peers = "benches/peers/README.md";
    for (document, name, kept) in [
        ("README.md", "measured", table(&results)),
        ("README.md", "under load", load),
        (peers, "charts", charts(&results)),
    ] {
        let path = root().join(document);
        let text = read(&path);
        let begin = format!("<!-- {name}, written by tests/readme.rs -->\n");
        let (before, rest) = text.split_once(&begin).expect("the first mark");
        let (shown, after) = rest.split_once(END).expect("the second mark");
        if std::env::var_os("BARTIZAN_WRITE").is_some() {
            let text = format!("{before}{begin}{kept}{END}{after}");
            fs::write(&path, text).expect("it can be written");
            continue;
        }
        assert!(
            shown == kept,
            "{document} shows\n{shown}\nand the results are\n{kept}\nBARTIZAN_WRITE=1 writes it"
        );
    }
}

#[test]
fn results_of_a_quick_run_are_not_kept() {
    let results = read(&root().join("benches/peers/results/results.json"));
    let results: Value = serde_json::from_str(&results).expect("JSON");
    assert_eq!(results["quick"], false);
    assert!(!read(&root().join("benches/load/results.md")).contains("quick"));
}

#[test]
fn a_number_is_rounded_and_told_in_thousands() {
    let results = serde_json::json!({ "tables": [{
        "title": "a", "rows": [{ "name": "floor", "cells": [{ "value": 1.0 }] },
                               { "name": "peer", "cells": [{ "value": 1.25 }, { "value": 12_345.6 }] }],
    }] });
    assert_eq!(
        filled(&results, "a", "{peer|1|0} ns, {peer|0|1}"),
        "12,346 ns, 1.2"
    );
}

#[test]
fn links_of_the_documents_lead_to_files() {
    let mut checked = 0;
    for document in [
        "README.md",
        "CONTRIBUTING.md",
        "examples/demo/README.md",
        "benches/peers/README.md",
    ] {
        let path = root().join(document);
        let directory = path.parent().expect("a file has one");
        for target in targets(&read(&path)) {
            assert!(directory.join(&target).exists(), "{document}: {target}");
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} links were found");
}

#[test]
fn the_documentation_names_the_metrics_that_there_are() {
    let (mut told, mut counted) = (BTreeSet::new(), BTreeSet::new());
    for source in sources(&root().join("src")) {
        for line in source.lines().map(str::trim_start) {
            let is_doc = line.starts_with("//!") || line.starts_with("///");
            match is_doc {
                true => told.extend(metrics(line, '`')),
                false => counted.extend(metrics(line, '"')),
            }
        }
    }
    assert!(counted.len() >= 30, "only {counted:?} were found");
    assert_eq!(told, counted);
    // Names of tables, and what is not quoted, are no metrics.
    let line = "| `bartizan_a_total` | `bartizan_events` bartizan_b |";
    assert_eq!(metrics(line, '`').collect::<Vec<_>>(), ["bartizan_a_total"]);
}

/// The charts, one for each table.
fn charts(results: &Value) -> String {
    let directory = fs::read_dir(root().join("benches/peers/results")).expect("a directory");
    let names = directory.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| name.ends_with(".svg"));
    names.sort();
    assert_eq!(
        names.len(),
        results["tables"].as_array().map_or(0, Vec::len)
    );
    let shown = names.iter().map(|name| {
        let title = name.trim_end_matches(".svg").replace('-', " ");
        format!("![{title}](results/{name})\n")
    });
    shown.collect()
}

fn table(results: &Value) -> String {
    let mut table = String::from("| what | bartizan | beside it |\n|---|---|---|\n");
    for (what, title, ours, theirs) in ROWS {
        let (ours, theirs) = (filled(results, title, ours), filled(results, title, theirs));
        writeln!(table, "| {what} | {ours} | {theirs} |").expect("a string takes all");
    }
    table
}

fn filled(results: &Value, title: &str, text: &str) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().expect("there is always one").to_owned();
    for part in parts {
        let (number, rest) = part.split_once('}').expect(text);
        let mut number = number.split('|');
        let mut next = || number.next().expect(text);
        let (row, column, digits) = (next(), next(), next());
        let value = value(results, title, row, column.parse().expect(text));
        filled.push_str(&told(value, digits.parse().expect(text)));
        filled.push_str(rest);
    }
    filled
}

fn value(results: &Value, title: &str, row: &str, column: usize) -> f64 {
    let tables = results["tables"].as_array().expect("tables");
    let table = tables.iter().find(|table| table["title"] == title);
    let rows = table.expect(title)["rows"].as_array().expect("rows");
    let mut rows = rows
        .iter()
        .filter(|one| one["name"].as_str().is_some_and(|name| name.contains(row)));
    let found = rows.next().expect(row);
    assert!(
        rows.next().is_none(),
        "{title}: more than one row is about {row}"
    );
    found["cells"][column]["value"].as_f64().expect(row)
}

fn told(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let whole = text.find('.').unwrap_or(text.len());
    match whole.checked_sub(3) {
        Some(thousands @ 1..) => format!("{},{}", &text[..thousands], &text[thousands..]),
        _ => text,
    }
}

/// What a document's links and pictures name beside it: neither addresses nor places within a page.
fn targets(document: &str) -> Vec<String> {
    document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default().to_owned())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

/// The names of metrics that stand between two of `quote` in a line.
fn metrics(line: &str, quote: char) -> impl Iterator<Item = String> {
    let quoted = line.split(quote).skip(1).step_by(2);
    quoted
        .filter(|text| text.starts_with("bartizan_") && !text.starts_with("bartizan_events"))
        .map(str::to_owned)
}

/// The texts of all files below `directory`.
fn sources(directory: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(directory).expect("it is there") {
        let path = entry.expect("it can be read").path();
        match path.is_dir() {
            true => texts.extend(sources(&path)),
            false => texts.push(read(&path)),
        }
    }
    texts
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
