//! What follows from the store's decision: the fields of the response, or the refusal.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use smallvec::SmallVec;

use super::decision::{Decision, Outcome, Verdict};
use super::digest::Partition;
use super::headers::{self, Announced, Fields};
use super::quota::Quota;
use super::reject::{Cause, Rejection};
use super::report::Report;
use super::rules::{Applied, Rules, Window};
use crate::trace::emit;

/// What the response to a request that has passed is marked with.
#[derive(Debug, Default)]
#[allow(unnameable_types, reason = "part of a sealed trait")]
pub struct Passed {
    fields: Fields,
    report: Option<Report>,
}

/// Leave to pass, and what was said about it on the way in.
pub(super) struct Pass {
    tells: bool,
    report: Option<Report>,
}

impl Passed {
    /// Marks a response on its way out, once. One that switches protocols stays as it is.
    pub(super) fn mark<B>(&mut self, response: &mut Response<B>) {
        if !response.status().is_informational() {
            self.fields.write(response.headers_mut());
        }
        if let Some(report) = self.report.take() {
            response.extensions_mut().insert(report);
        }
    }
}

impl Rules {
    /// What follows from the store's decision about `applied`.
    ///
    /// # Errors
    ///
    /// The answer to a request that may not pass. It is boxed, since only refusals pay for it.
    pub(super) fn settle<B>(
        &self,
        request: &mut Request<B>,
        applied: &[Applied],
        decision: &Decision,
    ) -> Result<Pass, Box<Response<Bytes>>> {
        self.count(applied, decision);
        let pass = Pass {
            tells: self.tells(request, applied, decision),
            report: (self.settings.expose).then(|| self.report(applied, decision)),
        };
        if decision.is_allowed() {
            if let Some(report) = &pass.report {
                request.extensions_mut().insert(report.clone());
            }
            return Ok(pass);
        }
        let passed = self.passed(applied, decision, pass).unwrap_or_default();
        Err(self.refuse(self.exceeded(request, applied, decision), passed))
    }

    /// What the response is marked with, if with anything.
    pub(super) fn passed(
        &self,
        applied: &[Applied],
        decision: &Decision,
        pass: Pass,
    ) -> Option<Passed> {
        let Pass { tells, report } = pass;
        (tells || report.is_some()).then(|| Passed {
            fields: match tells {
                true => self.fields(applied, decision),
                false => Fields::default(),
            },
            report,
        })
    }

    /// Whether the response says how much is left.
    fn tells<B>(&self, request: &Request<B>, applied: &[Applied], decision: &Decision) -> bool {
        let allowed = decision.is_allowed();
        // The answer to a CONNECT is the beginning of a tunnel.
        let tunnel = allowed && request.method() == Method::CONNECT;
        let enforced = self.enforced(applied, decision);
        let verdicts = enforced.map(|(_, _, verdict)| verdict);
        !tunnel && self.settings.headers.apply(allowed, verdicts)
    }

    fn report(&self, applied: &[Applied], decision: &Decision) -> Report {
        let names = applied.iter().map(|one| &*self.windows[one.window].name);
        Report::new(names.zip(decision.verdicts().iter().copied()))
    }

    /// The answer to a request that lacks what the policy `rule` counts by.
    pub(super) fn no_key<B>(&self, request: &Request<B>, rule: usize) -> Box<Response<Bytes>> {
        let mut rejection = self.rejection(request, Cause::NoKey);
        rejection.violated.push(self.policies[rule].policy.name());
        self.refuse(rejection, Passed::default())
    }

    fn refuse(&self, rejection: Rejection<'_>, mut passed: Passed) -> Box<Response<Bytes>> {
        for policy in rejection.violated() {
            emit!(debug, { policy = policy }, "request refused");
        }
        let mut response = match &self.settings.reject {
            Some(reject) => reject.reject(&rejection),
            None => rejection.response(),
        };
        if !response.status().is_success() {
            rejection.ensure_retry_after(&mut response);
        }
        if *rejection.method == Method::HEAD {
            let without = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
            if !without.contains(&response.status()) {
                let length = headers::number(response.body().len() as u64);
                let entry = response.headers_mut().entry(CONTENT_LENGTH);
                entry.or_insert(length);
            }
            // Over HTTP/2 nobody else takes it out, and the client would break off.
            response.body_mut().clear();
        }
        passed.mark(&mut response);
        Box::new(response)
    }

