//! What is weak in a policy besides its scripts.

use super::script::{governing, is_everything};
use super::{Finding, Severity, bypass};
use crate::security_headers::csp::{Csp, Directive, Sandbox, Source};

/// What `csp` leaves open in other directives, or says in vain.
pub(super) fn findings(csp: &Csp) -> Vec<Finding> {
    let mut found = Vec::new();
    for directive in Directive::ALL {
        for source in csp.sources(directive).unwrap_or_default() {
            found.extend(place(directive, source));
            found.extend(keyword(directive, source));
        }
    }
    if let Some((directive, sources)) = governing(csp, Directive::StyleSrc) {
        let trusted = |source: &Source| matches!(source, Source::Nonce | Source::Hash(_));
        if sources.contains(&Source::UnsafeInline) && !sources.iter().any(trusted) {
            let help = "injected styles can read attributes and cover the page";
            let source = Source::UnsafeInline;
            found.push(Finding::new(Severity::Info, directive, source, help));
        }
    }
    for (directive, severity, help) in OPEN {
        let sources = csp.sources(directive).unwrap_or_default().iter();
        let open = sources.filter(|source| is_everything(source));
        found.extend(open.map(|source| Finding::new(severity, directive, source, help)));
    }
    let sandbox = csp.sandbox_tokens();
    if let Some(tokens) = sandbox {
        if tokens.contains(&Sandbox::AllowScripts) && tokens.contains(&Sandbox::AllowSameOrigin) {
            let help = "together these let a framed page take its sandbox off";
            let both = "allow-scripts allow-same-origin";
            found.push(Finding::new(
                Severity::Medium,
                Directive::Sandbox,
                both,
                help,
            ));
        }
    }
    let submits = sandbox.is_none_or(|tokens| tokens.contains(&Sandbox::AllowForms));
    if submits && !csp.contains(Directive::FormAction) {
        let help = "injected forms can post to any host; default-src does not cover it";
        found.push(Finding::new(Severity::Low, Directive::FormAction, "", help));
    }
    if !csp.contains(Directive::ReportTo) && !csp.contains(Directive::ReportUri) {
        let help = "nobody learns what is blocked: see reports_to()";
        found.push(Finding::new(Severity::Info, Directive::ReportTo, "", help));
    } else if !csp.contains(Directive::ReportUri) {
        let help = "browsers without the Reporting API report nothing: set report-uri as well";
        found.push(Finding::new(Severity::Info, Directive::ReportUri, "", help));
    }
    for uri in csp.report_uris() {
        if uri.starts_with("http://") {
            let help = "whoever is on the network can read the reports: use https";
            found.push(Finding::new(
                Severity::Medium,
                Directive::ReportUri,
                uri,
                help,
            ));
        }
    }
    let text = csp.to_string();
    if text.len() > LONG {
        found.push(Finding::of_header(
            Severity::Medium,
            "content-security-policy",
            text.chars().take(64).collect::<String>() + "…",
            "longer than 8 KiB with everything beside it: many proxies refuse such a response",
        ));
    }
    found
}

/// What a keyword of `directive` opens, or that it means nothing there.
fn keyword(directive: Directive, source: &Source) -> Option<Finding> {
    use Directive::{ConnectSrc, DefaultSrc};
    let governs = |kind| directive == kind || directive.fallbacks().contains(&kind);
    let scripts = directive == DefaultSrc || governs(Directive::ScriptSrc);
    let inline = scripts || governs(Directive::StyleSrc);
    let means = match source {
        Source::UnsafeInline | Source::UnsafeHashes | Source::ReportSample => inline,
        Source::Nonce | Source::Hash(_) => inline,
        Source::StrictDynamic
        | Source::UnsafeEval
        | Source::WasmUnsafeEval
        | Source::TrustedTypesEval
        | Source::InlineSpeculationRules
        | Source::ReportSha256
        | Source::ReportSha384
        | Source::ReportSha512 => scripts,
        Source::UnsafeWebtransportHashes if matches!(directive, ConnectSrc | DefaultSrc) => {
            let help = "a page can connect to any server whose certificate's hash it names";
            return Some(Finding::new(Severity::Low, directive, source, help));
        }
        Source::UnsafeWebtransportHashes | Source::UnsafeAllowRedirects => false,
        _ => true,
    };
    let help = "it has no effect in this directive";
    (!means).then(|| Finding::new(Severity::Info, directive, source, help))
}

/// Where a source of `directive` points.
fn place(directive: Directive, source: &Source) -> Option<Finding> {
    let Source::Host(host) = source else {
        return None;
    };
    let text = host.to_string();
    let host = bypass::host(&text);
    let (severity, help) = if host == "localhost" || host == "127.0.0.1" {
        let help = "whoever runs a program on the visitor's machine: not for production";
        (Severity::Info, help)
    } else if host.parse::<std::net::Ipv4Addr>().is_ok() {
        let help = "browsers ignore every address but 127.0.0.1: use a name";
        (Severity::Info, help)
    } else if text.starts_with("http://") || text.starts_with("ws://") {
        let help = "whoever is on the network can change what comes from there: use https";
        (Severity::Medium, help)
    } else {
        return None;
    };
    Some(Finding::new(severity, directive, source, help))
}

/// Directives that a source for every host makes as weak as if they were missing.
const OPEN: [(Directive, Severity, &str); 2] = [
    (
        Directive::FrameAncestors,
        Severity::Medium,
        "any page can frame these and steal clicks: name those that may",
    ),
    (
        Directive::FormAction,
        Severity::Low,
        "injected forms can post to any host: name the ones that are meant",
    ),
];

/// Room is left for the other headers under the 8 KiB that common proxies give to all of them.
const LONG: usize = 7 * 1024;
