//! Which reports have been passed on lately: a table of fixed size.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};

use super::violation::Report;
use crate::clock::Instant;
use crate::rand::DigestKey;

/// Digests of the latest reports, each in the one place that its lowest bits name.
///
/// Whoever sends many different reports pushes others out, and at most has a report passed on twice:
/// memory does not grow, and the digest's key is not theirs to know.
#[derive(Debug)]
pub(super) struct Seen {
    key: DigestKey,
    cells: Box<[AtomicU64]>,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self {
            key: DigestKey::default(),
            cells: (0..CELLS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Notes `report`; whether the same one was noted within the last minute.
    pub(super) fn note(&self, report: &Report, now: Instant) -> bool {
        let digest = self.digest(report);
        // The upper 40 bits of the digest, and the second in 24 bits, which wrap after half a year.
        let second = (now.as_nanos() / 1_000_000_000) & SECOND;
        let cell = &self.cells[digest as usize % CELLS];
        let noted = cell.load(Ordering::Relaxed);
        let age = second.wrapping_sub(noted) & SECOND;
        if noted != 0 && noted & !SECOND == digest & !SECOND && age < WINDOW {
            return true;
        }
        cell.store((digest & !SECOND) | second, Ordering::Relaxed);
        false
    }

    fn digest(&self, report: &Report) -> u64 {
        let mut hasher = self.key.hasher();
        for text in [
            &report.kind,
            &report.document,
            &report.blocked,
            &report.directive,
            &report.source_file,
        ] {
            hasher.write_usize(text.len());
            hasher.write(text.as_bytes());
        }
        hasher.write_u32(report.line.unwrap_or(0));
        hasher.write_u8(report.disposition as u8);
        hasher.finish()
    }
}

/// 8 KiB, enough for the different faults of a site in a minute.
const CELLS: usize = 1024;

/// How long a repetition is held back, in seconds.
const WINDOW: u64 = 60;

const SECOND: u64 = (1 << 24) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn report(document: &str) -> Report {
        Report {
            document: document.to_owned(),
            ..Report::default()
        }
    }

    #[test]
    fn a_repetition_is_held_back_for_a_minute() {
        let seen = Seen::new();
        assert!(!seen.note(&report("a"), at(100)));
        assert!(seen.note(&report("a"), at(159)));
        assert!(!seen.note(&report("b"), at(159)));
        assert!(!seen.note(&report("a"), at(160)));
        assert!(seen.note(&report("a"), at(161)));
    }

    #[test]
    fn fields_do_not_run_into_one_another() {
        let seen = Seen::new();
        let mut other = report("");
        other.blocked = "a".into();
        assert!(!seen.note(&report("a"), at(1)));
        assert!(!seen.note(&other, at(1)));
    }

    #[test]
    fn a_flood_of_different_reports_takes_no_more_memory() {
        let seen = Seen::new();
        let passed = (0..50_000).filter(|n: &u32| !seen.note(&report(&n.to_string()), at(1)));
        assert_eq!(passed.count(), 50_000);
        assert_eq!(seen.cells.len(), CELLS);
    }
}
