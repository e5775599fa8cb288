//! What every [`Store`] must do, as cases that a host runs over its own.

use std::future::Future;

use super::decision::{Decision, Outcome};
use super::quota::Quota;
use super::store::{Answer, Check, Store};
use crate::clock::Clock;

/// Runs all cases, each over a store that `make` makes, with none of its buckets in use.
///
/// The clock stands still. A store with a time of its own is fine: the quotas are per day.
///
/// # Panics
///
/// At the first case that does not hold, in its words.
///
/// # Example
///
/// ```
/// use bartizan::rate_limit::{MemoryStore, conformance};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(
/// conformance::store(async || MemoryStore::new())
/// # );
/// # Ok::<_, std::io::Error>(())
/// ```
pub async fn store<St, F>(make: impl Fn() -> F)
where
    F: Future<Output = St>,
    St: Store,
{
    a_burst_passes_and_no_more(make().await).await;
    requests_under_way_together_share_the_burst(make().await).await;
    each_key_and_each_window_has_a_bucket(make().await).await;
    what_one_window_refuses_is_charged_to_none(make().await).await;
    a_cost_is_taken_whole_or_not_at_all(make().await).await;
    a_shadow_counts_what_passes_and_refuses_nothing(make().await).await;
}

async fn ask<St: Store>(store: &St, checks: &[Check<'_>]) -> Decision {
    let decision = store.check(checks, &Clock::manual()).decision().await;
    assert_eq!(
        decision.verdicts().len(),
        checks.len(),
        "one verdict for each check"
    );
    decision
}

/// How much a key has left: a check of no cells.
async fn left<St: Store>(store: &St, check: Check<'_>) -> u64 {
    ask(store, &[check.cost(0)]).await.verdicts()[0].remaining()
}

async fn a_burst_passes_and_no_more<St: Store>(store: St) {
    let check = Check::new("api", "api", 1, DAILY);
    for expected in (0..DAILY.cells()).rev() {
        let decision = ask(&store, &[check]).await;
        let verdict = decision.verdicts()[0];
        assert!(decision.is_allowed(), "a burst passes");
        assert_eq!(
            verdict.limit(),
            DAILY.cells(),
            "the limit is the bucket's size"
        );
        assert_eq!(verdict.remaining(), expected, "what is left counts down");
    }
    let decision = ask(&store, &[check]).await;
    assert!(!decision.is_allowed(), "an empty bucket refuses");
    match decision.verdicts()[0].outcome() {
        Outcome::Refused(wait) => {
            assert!(!wait.is_zero(), "a refusal says to wait");
            assert!(wait <= DAILY.window(), "and for no longer than the window");
        }
        outcome => panic!("an empty bucket refuses, and says {outcome:?}"),
    }
}

async fn requests_under_way_together_share_the_burst<St: Store>(store: St) {
    let check = [Check::new("api", "api", 1, DAILY)];
    let clock = Clock::manual();
    let answers: Vec<Answer<_>> = (0..20).map(|_| store.check(&check, &clock)).collect();
    let mut passed = 0;
    for answer in answers {
        passed += u64::from(answer.decision().await.is_allowed());
    }
    assert_eq!(
        passed,
        DAILY.cells(),
        "requests under way together share the burst"
    );
}

async fn each_key_and_each_window_has_a_bucket<St: Store>(store: St) {
    let check = Check::new("api", "api", 1, DAILY);
    let full = DAILY.cells();
    ask(&store, &[check]).await;
    for (other, what) in [
        (Check::new("api", "api", 2, DAILY), "key"),
        (Check::new("api", "second", 1, DAILY), "window"),
        (Check::new("web", "web", 1, DAILY), "policy"),
    ] {
        assert_eq!(
            left(&store, other).await,
            full,
            "each {what} has a bucket of its own"
        );
    }
    assert_eq!(left(&store, check).await, full - 1, "and keeps it");
}

async fn what_one_window_refuses_is_charged_to_none<St: Store>(store: St) {
    let wide = Check::new("wide", "wide", 1, Quota::per_day(100));
    let narrow = Check::new("narrow", "narrow", 1, Quota::per_day(1));
    let last = Check::new("last", "last", 1, Quota::per_day(100));
    let checks = [wide, narrow, last];
    assert!(ask(&store, &checks).await.is_allowed());
    for _ in 0..10 {
        let decision = ask(&store, &checks).await;
        assert!(!decision.is_allowed(), "one refusal is enough");
        let passed: Vec<_> = decision
            .verdicts()
            .iter()
            .map(|verdict| verdict.has_passed())
            .collect();
        assert_eq!(
            passed,
            [true, false, true],
            "each verdict is that of its check"
        );
    }
    assert_eq!(
        left(&store, wide).await,
        99,
        "a refused request is charged to none"
    );
    assert_eq!(
        left(&store, last).await,
        99,
        "a refused request is charged to none"
    );
}

async fn a_cost_is_taken_whole_or_not_at_all<St: Store>(store: St) {
    let check = Check::new("api", "api", 1, DAILY);
    let full = DAILY.cells();
    assert!(
        ask(&store, &[check.cost(0)]).await.is_allowed(),
        "looking is free"
    );
    assert!(ask(&store, &[check.cost(full - 1)]).await.is_allowed());
    assert!(!ask(&store, &[check.cost(2)]).await.is_allowed());
    assert_eq!(
        left(&store, check).await,
        1,
        "a cost is taken whole or not at all"
    );
    for cost in [full + 1, u64::MAX] {
        let outcome = ask(&store, &[check.cost(cost)]).await.verdicts()[0].outcome();
        assert_eq!(outcome, Outcome::TooCostly, "{cost} cells are never there");
    }
    assert!(ask(&store, &[check]).await.is_allowed());
    assert!(
        ask(&store, &[check.cost(0)]).await.is_allowed(),
        "looking is free, and allowed"
    );
}

async fn a_shadow_counts_what_passes_and_refuses_nothing<St: Store>(store: St) {
    let shadow = Check::new("trial", "trial", 1, Quota::per_day(2)).shadow();
    let enforced = Check::new("api", "api", 1, DAILY);
    for round in 0..DAILY.cells() {
        let decision = ask(&store, &[shadow, enforced]).await;
        assert!(decision.is_allowed(), "a shadow refuses nothing");
        let verdict = decision.verdicts()[0];
        assert_eq!(verdict.has_passed(), round < 2, "and says what it would");
    }
    let other = Check::new("other", "other", 1, Quota::per_day(9)).shadow();
    assert!(!ask(&store, &[other, enforced]).await.is_allowed());
    assert_eq!(
        left(&store, other).await,
        9,
        "a refused request is not charged to a shadow"
    );
}

const DAILY: Quota = Quota::per_day(5);
