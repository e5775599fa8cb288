//! The policies of a layer, compiled: which of their windows apply to a request.

use std::iter;
use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, Request};
use smallvec::SmallVec;

use super::digest::Secret;
use super::head::Head;
use super::headers::Headers;
use super::key::{Key, Missing};
use super::live::{Live, Quotas};
use super::policy::{Cost, Policy};
use super::quota::Quota;
use super::reject::{self, Reject};
use super::route::{CompiledRoute, Target};
use super::store::{self, Check};
use crate::config::ConfigError;
use crate::trace::Counter;

/// Everything about a layer but its store and its clock.
pub(super) struct Rules {
    pub(super) policies: Vec<Rule>,
    pub(super) windows: Vec<Window>,
    /// What can change while the layer runs.
    pub(super) quotas: Live,
    pub(super) settings: Settings,
}

/// What is set on the builder beside the policies.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) template: Option<Box<TemplateFn>>,
    pub(super) headers: Headers,
    pub(super) legacy: bool,
    pub(super) event_source: bool,
    pub(super) expose: bool,
    pub(super) reject: Option<Arc<dyn Reject>>,
    /// What the store has keys digested under.
    pub(super) secret: Option<Secret>,
    /// What the names of buckets in response fields are made under, if they are told.
    pub(super) partitions: Option<Secret>,
}

pub(super) type TemplateFn = dyn for<'a> Fn(&'a Extensions) -> Option<&'a str> + Send + Sync;

pub(super) struct Rule {
    pub(super) policy: Policy,
    key: Key,
    routes: Vec<CompiledRoute>,
    /// Its windows: a range of [`Rules::windows`].
    windows: std::ops::Range<usize>,
}

pub(super) struct Window {
    rule: usize,
    pub(super) name: Box<str>,
    scope: u64,
    /// The document of its refusal.
    pub(super) document: Bytes,
    pub(super) passed: Counter,
    pub(super) refused: Counter,
}

/// A window that applies to a request, with what it is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied {
    pub(super) window: usize,
    key: u64,
    pub(super) quota: Quota,
    /// Whether the quota is another than the policy's own, and the bucket with it.
    planned: bool,
    cost: u64,
}

/// The windows that apply to one request. Up to four of them need no allocation.
pub(super) type AppliedList = SmallVec<[Applied; 4]>;

impl Rules {
    /// Compiles policies.
    ///
    /// # Errors
    ///
    /// If there is none, if names or units are unfit or names given twice, if a key is missing or cannot be found on
    /// the policy's routes, if a template cannot match, or if a constant cost never passes.
    pub(super) fn new(policies: Vec<Policy>, settings: Settings) -> Result<Self, ConfigError> {
        if policies.is_empty() {
            let fix = "add at least one with `.policy(Policy::new(name, quota).by(key))`";
            return Err(ConfigError::new("policies", "none", fix));
        }
        if let Headers::NearLimit(percent @ 101..) = settings.headers {
            let fix = "use 0 to 100, the share of the quota that is left";
            let field = "headers: near limit";
            return Err(ConfigError::new(field, percent.to_string(), fix));
        }
        let mut rules = Self {
            policies: Vec::with_capacity(policies.len()),
            windows: Vec::new(),
            quotas: Live::new(Quotas::default()),
            settings,
        };
        let mut quotas = Vec::new();
        for policy in policies {
            quotas.extend(policy.windows.iter().map(|(_, quota)| *quota));
            rules.add(policy)?;
        }
        rules.quotas = Live::new(rules.at(&quotas));
        Ok(rules)
    }

