//! What becomes of a response's headers: a pure function of both header sets.

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::append::CspAppend;
use super::csp::{Directive, Template};
use super::header::FrameOptions;
use super::nonce::Nonce;
use super::prepared::{Action, Places, Policy, Prepared, PreparedHeaders};
use crate::client::Scheme;

/// What is known of the response besides its headers.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) scheme: Scheme,
    pub(super) status: StatusCode,
    /// The nonce, if the handler read it.
    pub(super) nonce: Option<Nonce>,
    /// What the handler added to the policy.
    pub(super) append: Option<&'a CspAppend>,
    /// The layers further in that have set their headers already.
    pub(super) inner: &'a [PreparedHeaders],
}

impl Prepared {
    /// Puts this layer's headers into `headers`, which the handler and the layers below have set.
    ///
    /// It starts from a copy of the prepared map, which hashes nothing and takes two allocations, and
    /// moves the handler's headers into it.
    pub(super) fn apply(&self, headers: &mut HeaderMap, facts: &Facts<'_>) {
        let variant = self.variant(facts.scheme);
        // A cache takes over what a 304 says about the response it has stored: say nothing new.
        let renews = facts.status == StatusCode::NOT_MODIFIED;
        let mut places = Places::of(headers);
        // Whether there is a `Cache-Control`, rather than an empty place for one.
        let mut said = places.contains(&CACHE_CONTROL);
        if !renews && (self.cache_control.is_some() || facts.nonce.is_some()) {
            places = places.with(&CACHE_CONTROL);
        }
        let theirs = std::mem::replace(headers, variant.start(places).clone());
        let mut sends_nonce = false;
        if facts.nonce.is_some() || facts.append.is_some() || renews {
            for policy in &variant.policies {
                sends_nonce |= write_policy(headers, policy, facts);
            }
        }
        if !theirs.is_empty() {
            said &= self.take_over(headers, theirs, facts);
        }
        if let (Some(value), false, false) = (&self.cache_control, renews, said) {
            headers.insert(CACHE_CONTROL, value.clone());
            said = true;
        }
        match (sends_nonce, said) {
            (true, true) => make_private(headers),
            (true, false) => drop(headers.insert(CACHE_CONTROL, PRIVATE)),
            (false, false) if places.contains(&CACHE_CONTROL) => {
                drop(headers.remove(CACHE_CONTROL))
            }
            (false, _) => {}
        }
    }

    /// Moves the handler's headers into `headers`; false if its `Cache-Control` was left out.
    fn take_over(&self, headers: &mut HeaderMap, theirs: HeaderMap, facts: &Facts<'_>) -> bool {
        let mut said = true;
        let mut current: Option<(HeaderName, How)> = None;
        for (name, value) in theirs {
            if let Some(name) = name {
                let how = self.how(&name, facts);
                match how {
                    How::Replace => drop(headers.insert(name.clone(), value)),
                    How::Append => drop(headers.append(name.clone(), value)),
                    How::Drop => said &= name != CACHE_CONTROL,
                }
                current = Some((name, how));
            } else if let Some((name, How::Replace | How::Append)) = &current {
                // A further value of the same name: cookies keep their number and their order.
                headers.append(name.clone(), value);
            }
        }
        said
    }

    /// What happens to the handler's header `name`.
    fn how(&self, name: &HeaderName, facts: &Facts<'_>) -> How {
        if *name == CONTENT_TYPE || *name == CONTENT_LENGTH {
            return How::Replace;
        }
        let Some(action) = self.actions.get(name) else {
            return How::Replace;
        };
        let set_further_in = || {
            let mut inner = facts.inner.iter().map(PreparedHeaders::get);
            inner.any(|inner| inner.sets(name, facts.scheme))
        };
        match action {
            Action::Remove => How::Drop,
            _ if !self.sets(name, facts.scheme) || set_further_in() => How::Replace,
            Action::Override => How::Drop,
            Action::Append => How::Append,
        }
    }

    /// Whether the header `name` is part of this set.
    fn sets(&self, name: &HeaderName, scheme: Scheme) -> bool {
        if *name == CACHE_CONTROL {
            self.cache_control.is_some()
        } else {
            self.variant(scheme).sends(name)
        }
    }
}

/// How a header of the handler's gets into the prepared map.
#[derive(Clone, Copy)]
enum How {
    /// It takes the place of this layer's.
    Replace,
    /// It is added to this layer's.
    Append,
    /// It is left out.
    Drop,
}

/// Renders a policy that is not the same for every response; says whether it carries the nonce.
fn write_policy(headers: &mut HeaderMap, policy: &Policy, facts: &Facts<'_>) -> bool {
    let rendered;
    let template = match facts.append {
        Some(append) => {
            let csp = append.applied_to(&policy.csp);
            if policy.name == CONTENT_SECURITY_POLICY {
                follow(headers, policy.csp.sources(Directive::FrameAncestors), &csp);
            }
            rendered = Template::new(&csp);
            &rendered
        }
        None => &policy.template,
    };
    if facts.status == StatusCode::NOT_MODIFIED && template.has_nonce() {
        // The cached page has the nonce of its own response: a new policy would stop its scripts.
        headers.remove(&policy.name);
        return false;
    }
    match facts.nonce {
        Some(nonce) if template.has_nonce() => {
            headers.insert(policy.name.clone(), template.fill(nonce.as_bytes()));
            true
        }
        _ => {
            if facts.append.is_some() {
                headers.insert(policy.name.clone(), template.plain().clone());
            }
            false
        }
    }
}

/// `X-Frame-Options` says what a widened `frame-ancestors` says, or nothing.
fn follow(headers: &mut HeaderMap, before: Option<&[super::Source]>, csp: &super::Csp) {
    if before == csp.sources(Directive::FrameAncestors) {
        return;
    }
    match FrameOptions::following(csp) {
        Some(options) => {
            headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static(options.as_str()));
        }
        None => drop(headers.remove(X_FRAME_OPTIONS)),
    }
}

/// Keeps a page with a nonce out of shared caches, which would hand the nonce to everybody.
fn make_private(headers: &mut HeaderMap) {
    let private = |value: &HeaderValue| {
        let directives = value.as_bytes().split(|byte| *byte == b',');
        let mut names = directives.map(<[u8]>::trim_ascii);
        names.any(|name| {
            name.eq_ignore_ascii_case(b"private") || name.eq_ignore_ascii_case(b"no-store")
        })
    };
    if !headers.get_all(CACHE_CONTROL).iter().any(private) {
        // Added to what the handler says: where directives conflict, the stricter one holds.
        headers.append(CACHE_CONTROL, PRIVATE);
    }
}

const PRIVATE: HeaderValue = HeaderValue::from_static("private");
