//! The checks of a whole header set.

use super::{Finding, Severity, script, sources};
use crate::security_headers::csp::{Csp, Directive};
use crate::security_headers::header::{FrameOptions, ReferrerPolicy};
use crate::security_headers::policy::{Framing, SecurityHeaders};
use crate::security_headers::render;

impl SecurityHeaders {
    /// What is weak in this policy although it is well-formed, the worst first.
    ///
    /// At least as strict as Google's CSP Evaluator, with checks of the other headers. Mistakes are
    /// not its affair: [`prepare`](Self::prepare) refuses them. What a host's test asserts:
    ///
    /// ```
    /// use bartizan::security_headers::{Directive, SecurityHeaders, Severity};
    ///
    /// let policy = SecurityHeaders::web_nonce();
    /// assert!(policy.lint().iter().all(|finding| finding.severity() == Severity::Info));
    ///
    /// let weak = policy.csp(|csp| csp.set(Directive::ScriptSrc, ["'unsafe-inline'"]));
    /// let worst = &weak.lint()[0];
    /// assert_eq!((worst.severity(), worst.directive()), (Severity::High, "script-src"));
    /// assert_eq!(worst.value(), "'unsafe-inline'");
    /// ```
    #[must_use]
    pub fn lint(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let policies = render::policies(self);
        let findings = |csp: &Csp| [script::findings(csp), sources::findings(csp)].concat();
        for (name, csp) in &policies {
            let all = findings(csp).into_iter();
            if *name == http::header::CONTENT_SECURITY_POLICY {
                found.extend(all);
            } else if self.csp.is_none() {
                found.extend(all.map(Finding::reported));
            }
        }
        if self.csp.is_none() {
            found.push(Finding::of_header(
                Severity::Medium,
                "content-security-policy",
                "",
                "no policy is enforced: whatever HTML or SVG is served may run anything",
            ));
        }
        self.framing(&mut found);
        self.others(&mut found);
        // Stable: findings of one severity stay in the order of the checks.
        found.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
        found
    }

    /// Who may frame the pages.
    fn framing(&self, found: &mut Vec<Finding>) {
        let enforced = self.csp.as_ref();
        let ancestors = enforced.filter(|csp| csp.contains(Directive::FrameAncestors));
        let set = match self.frame_options {
            Framing::Set(options) => Some(options),
            Framing::Follow { last } => last,
            Framing::Without => None,
        };
        match (ancestors.map(FrameOptions::following), set) {
            (Some(follows), Some(options)) if follows != Some(options) => {
                found.push(Finding::of_header(
                    Severity::Low,
                    "x-frame-options",
                    options.as_str(),
                    "frame-ancestors says otherwise, and overrules it in current browsers",
                ));
            }
            (None, None) if enforced.is_some() => found.push(Finding::new(
                Severity::Medium,
                Directive::FrameAncestors,
                "",
                "any page can frame these and steal clicks; default-src does not cover it",
            )),
            _ => {}
        }
        let reported = self.csp_report_only.as_ref();
        if reported.is_some_and(|csp| csp.contains(Directive::Sandbox)) {
            found.push(
                Finding::new(
                    Severity::Info,
                    Directive::Sandbox,
                    "",
                    "browsers ignore it in a report-only policy, so it is not sent",
                )
                .reported(),
            );
        }
    }

    fn others(&self, found: &mut Vec<Finding>) {
        if !self.nosniff {
            found.push(Finding::of_header(
                Severity::Medium,
                "x-content-type-options",
                "",
                "browsers may run files of another type as scripts: nosniff()",
            ));
        }
        let hsts = "strict-transport-security";
        match self.hsts {
            None => found.push(Finding::of_header(
                Severity::Low,
                hsts,
                "",
                "a first visit over http can be intercepted every time: hsts()",
            )),
            Some(age) if age.seconds() > TEN_YEARS => found.push(Finding::of_header(
                Severity::Info,
                hsts,
                age,
                "more than ten years is hardly meant: max_age takes a Duration",
            )),
            Some(age) if age.seconds() > 0 && age.seconds() < HALF_A_YEAR => {
                found.push(Finding::of_header(
                    Severity::Low,
                    hsts,
                    age,
                    "less than half a year: browsers forget it between two visits",
                ));
            }
            Some(_) => {}
        }
        let referrer = self.referrer.as_deref().and_then(<[_]>::last);
        if let Some(ReferrerPolicy::UnsafeUrl | ReferrerPolicy::NoReferrerWhenDowngrade) = referrer
        {
            found.push(Finding::of_header(
                Severity::Low,
                "referrer-policy",
                referrer.map_or("", |policy| policy.as_str()),
                "other sites learn the whole address: strict-origin-when-cross-origin",
            ));
        }
    }
}

const DAY: u64 = 24 * 3600;
const HALF_A_YEAR: u64 = 180 * DAY;
const TEN_YEARS: u64 = 3_653 * DAY;