    fn add(&mut self, mut policy: Policy) -> Result<(), ConfigError> {
        let name = policy.name().to_owned();
        let first = self.windows.len();
        let refused = if policy.shadow {
            "would_refuse"
        } else {
            "refused"
        };
        for (window, quota) in &policy.windows {
            self::name(window, self.windows.iter().map(|known| &*known.name))?;
            if let Cost::Cells(cells) = policy.cost {
                affordable(&name, window, *quota, cells)?;
            }
            self.windows.push(Window {
                rule: self.policies.len(),
                name: (&**window).into(),
                scope: store::scope(self.settings.secret.as_ref(), &name, window),
                document: reject::document(window),
                passed: counter(window, "passed"),
                refused: counter(window, refused),
            });
        }
        let routes = std::mem::take(&mut policy.routes)
            .into_iter()
            .map(|route| route.compile(&name))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(unit) = &policy.unit {
            fit_for_fields("quota unit", unit)?;
        }
        let key = policy.key.take().ok_or_else(|| {
            let fix = "say what it counts by, e.g. `.by(key::client_ip(&client))`, or \
                       `.by(key::constant())` for one bucket for all";
            ConfigError::new(format!("key of policy `{name}`"), "none", fix)
        })?;
        key.validate(&name, &routes)?;
        self.policies.push(Rule {
            policy,
            key,
            routes,
            windows: first..self.windows.len(),
        });
        Ok(())
    }

    /// Changes the quotas of the windows named, all of them or none.
    ///
    /// # Errors
    ///
    /// If there is no window of a name, or if a constant cost would never pass.
    pub(super) fn swap<'n>(
        &self,
        changes: impl IntoIterator<Item = (&'n str, Quota)>,
    ) -> Result<(), ConfigError> {
        let change = |(name, quota): (&'n str, Quota)| {
            let index = self.windows.iter().position(|known| *known.name == *name);
            let index = index.ok_or_else(|| {
                let fix = "the layer has no such window: name those it was built with";
                ConfigError::new("policy name", name, fix)
            })?;
            let policy = &self.policies[self.windows[index].rule].policy;
            if let Cost::Cells(cells) = policy.cost {
                affordable(policy.name(), name, quota, cells)?;
            }
            Ok::<_, ConfigError>((index, quota))
        };
        let changes: Vec<_> = changes.into_iter().map(change).collect::<Result<_, _>>()?;
        self.quotas.change(|current| {
            let mut quotas: Vec<_> = current.windows.iter().map(|(quota, _)| *quota).collect();
            for (index, quota) in &changes {
                quotas[*index] = *quota;
            }
            self.at(&quotas)
        });
        Ok(())
    }

    /// What is announced under these quotas, one for each window.
    fn at(&self, quotas: &[Quota]) -> Quotas {
        let named = self.windows.iter().zip(quotas.iter().copied());
        let named = named.map(|(window, quota)| (window, quota, None));
        Quotas {
            announced: self.announce(named.clone()),
            windows: named
                .map(|one| (one.1, self.announce(iter::once(one))))
                .collect(),
        }
    }

    /// What policies see of a request.
    pub(super) fn head<'r, B>(&self, request: &'r Request<B>) -> Head<'r> {
        let template = self.settings.template.as_ref();
        Head::new(
            request,
            template.and_then(|find| find(request.extensions())),
        )
    }

    /// Adds the windows that apply to a request, policy by policy. They are written where they stay:
    /// a list that has room for four is too large to be handed about.
    ///
    /// # Errors
    ///
    /// The policy whose key the request lacks and may not.
    pub(super) fn applied(&self, head: &Head<'_>, applied: &mut AppliedList) -> Result<(), usize> {
        let quotas = self.quotas.load();
        let secret = self.settings.secret.as_ref();
        let target = Target::new(head);
        for (index, rule) in self.policies.iter().enumerate() {
            apply(rule, &quotas, head, &target, secret, applied).map_err(|NoKey| index)?;
        }
        Ok(())
    }

    /// The windows of the policy `name` alone that apply to a request. No window does if it lacks what the
    /// policy counts by, and may not; what others count by does not matter.
    pub(super) fn applied_of(&self, name: &str, head: &Head<'_>) -> AppliedList {
        let mut applied = AppliedList::new();
        if let Some(rule) = (self.policies.iter()).find(|rule| rule.policy.name() == name) {
            let (quotas, target) = (self.quotas.load(), Target::new(head));
            let secret = self.settings.secret.as_ref();
            // Without its key nothing has been added.
            let _ = apply(rule, &quotas, head, &target, secret, &mut applied);
        }
        applied
    }

    /// What the store is asked.
    pub(super) fn checks(&self, applied: &[Applied]) -> SmallVec<[Check<'_>; 4]> {
        applied.iter().map(|applied| self.check(applied)).collect()
    }

    /// What the store is asked about one window.
    pub(super) fn check(&self, applied: &Applied) -> Check<'_> {
        let window = &self.windows[applied.window];
        let rule = &self.policies[window.rule];
        let scope = match applied.planned {
            true => {
                let secret = self.settings.secret.as_ref();
                store::planned(secret, window.scope, applied.quota)
            }
            false => window.scope,
        };
        let (policy, name) = (rule.policy.name(), &*window.name);
        let check =
            Check::scoped(policy, name, scope, applied.key, applied.quota).cost(applied.cost);
        match rule.policy.shadow {
            true => check.shadow(),
            false => check,
        }
    }

    pub(super) fn is_shadow(&self, window: &Window) -> bool {
        self.policies[window.rule].policy.shadow
    }

    /// What the cells of a window are, where that is no request.
    pub(super) fn unit(&self, window: &Window) -> Option<&str> {
        self.policies[window.rule].policy.unit.as_deref()
    }
}

