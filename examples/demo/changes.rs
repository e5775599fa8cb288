//! What health says, told in the event log too: the public event `health.changed`.

use std::collections::VecDeque;
use std::future::pending;
use std::time::{Duration, SystemTime};

use bartizan::clock::Clock;
use bartizan::health::{Health, Report};
use serde::Serialize;
use tokio::time::sleep;

use crate::repository::Repository;

/// A change of readiness, of what is broken and why, or of what that blocks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    status: &'static str,
    ready: bool,
    reasons: Vec<&'static str>,
    root_causes: Vec<String>,
    blocked: Vec<String>,
}

impl Change {
    fn of(report: &Report) -> Self {
        let blocked = report
            .dependencies()
            .filter(|one| one.blocked_by().len() > 0);
        Self {
            status: report.status().as_str(),
            ready: report.is_ready(),
            reasons: report.reasons().iter().map(|one| one.as_str()).collect(),
            root_causes: report.root_causes().map(str::to_owned).collect(),
            blocked: blocked.map(|one| one.name().to_owned()).collect(),
        }
    }

    /// A warning alone is not worth an event for everybody, nor is what will be known in a moment.
    fn is_news_after(&self, told: &Self) -> bool {
        let same = self.ready == told.ready
            && (self.ready || self.reasons == told.reasons)
            && self.root_causes == told.root_causes
            && self.blocked == told.blocked;
        let well_again = self.status == "pass" && told.status != "pass";
        !self.reasons.contains(&"pending") && (well_again || !same)
    }
}

/// Follows the transitions from the first results on, until this instance drains.
///
/// The log is in the very database whose failure is to be told: what it cannot take now waits, in
/// order and dated, the newest [`WAITING`] of it.
pub(crate) async fn tell(health: Health, repository: Repository) {
    let clock = Clock::new();
    let mut transitions = health.subscribe();
    let mut told = Change::of(health.started().await.as_ref());
    let mut waiting: VecDeque<(Change, SystemTime)> = VecDeque::new();
    loop {
        let again = async {
            match waiting.is_empty() {
                true => pending().await,
                false => sleep(RETRY).await,
            }
        };
        tokio::select! {
            report = transitions.changed() => match report {
                Some(report) if !report.is_draining() => {
                    let change = Change::of(&report);
                    if change.is_news_after(&told) {
                        told = change.clone();
                        waiting.push_back((change, clock.wall()));
                        waiting.drain(..waiting.len().saturating_sub(WAITING));
                    }
                }
                _ => return,
            },
            () = again => {}
        }
        while let Some((change, at)) = waiting.front() {
            if repository.tell(change.clone(), *at).await.is_err() {
                break;
            }
            waiting.pop_front();
        }
    }
}

/// How soon a locked database is tried again.
const RETRY: Duration = Duration::from_millis(250);

const WAITING: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_what_breaks_and_why_and_what_is_well_again() {
        let well = Change {
            status: "pass",
            ready: true,
            reasons: vec![],
            root_causes: vec![],
            blocked: vec![],
        };
        let broken = |reason| Change {
            status: "fail",
            ready: false,
            reasons: vec![reason],
            root_causes: vec!["database".to_owned()],
            blocked: vec!["ledger".to_owned()],
        };
        let slow = Change {
            status: "warn",
            reasons: vec!["slow"],
            ..well.clone()
        };
        for (now, before, is_news) in [
            (&well, &well, false),
            (&broken("timeout"), &well, true),
            // What was slow at first turns out to be locked.
            (&broken("locked"), &broken("timeout"), true),
            (&broken("locked"), &broken("locked"), false),
            (&broken("pending"), &well, false),
            (&well, &broken("locked"), true),
            (&slow, &well, false),
            (&well, &slow, true),
        ] {
            assert_eq!(now.is_news_after(before), is_news, "{before:?}, {now:?}");
        }
    }
}
