//! The checks of a whole header set.

use super::{Finding, Severity, features, script, sources};
use crate::security_headers::append::CspAppend;
use crate::security_headers::csp::Directive;
use crate::security_headers::header::{FrameOptions, Framing, PermissionsPolicy, ReferrerPolicy};
use crate::security_headers::policy::SecurityHeaders;
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
        for (name, csp) in render::policies(self) {
            let all = [script::findings(&csp), sources::findings(&csp)].concat();
            if name == http::header::CONTENT_SECURITY_POLICY {
                found.extend(all);
            } else {
                found.extend(all.into_iter().map(Finding::reported));
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

    /// What [`lint`](Self::lint) finds in the response of a handler that adds `append`.
    ///
    /// ```
    /// use bartizan::security_headers::{CspAppend, Directive, SecurityHeaders};
    ///
    /// let widget = CspAppend::new(Directive::ScriptSrc, ["https:"])?;
    /// let worst = &SecurityHeaders::web().lint_with(&widget)[0];
    /// assert_eq!((worst.directive(), worst.value()), ("script-src", "https:"));
    /// # Ok::<_, bartizan::config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn lint_with(&self, append: &CspAppend) -> Vec<Finding> {
        let mut widened = self.clone();
        for csp in [&mut widened.csp, &mut widened.csp_report_only] {
            *csp = csp.as_ref().map(|csp| append.applied_to(csp));
        }
        widened.lint()
    }

    /// Who may frame the pages.
    fn framing(&self, found: &mut Vec<Finding>) {
        let enforced = self.csp.as_ref();
        let ancestors = enforced.filter(|csp| csp.contains(Directive::FrameAncestors));
        let set = match self.frame_options {
            Framing::Set(options) => Some(options),
            // What follows agrees.
            Framing::Follow { .. } | Framing::Without => None,
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
            (None, _) if enforced.is_some() && render::frame_options(self).is_none() => {
                found.push(Finding::new(
                    Severity::Medium,
                    Directive::FrameAncestors,
                    "",
                    "any page can frame these and steal clicks; default-src does not cover it",
                ))
            }
            _ => {}
        }
        for directive in [Directive::Sandbox, Directive::UpgradeInsecureRequests] {
            let reported = self.csp_report_only.as_ref();
            if reported.is_some_and(|csp| csp.contains(directive)) {
                let help = "browsers ignore it in a report-only policy, so it is not sent";
                let finding = Finding::new(Severity::Info, directive, "", help);
                found.push(finding.reported());
            }
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
        for (name, policy) in [
            ("permissions-policy", &self.permissions),
            (
                "permissions-policy-report-only",
                &self.permissions_report_only,
            ),
        ] {
            let features = policy.iter().flat_map(PermissionsPolicy::features);
            for feature in features.filter(|feature| !features::is_known(feature)) {
                found.push(Finding::of_header(
                    Severity::Low,
                    name,
                    feature,
                    "no browser is known to have this feature: a misspelt one denies nothing",
                ));
            }
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