/// Adds the windows of one policy, if it applies.
fn apply(
    rule: &Rule,
    quotas: &Quotas,
    head: &Head<'_>,
    target: &Target<'_>,
    secret: Option<&Secret>,
    applied: &mut AppliedList,
) -> Result<(), NoKey> {
    let policy = &rule.policy;
    let route = rule.routes.iter().find(|route| route.matches(target));
    if (route.is_none() && !rule.routes.is_empty()) || policy.skip.iter().any(|skip| skip(head)) {
        return Ok(());
    }
    let key = match rule.key.of(head, route, secret) {
        Ok(key) => key,
        Err(Missing::Reject) if !policy.shadow => return Err(NoKey),
        Err(Missing::Skip) => return Ok(()),
        Err(_) => Key::shared(secret),
    };
    let cost = match &policy.cost {
        Cost::Cells(cells) => *cells,
        Cost::Of(cost) => cost(head),
    };
    for window in rule.windows.clone() {
        applied.push(Applied {
            window,
            key,
            quota: quotas.windows[window].0,
            planned: false,
            cost,
        });
    }
    if let Some(quota) = policy.quota_for.as_ref().and_then(|quota| quota(head)) {
        let first = applied.len() - rule.windows.len();
        // Compared with what cannot be swapped: a client's bucket must not change with it.
        applied[first].planned = quota != policy.windows[0].1;
        applied[first].quota = quota;
    }
    Ok(())
}

/// Whether a constant cost can ever pass.
pub(super) fn affordable(
    policy: &str,
    window: &str,
    quota: Quota,
    cost: u64,
) -> Result<(), ConfigError> {
    if cost <= quota.cells() {
        return Ok(());
    }
    let most = quota.cells();
    Err(ConfigError::new(
        format!("cost of policy `{policy}`"),
        cost.to_string(),
        format!("`{window}` holds {most} at most: raise its burst"),
    ))
}

/// Whether a window may have this name beside those that are `taken`.
pub(super) fn name<'n>(
    name: &str,
    mut taken: impl Iterator<Item = &'n str>,
) -> Result<(), ConfigError> {
    fit_for_fields("policy name", name)?;
    if taken.any(|known| *known == *name) {
        let fix = "it is taken: give every policy and window of a layer a name of its own";
        return Err(ConfigError::new("policy name", name, fix));
    }
    Ok(())
}

/// Whether a structured field can hold this text as it is.
pub(super) fn fit_for_fields(field: &'static str, text: &str) -> Result<(), ConfigError> {
    let fit = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if !(1..=64).contains(&text.len()) || !text.bytes().all(fit) {
        let fix = "use 1 to 64 visible ASCII characters without `\"` and `\\`";
        return Err(ConfigError::new(field, text, fix));
    }
    Ok(())
}

/// A request lacks what a policy counts by.
struct NoKey;

fn counter(window: &str, outcome: &str) -> Counter {
    let labels = [("policy", window), ("outcome", outcome)];
    Counter::new("bartizan_rate_limit_requests_total", &labels)
}
