//! One request's checks, sorted by the buckets that they share at the server.

use std::ops::Range;

use smallvec::SmallVec;

use super::known::{Order, Verdicts};
use super::server;
use crate::rate_limit::decision::{Decision, Verdict};
use crate::rate_limit::digest::{Secret, digest};
use crate::rate_limit::store::Check;

/// The checks of one request, without the names of their windows: they outlive the layer's borrow.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) checks: SmallVec<[Check<'static>; 4]>,
    pub(super) groups: SmallVec<[Group; 2]>,
}

/// The windows of one policy, for one caller: one bucket at the server.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) windows: Range<usize>,
    /// The digest of policy, windows and caller, by which this process knows it.
    pub(super) tag: u64,
    /// The digests of policy and windows, and of the caller.
    name: (u64, u64),
    pub(super) order: Order,
    pub(super) shadow: bool,
    /// Whether a bucket is smaller than what the request costs.
    pub(super) too_costly: bool,
}

impl Asked {
    pub(super) fn new(checks: &[Check<'_>], secret: &Secret) -> Self {
        let mut asked = Self {
            checks: (checks.iter())
                .map(|check| Check {
                    policy: "",
                    window: "",
                    ..*check
                })
                .collect(),
            groups: SmallVec::new(),
        };
        let mut first = 0;
        let together = |a: &Check<'_>, b: &Check<'_>| {
            let same = |check: &Check<'_>| (check.key(), check.cells(), check.is_shadow());
            a.policy() == b.policy() && same(a) == same(b)
        };
        for windows in checks.chunk_by(together) {
            let windows_of_all = first..first + windows.len();
            first = windows_of_all.end;
            asked
                .groups
                .push(Group::new(windows, windows_of_all, secret));
        }
        asked
    }

    /// The decision that follows from one list of verdicts for each group.
    pub(super) fn decision<'v>(&self, verdicts: impl Iterator<Item = &'v Verdicts>) -> Decision {
        Decision::new(&self.checks, verdicts.flatten().copied())
    }
}

impl Group {
    fn new(checks: &[Check<'_>], windows: Range<usize>, secret: &Secret) -> Self {
        let scopes = checks.iter().map(|check| check.scope_under(secret));
        let scope = scopes.fold(0, |all, scope| digest(Some(secret), &(all, scope)));
        let first = &checks[0];
        Self {
            windows,
            tag: digest(Some(secret), &(scope, first.key())),
            name: (scope, first.key()),
            order: Order {
                quotas: (checks.iter())
                    .map(|check| server::in_micros(check.quota()))
                    .collect(),
                cells: first.cells(),
            },
            shadow: first.is_shadow(),
            too_costly: (checks.iter()).any(|check| check.cells() > check.quota().cells()),
        }
    }

    /// The name of the bucket at the server. Only what stands in braces decides where in a cluster it
    /// is, so that buckets spread whatever the prefix is.
    pub(super) fn name(&self, prefix: &str) -> String {
        let (scope, key) = self.name;
        format!("{prefix}:{{{scope:016x}{key:016x}}}")
    }

    /// The same verdict for all windows, made from the size of each.
    pub(super) fn all(&self, verdict: impl Fn(u64) -> Verdict) -> Verdicts {
        let cells = self.order.quotas.iter().map(|quota| quota.cells());
        cells.map(verdict).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::quota::Quota;

    fn secret() -> Secret {
        Secret::new("the secret of a fleet").expect("long enough")
    }

    fn asked(checks: &[Check<'_>]) -> Asked {
        Asked::new(checks, &secret())
    }

    const QUOTA: Quota = Quota::per_second(5);

    #[test]
    fn the_windows_of_a_policy_are_one_bucket_and_policies_are_several() {
        let checks = [
            Check::new("api", "api", 1, QUOTA),
            Check::new("api", "daily", 1, QUOTA),
            Check::new("login", "login", 1, QUOTA),
            Check::new("login", "slow", 2, QUOTA),
        ];
        let asked = asked(&checks);
        let windows: Vec<_> = asked
            .groups
            .iter()
            .map(|group| group.windows.clone())
            .collect();
        assert_eq!(windows, [0..2, 2..3, 3..4]);
    }

    #[test]
    fn a_bucket_is_named_by_digests_alone() {
        let name = |policy, window, key| {
            let checks = [Check::new(policy, window, key, QUOTA)];
            asked(&checks).groups[0].name("bartizan")
        };
        let ann = name("api", "api", 1);
        assert_eq!(ann, name("api", "api", 1));
        let others = [
            name("api", "api", 2),
            name("api", "b", 1),
            name("b", "api", 1),
        ];
        assert!(others.iter().all(|other| *other != ann));
        assert!(!ann.contains("api"));
        assert_eq!(ann.len(), "bartizan:{}".len() + 32);
    }

    #[test]
    fn a_host_that_asks_by_itself_means_the_same_bucket_in_every_process() {
        let by_host = Check::new("api", "api", 1, QUOTA);
        let scope = crate::rate_limit::store::scope(Some(&secret()), "api", "api");
        let by_layer = Check::scoped("api", "api", scope, 1, QUOTA);
        let [host, layer] = [by_host, by_layer].map(|check| asked(&[check]));
        let name = |asked: &Asked| asked.groups[0].name("bartizan");
        assert_eq!(name(&host), name(&layer));
        assert_eq!(host.groups[0].tag, layer.groups[0].tag);
    }

    #[test]
    fn another_list_of_windows_is_another_bucket() {
        let name = |windows: &[&str]| {
            let checks: Vec<_> = (windows.iter())
                .map(|window| Check::new("api", window, 1, QUOTA))
                .collect();
            asked(&checks).groups[0].name("x")
        };
        assert_ne!(name(&["api", "b"]), name(&["b", "api"]));
        assert_ne!(name(&["api", "b"]), name(&["api"]));
    }
}
