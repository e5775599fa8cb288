//! Whether injected markup can run scripts: the checks of Google's [CSP Evaluator] and a few more.
//!
//! [CSP Evaluator]: https://csp-evaluator.withgoogle.com

use super::bypass;
use super::{Finding, Severity};
use crate::security_headers::csp::{Csp, Directive, Source};

/// What `csp` lets an attacker do who can write into a page.
pub(super) fn findings(csp: &Csp) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for directive in [
        Directive::ScriptSrc,
        Directive::ScriptSrcElem,
        Directive::ScriptSrcAttr,
    ] {
        match governing(csp, directive) {
            Some((governing, sources)) if !seen.contains(&governing) => {
                seen.push(governing);
                scripts(governing, sources, &mut found);
            }
            None if directive == Directive::ScriptSrc => found.push(Finding::new(
                Severity::High,
                directive,
                "",
                "any script can run: set it, or default-src",
            )),
            _ => {}
        }
    }
    objects(csp, &mut found);
    base(csp, &mut found);
    let scripts = governing(csp, Directive::ScriptSrc);
    if !csp.contains(Directive::RequireTrustedTypesFor) && scripts.is_some() {
        found.push(Finding::new(
            Severity::Info,
            Directive::RequireTrustedTypesFor,
            "",
            "require_trusted_types() keeps strings from innerHTML and its like",
        ));
    }
    if let (Some((Directive::ScriptSrc, scripts)), Some(default)) =
        (scripts, csp.sources(Directive::DefaultSrc))
    {
        if default.contains(&Source::Nonce) && !scripts.contains(&Source::Nonce) {
            found.push(Finding::new(
                Severity::Low,
                Directive::DefaultSrc,
                Source::Nonce,
                "script-src stands in its place and has no nonce: add Source::Nonce there",
            ));
        }
    }
    found
}

/// The directive that decides about `directive`: itself, or the first of its fallbacks.
pub(super) fn governing(csp: &Csp, directive: Directive) -> Option<(Directive, &[Source])> {
    let chain = [directive].into_iter();
    let mut chain = chain.chain(directive.fallbacks().iter().copied());
    chain.find_map(|known| Some((known, csp.sources(known)?)))
}

fn scripts(directive: Directive, sources: &[Source], found: &mut Vec<Finding>) {
    let trusted = |source: &Source| matches!(source, Source::Nonce | Source::Hash(_));
    let has_trusted = sources.iter().any(trusted);
    let dynamic = sources.contains(&Source::StrictDynamic);
    let mut add = |severity, source: &Source, help| {
        found.push(Finding::new(severity, directive, source, help));
    };
    for source in sources {
        match source {
            Source::UnsafeInline if !has_trusted && !dynamic => {
                let help = "injected scripts and event handlers run: use nonces or hashes";
                add(Severity::High, source, help);
            }
            Source::UnsafeEval => {
                let help = "strings run as scripts: take it out if the page works without";
                add(Severity::Low, source, help);
            }
            Source::UnsafeHashes => {
                let help = "an attacker can put the hashed handlers on elements of their choice";
                add(Severity::Low, source, help);
            }
            Source::StrictDynamic if !has_trusted => {
                let help = "without a nonce or a hash no script can run at all";
                add(Severity::Info, source, help);
            }
            Source::SelfOrigin if !dynamic => {
                let help = "safe unless this origin serves uploads, JSONP or AngularJS";
                add(Severity::Low, source, help);
            }
            Source::Scheme(_) if !dynamic => add(Severity::High, source, ANYWHERE),
            Source::Host(host) if !dynamic => {
                let host = host.to_string();
                if bypass::is_anything(&host) {
                    add(Severity::High, source, ANYWHERE);
                } else if bypass::is_known(&host) {
                    let help = "this host serves JSONP or AngularJS, by which any script runs";
                    add(Severity::High, source, help);
                } else {
                    let help = "any file of this host can run, whatever the path (redirects \
                                lift it): prefer nonces with 'strict-dynamic'";
                    add(Severity::Low, source, help);
                }
            }
            _ => {}
        }
    }
    if has_trusted && !sources.contains(&Source::UnsafeInline) {
        let help = "browsers that know no nonces and hashes run no script: all others ignore it";
        add(Severity::Info, &Source::UnsafeInline, help);
    }
    let fallback = |source: &Source| matches!(source, Source::Scheme(_) | Source::Host(_));
    if dynamic && !sources.iter().any(fallback) {
        let help = "browsers that do not know it load no script: add https:, which others ignore";
        add(Severity::Info, &Source::StrictDynamic, help);
    }
}

fn objects(csp: &Csp, found: &mut Vec<Finding>) {
    match governing(csp, Directive::ObjectSrc) {
        None => found.push(Finding::new(
            Severity::High,
            Directive::ObjectSrc,
            "",
            "plugins can run scripts: set it to 'none'",
        )),
        Some((directive, sources)) => {
            for source in sources.iter().filter(|source| is_everything(source)) {
                found.push(Finding::new(Severity::High, directive, source, ANYWHERE));
            }
            if !matches!(sources, [Source::None]) {
                found.push(Finding::new(
                    Severity::Low,
                    Directive::ObjectSrc,
                    "",
                    "no current browser has plugins: set it to 'none'",
                ));
            }
        }
    }
}

fn base(csp: &Csp, found: &mut Vec<Finding>) {
    let scripts = [Directive::ScriptSrc, Directive::ScriptSrcElem];
    let scripts = scripts.into_iter().filter_map(|of| governing(csp, of));
    let relative = scripts
        .flat_map(|(_, sources)| sources)
        .any(|source| matches!(source, Source::Nonce | Source::StrictDynamic));
    match csp.sources(Directive::BaseUri) {
        None if relative => found.push(Finding::new(
            Severity::High,
            Directive::BaseUri,
            "",
            "an injected <base> sends trusted relative scripts to another host: set it to 'none'",
        )),
        None => {}
        Some(sources) => {
            for source in sources.iter().filter(|source| is_everything(source)) {
                found.push(Finding::new(
                    Severity::High,
                    Directive::BaseUri,
                    source,
                    ANYWHERE,
                ));
            }
        }
    }
}

/// Whether a source stands for every host.
pub(super) fn is_everything(source: &Source) -> bool {
    match source {
        Source::Scheme(_) => true,
        Source::Host(host) => bypass::is_anything(&host.to_string()),
        _ => false,
    }
}

const ANYWHERE: &str = "this is any host: name the ones that are meant";