    /// Who refused, and for how long.
    fn exceeded<'r, B>(
        &'r self,
        request: &'r Request<B>,
        applied: &[Applied],
        decision: &Decision,
    ) -> Rejection<'r> {
        let mut rejection = self.rejection(request, Cause::Exceeded);
        for (_, window, verdict) in self.enforced(applied, decision) {
            match verdict.outcome() {
                Outcome::Passed => continue,
                Outcome::Refused(wait) => rejection.wait = rejection.wait.max(Some(wait)),
                Outcome::TooCostly => rejection.cause = Cause::TooCostly,
                Outcome::Unavailable(wait) => {
                    rejection.wait = rejection.wait.max(Some(wait));
                    if rejection.cause == Cause::Exceeded {
                        rejection.cause = Cause::Unavailable;
                    }
                }
            }
            rejection.violated.push(&window.name);
            rejection.document = Some(&window.document);
        }
        if rejection.cause == Cause::TooCostly {
            rejection.wait = None;
        }
        if rejection.violated.len() > 1 || rejection.cause != Cause::Exceeded {
            rejection.document = None;
        }
        rejection
    }

    fn rejection<'r, B>(&self, request: &'r Request<B>, cause: Cause) -> Rejection<'r> {
        Rejection {
            cause,
            method: request.method(),
            headers: request.headers(),
            violated: SmallVec::new(),
            wait: None,
            spare_event_source: self.settings.event_source,
            document: None,
        }
    }

    fn fields(&self, applied: &[Applied], decision: &Decision) -> Fields {
        let enforced = || self.enforced(applied, decision);
        let legacy = || headers::legacy(enforced().map(|(_, _, verdict)| verdict));
        let named = enforced()
            .map(|(applied, window, verdict)| (&*window.name, verdict, self.partition(applied)));
        Fields {
            policy: self.announced(applied),
            limit: headers::limit(named),
            legacy: self.settings.legacy.then(legacy).flatten(),
        }
    }

    /// Which bucket a window means, where responses tell that.
    fn partition(&self, applied: &Applied) -> Option<Partition> {
        let secret = self.settings.partitions.as_ref()?;
        let check = self.check(applied);
        Some(secret.partition(check.scope(), check.key()))
    }

    /// The `RateLimit-Policy` list: made before for one window alone and for all of them.
    fn announced(&self, applied: &[Applied]) -> Option<HeaderValue> {
        let quotas = self.quotas.load();
        let usual = |applied: &Applied| applied.quota == quotas.windows[applied.window].0;
        if self.settings.partitions.is_none() && applied.iter().all(usual) {
            match applied {
                [applied] => return quotas.windows[applied.window].1.clone(),
                applied if applied.len() == self.windows.len() => return quotas.announced.clone(),
                _ => {}
            }
        }
        let named = applied.iter().map(|applied| {
            (
                &self.windows[applied.window],
                applied.quota,
                self.partition(applied),
            )
        });
        self.announce(named)
    }

    /// The `RateLimit-Policy` list of windows, without the shadows.
    pub(super) fn announce<'w>(
        &self,
        windows: impl Iterator<Item = (&'w Window, Quota, Option<Partition>)>,
    ) -> Option<HeaderValue> {
        let enforced = windows.filter(|(window, _, _)| !self.is_shadow(window));
        headers::policy(enforced.map(|(window, quota, partition)| Announced {
            name: &window.name,
            quota,
            unit: self.unit(window),
            partition,
        }))
    }

    fn count(&self, applied: &[Applied], decision: &Decision) {
        for (applied, verdict) in applied.iter().zip(decision.verdicts()) {
            let window = &self.windows[applied.window];
            if !verdict.has_passed() {
                window.refused.add(1);
                if self.is_shadow(window) {
                    emit!(debug, { policy = window.name }, "request would be refused");
                }
            } else if decision.is_allowed() {
                window.passed.add(1);
            }
        }
    }

    fn enforced<'r, 'd>(
        &'r self,
        applied: &'d [Applied],
        decision: &'d Decision,
    ) -> impl Iterator<Item = (&'d Applied, &'r Window, &'d Verdict)> {
        applied
            .iter()
            .zip(decision.verdicts())
            .map(|(applied, verdict)| (applied, &self.windows[applied.window], verdict))
            .filter(|(_, window, _)| !self.is_shadow(window))
    }
}
