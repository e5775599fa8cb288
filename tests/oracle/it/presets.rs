//! What each preset allows, and that it allows nothing else.

use bartizan::security_headers::SecurityHeaders;
use content_security_policy::{Destination, InlineCheckType};

use crate::browser::{Attempt, DATA, EVIL, How, OWN, Page};

/// A page under `preset` may do what `expected` says, and nothing more.
#[track_caller]
fn assert_allows(page: &Page, expected: &[Attempt]) {
    let allowed = page.allowed();
    let more: Vec<_> = allowed.iter().filter(|a| !expected.contains(a)).collect();
    let less: Vec<_> = expected.iter().filter(|a| !allowed.contains(a)).collect();
    assert!(
        more.is_empty() && less.is_empty(),
        "also {more:#?}\nnot {less:#?}"
    );
}

/// Loading from the site itself, whatever else the element carries.
fn own(what: impl IntoIterator<Item = Destination>) -> Vec<Attempt> {
    let every = |what| {
        let all = Attempt::all();
        all.filter(move |attempt| matches!(attempt, Attempt::Load(w, OWN, _) if *w == what))
    };
    what.into_iter().flat_map(every).collect()
}

const SITE: &str = "https://site.example/";

#[test]
fn the_drop_in_preset_loads_its_own_files_and_runs_nothing_inline() {
    let page = Page::served(SecurityHeaders::web(), true, None);
    let mut expected = own([
        Destination::None,
        Destination::Font,
        Destination::Frame,
        Destination::Image,
        Destination::Manifest,
        Destination::Script,
        Destination::Style,
        Destination::Worker,
    ]);
    expected.push(Attempt::Submit(SITE));
    assert_allows(&page, &expected);
}

#[test]
fn with_the_nonce_scripts_run_wherever_they_come_from() {
    let page = Page::served(SecurityHeaders::web_nonce(), true, None);
    let mut expected = own([
        Destination::None,
        Destination::Font,
        Destination::Image,
        Destination::Manifest,
        Destination::Style,
        Destination::Worker,
    ]);
    let scripts = Attempt::all().filter(|attempt| {
        // What carries the nonce, and what such a script adds.
        matches!(attempt, Attempt::Load(Destination::Script, _, how) if *how != How::Plain)
    });
    expected.extend(scripts);
    let styles = Attempt::all().filter(|attempt| {
        matches!(attempt, Attempt::Load(Destination::Style, from, How::WithNonce) if *from != OWN)
    });
    expected.extend(styles);
    expected.extend([
        Attempt::Load(Destination::Image, DATA, How::Plain),
        Attempt::Inline(InlineCheckType::Script, true),
        Attempt::Inline(InlineCheckType::Style, true),
        Attempt::Submit(SITE),
    ]);
    assert_allows(&page, &expected);
    assert!(page.requires_trusted_types());
}

#[test]
fn without_reading_the_nonce_nothing_runs() {
    let page = Page::served(SecurityHeaders::web_nonce(), false, None);
    let runs = |attempt: &Attempt| match attempt {
        Attempt::Load(Destination::Script, _, how) => *how != How::ByScript,
        Attempt::Inline(..) | Attempt::Eval => true,
        _ => false,
    };
    let mut attempts = Attempt::all().filter(runs);
    assert!(attempts.all(|attempt| !page.allows(attempt)));
}

#[test]
fn an_api_answer_can_do_nothing() {
    assert_allows(&Page::served(SecurityHeaders::api(), true, None), &[]);
}

#[test]
fn what_users_uploaded_can_do_nothing_and_is_sandboxed() {
    let page = Page::served(SecurityHeaders::user_content(), true, None);
    assert!(page.is_inert());
    // Its sandbox, not a directive, keeps it from forms and from its base.
    let left = page.allowed();
    let harmless = |attempt: &Attempt| matches!(attempt, Attempt::Base(_) | Attempt::Submit(_));
    assert!(left.iter().all(harmless), "{left:?}");
}

#[test]
fn public_files_are_not_restricted() {
    let page = Page::served(SecurityHeaders::assets(), true, None);
    assert_eq!(page.allowed(), Attempt::all().collect::<Vec<_>>());
    assert!(page.allows(Attempt::BeFramed(EVIL)) && !page.is_inert());
}
