//! What becomes of a response's headers: a pure function of both header sets.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_FRAME_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::append::CspAppend;
use super::csp::{Directive, Template};
use super::header::FrameOptions;
use super::nonce::Nonce;
use super::prepared::{Action, Places, Policy, Prepared, PreparedHeaders};
use super::private;
use super::transport::Transport;

/// What is known of the response besides its headers.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) transport: Transport,
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
        let variant = self.variant(facts.transport);
        // A cache takes over what a 304 says about the response it has stored: say nothing new.
        let renews = facts.status == StatusCode::NOT_MODIFIED;
        let sends_nonce = facts.nonce.is_some() && !renews && self.carries_nonce(facts.append);
        let handlers = Places::of(headers);
        let mut places = handlers;
        if sends_nonce || self.cache_control.is_some() && !renews {
            // What the prepared map has there holds unless the handler says otherwise.
            places = places.with(&CACHE_CONTROL);
        }
        let mut theirs = std::mem::replace(headers, variant.start(places).clone());
        if sends_nonce || facts.append.is_some() || renews {
            for policy in &variant.policies {
                write_policy(headers, policy, facts);
            }
        }
        if theirs.len() == handlers.count() && !self.competes {
            // As a rule all that a handler sets has a place, which also means that none is leaky.
            fill(headers, &mut theirs);
            if sends_nonce && (self.cache_control.is_some() || handlers.contains(&CACHE_CONTROL)) {
                private::say(headers);
            }
        } else {
            self.take_over(headers, theirs, facts);
            if sends_nonce || self.competes && private::has_nonce(headers) {
                private::unsay_exceptions(headers);
                private::say(headers);
            }
        }
    }

    /// Whether any policy has a nonce source, its own or one that was added.
    pub(super) fn carries_nonce(&self, append: Option<&CspAppend>) -> bool {
        self.has_nonce || append.is_some_and(CspAppend::has_nonce)
    }

    /// Moves the handler's headers into `headers`.
    fn take_over(&self, headers: &mut HeaderMap, theirs: HeaderMap, facts: &Facts<'_>) {
        let mut current: Option<(HeaderName, How)> = None;
        for (name, value) in theirs {
            if let Some(name) = name {
                let how = self.how(&name, facts);
                match how {
                    How::Replace => drop(headers.insert(name.clone(), value)),
                    How::Append => drop(headers.append(name.clone(), value)),
                    How::Drop => {}
                }
                current = Some((name, how));
            } else if let Some((name, How::Replace | How::Append)) = &current {
                // A further value of the same name: cookies keep their number and their order.
                headers.append(name.clone(), value);
            }
        }
    }

    /// What happens to the handler's header `name`.
    fn how(&self, name: &HeaderName, facts: &Facts<'_>) -> How {
        let Some(action) = self.actions.get(name) else {
            return How::Replace;
        };
        let set_further_in = || {
            let mut inner = facts.inner.iter().map(PreparedHeaders::get);
            inner.any(|inner| inner.sets(name, facts.transport))
        };
        match action {
            Action::Remove => How::Drop,
            _ if !self.sets(name, facts.transport) || set_further_in() => How::Replace,
            Action::Override => How::Drop,
            Action::Append => How::Append,
        }
    }

    /// Whether the header `name` is part of this set.
    fn sets(&self, name: &HeaderName, transport: Transport) -> bool {
        if *name == CACHE_CONTROL {
            self.cache_control.is_some()
        } else {
            self.variant(transport).sends(name)
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

/// Moves the handler's headers into their places, the first entries of `headers`; nothing is hashed.
fn fill(headers: &mut HeaderMap, theirs: &mut HeaderMap) {
    if theirs.is_empty() {
        return;
    }
    for (name, value) in theirs {
        let mut places = headers.iter_mut().take(Places::COUNT);
        if let Some((_, place)) = places.find(|(known, _)| *known == name) {
            std::mem::swap(place, value);
        }
    }
}

/// Sets a header that `headers` is likely to have. `insert` would make room for one more first.
fn set(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    match headers.get_mut(name) {
        Some(old) => *old = value,
        None => drop(headers.insert(name.clone(), value)),
    }
}

/// Renders a policy that is not the same for every response.
fn write_policy(headers: &mut HeaderMap, policy: &Policy, facts: &Facts<'_>) {
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
    let left_out = || {
        // What a layer further in says stays, and so does what it leaves out.
        let mut inner = facts.inner.iter().map(PreparedHeaders::get);
        template.has_nonce() || inner.any(|inner| inner.sets(&policy.name, facts.transport))
    };
    if facts.status == StatusCode::NOT_MODIFIED && left_out() {
        // The cached page has the nonce of its own response: a new policy would stop its scripts.
        headers.remove(&policy.name);
    } else if let Some(nonce) = facts.nonce.filter(|_| template.has_nonce()) {
        set(headers, &policy.name, template.fill(nonce.as_bytes()));
    } else if facts.append.is_some() {
        set(headers, &policy.name, template.plain().clone());
    }
}

/// `X-Frame-Options` says what a widened `frame-ancestors` says, or nothing.
fn follow(headers: &mut HeaderMap, before: Option<&[super::Source]>, csp: &super::Csp) {
    if before == csp.sources(Directive::FrameAncestors) {
        return;
    }
    match (
        FrameOptions::following(csp),
        headers.get_mut(X_FRAME_OPTIONS),
    ) {
        (Some(options), Some(old)) => *old = HeaderValue::from_static(options.as_str()),
        // It was taken out.
        (Some(_), None) => {}
        (None, _) => drop(headers.remove(X_FRAME_OPTIONS)),
    }
}
