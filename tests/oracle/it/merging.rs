//! What becomes of a policy when another is added to it, and when its nonce is not read.

use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan::security_headers::{Csp, CspAppend, Directive, Source};
use proptest::prelude::*;

use crate::browser::{Page, only};

fn directive() -> impl Strategy<Value = Directive> {
    prop::sample::select(vec![
        Directive::DefaultSrc,
        Directive::ScriptSrc,
        Directive::ScriptSrcElem,
        Directive::ScriptSrcAttr,
        Directive::StyleSrc,
        Directive::StyleSrcElem,
        Directive::StyleSrcAttr,
        Directive::ImgSrc,
        Directive::FontSrc,
        Directive::ConnectSrc,
        Directive::ObjectSrc,
        Directive::ChildSrc,
        Directive::FrameSrc,
        Directive::WorkerSrc,
        Directive::ManifestSrc,
        Directive::BaseUri,
        Directive::FormAction,
    ])
}

fn sources() -> impl Strategy<Value = Vec<Source>> {
    let source = prop::sample::select(vec![
        "'self'",
        "https://evil.example",
        "data:",
        "blob:",
        "https:",
        "'nonce-{nonce}'",
        "'unsafe-inline'",
        "'unsafe-eval'",
        "'strict-dynamic'",
    ]);
    let some = prop::collection::vec(source.prop_map(|text| Source::parse(text).unwrap()), 1..4);
    prop_oneof![4 => some, 1 => Just(vec![Source::None])]
}

fn policy() -> impl Strategy<Value = Csp> {
    let entries = prop::collection::vec((directive(), sources()), 1..6);
    entries.prop_map(|entries| {
        let set = |csp: Csp, (directive, sources)| csp.set(directive, sources);
        entries.into_iter().fold(Csp::new(), set)
    })
}

/// A policy that allows `sources` in `directive` and nothing that has a directive of its own.
fn alone(directive: Directive, sources: Vec<Source>) -> Csp {
    Csp::new()
        .set(Directive::DefaultSrc, [Source::None])
        .set(Directive::BaseUri, [Source::None])
        .set(Directive::FormAction, [Source::None])
        .set(directive, sources)
}

/// A nonce for both halves of a merge, which are two responses.
fn page(csp: &Csp) -> Page {
    let nonce = "NNNNNNNNNNNNNNNNNNNNNNNN";
    Page::under(&csp.to_string().replace("{nonce}", nonce), nonce)
}

#[test]
fn a_merge_never_allows_what_both_halves_block() {
    let widened = AtomicUsize::new(0);
    proptest!(|(csp in policy(), to in directive(), more in sources())| {
        let merged = page(&csp.clone().allow(to, more.clone())).allowed();
        let (before, added) = (page(&csp).allowed(), page(&alone(to, more)).allowed());
        for attempt in &merged {
            prop_assert!(before.contains(attempt) || added.contains(attempt), "{attempt:?}: {csp}");
        }
        let more = merged.iter().any(|attempt| !before.contains(attempt));
        widened.fetch_add(usize::from(more), Ordering::Relaxed);
    });
    assert!(widened.into_inner() > 30, "hardly any merge allowed more");
}

#[test]
fn what_was_allowed_before_a_merge_still_is() {
    let tested = AtomicUsize::new(0);
    proptest!(|(csp in policy(), to in directive(), more in sources())| {
        // The specification lets these take effect away from the sources beside them.
        let takes_away = |source: &Source| matches!(source, Source::Nonce | Source::StrictDynamic);
        if csp.to_string().contains("strict-dynamic") || more.iter().any(takes_away) {
            return Ok(());
        }
        let merged = csp.clone().allow(to, more);
        tested.fetch_add(1, Ordering::Relaxed);
        let after = page(&merged).allowed();
        for attempt in page(&csp).allowed() {
            prop_assert!(after.contains(&attempt), "{attempt:?}\n{csp}\n{merged}");
        }
    });
    assert!(tested.into_inner() > 50);
}

#[test]
fn additions_of_a_response_are_the_same_merge() {
    proptest!(|(csp in policy(), to in directive(), more in sources())| {
        // A handler has a nonce to read if the layer's own policy has one.
        let csp = csp.set(Directive::MediaSrc, [Source::Nonce]);
        let append = CspAppend::new(to, more.clone()).unwrap();
        let served = Page::served(only(&csp), true, Some(&append)).allowed();
        prop_assert_eq!(served, Page::of(&csp.allow(to, more)).allowed());
    });
}

#[test]
fn two_policies_of_one_response_are_both_enforced() {
    proptest!(|(one in policy(), other in policy())| {
        let both = Page::under(&format!("{one}, {other}"), "x").allowed();
        let (one, other) = (Page::under(&one.to_string(), "x"), Page::under(&other.to_string(), "x"));
        let expected: Vec<_> = one.allowed().into_iter().filter(|a| other.allows(*a)).collect();
        prop_assert_eq!(both, expected);
    });
}

#[test]
fn an_unread_nonce_never_weakens_a_policy() {
    let stricter = AtomicUsize::new(0);
    proptest!(|(csp in policy())| {
        let (read, unread) = (Page::of(&csp), Page::served(only(&csp), false, None));
        let allowed = read.allowed();
        for attempt in unread.allowed() {
            prop_assert!(allowed.contains(&attempt), "{attempt:?}: {csp}");
        }
        stricter.fetch_add(usize::from(unread.allowed() != allowed), Ordering::Relaxed);
    });
    assert!(
        stricter.into_inner() > 20,
        "hardly any policy had a nonce to lose"
    );
}
