//! What follows from the store's decision: the fields of the response, or the refusal.

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, Request, Response};
use smallvec::SmallVec;

use super::decision::{Decision, Outcome, Verdict};
use super::headers::{self, Announced, Fields};
use super::quota::Quota;
use super::reject::{Cause, Rejection};
use super::report::Report;
use super::rules::{Applied, Rules, Window};
use crate::trace::emit;

/// What a request that passes takes along.
#[derive(Debug, Default)]
#[allow(unnameable_types, reason = "part of a sealed trait")]
pub struct Passed {
    pub(super) fields: Fields,
    pub(super) report: Option<Report>,
}

impl Passed {
    /// Marks a response on its way out. One that switches protocols stays as it is.
    pub(super) fn mark<B>(self, response: &mut Response<B>) {
        if !response.status().is_informational() {
            self.fields.write(response.headers_mut());
        }
        if let Some(report) = self.report {
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
    ) -> Result<Passed, Box<Response<Bytes>>> {
        self.count(applied, decision);
        // The answer to a CONNECT is the beginning of a tunnel.
        let tunnel = request.method() == Method::CONNECT && decision.is_allowed();
        let passed = Passed {
            fields: match tunnel {
                true => Fields::default(),
                false => self.fields(applied, decision),
            },
            report: self.settings.expose.then(|| {
                let verdicts = decision.verdicts().iter().copied();
                let names = applied
                    .iter()
                    .map(|applied| &*self.windows[applied.window].name);
                Report::new(names.zip(verdicts))
            }),
        };
        if decision.is_allowed() {
            if let Some(report) = &passed.report {
                request.extensions_mut().insert(report.clone());
            }
            return Ok(passed);
        }
        Err(self.refuse(self.exceeded(request, applied, decision), passed))
    }

    /// The answer to a request that lacks what the policy `rule` counts by.
    pub(super) fn no_key<B>(&self, request: &Request<B>, rule: usize) -> Box<Response<Bytes>> {
        let mut rejection = self.rejection(request, Cause::NoKey);
        rejection.violated.push(self.policies[rule].policy.name());
        self.refuse(rejection, Passed::default())
    }

    fn refuse(&self, rejection: Rejection<'_>, passed: Passed) -> Box<Response<Bytes>> {
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
        for (window, verdict) in self.enforced(applied, decision) {
            match verdict.outcome() {
                Outcome::Passed => continue,
                Outcome::Refused(wait) => rejection.wait = rejection.wait.max(Some(wait)),
                Outcome::TooCostly => rejection.cause = Cause::TooCostly,
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
        let settings = &self.settings;
        let verdicts = || self.enforced(applied, decision).map(|(_, verdict)| verdict);
        if !settings.headers.apply(decision.is_allowed(), verdicts()) {
            return Fields::default();
        }
        let named = self.enforced(applied, decision);
        Fields {
            policy: self.announced(applied),
            limit: headers::limit(named.map(|(window, verdict)| (&*window.name, verdict))),
            legacy: settings
                .legacy
                .then(|| headers::legacy(verdicts()))
                .flatten(),
        }
    }

    /// The `RateLimit-Policy` list: made before for one window alone and for all of them.
    fn announced(&self, applied: &[Applied]) -> Option<HeaderValue> {
        let quotas = self.quotas.load();
        let usual = |applied: &Applied| applied.quota == quotas.windows[applied.window].0;
        if applied.iter().all(usual) {
            match applied {
                [applied] => return quotas.windows[applied.window].1.clone(),
                applied if applied.len() == self.windows.len() => return quotas.announced.clone(),
                _ => {}
            }
        }
        let named = applied
            .iter()
            .map(|applied| (&self.windows[applied.window], applied.quota));
        self.announce(named)
    }

    /// The `RateLimit-Policy` list of windows, without the shadows.
    pub(super) fn announce<'w>(
        &self,
        windows: impl Iterator<Item = (&'w Window, Quota)>,
    ) -> Option<HeaderValue> {
        let enforced = windows.filter(|(window, _)| !self.is_shadow(window));
        headers::policy(enforced.map(|(window, quota)| Announced {
            name: &window.name,
            quota,
            unit: self.unit(window),
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
    ) -> impl Iterator<Item = (&'r Window, &'d Verdict)> {
        applied
            .iter()
            .zip(decision.verdicts())
            .map(|(applied, verdict)| (&self.windows[applied.window], verdict))
            .filter(|(window, _)| !self.is_shadow(window))
    }
}
