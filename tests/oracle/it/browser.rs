//! A browser's view of one response: what its page may load, run and do.

use std::convert::Infallible;
use std::fmt;
use std::sync::Mutex;

use bartizan::security_headers::{Csp, CspAppend, CspNonce, SecurityHeaders, SecurityHeadersLayer};
use content_security_policy::{
    CheckResult, CspList, Destination, Element, Initiator, InlineCheckType, NavigationCheckType,
    ParserMetadata, PolicyDisposition, PolicySource, Request, Response,
};
use futures::FutureExt;
use tower::{Layer, ServiceExt, service_fn};
use url::Url;

/// The origin of every page.
const SITE: &str = "https://site.example/";

/// A page, under the policies that came with it.
#[derive(Debug)]
pub(crate) struct Page {
    policies: CspList,
    nonce: String,
}

impl Page {
    /// The page of a handler that reads its nonce (or not) and adds sources (or not).
    pub(crate) fn served(
        headers: SecurityHeaders,
        reads_nonce: bool,
        append: Option<&CspAppend>,
    ) -> Self {
        let nonce = Mutex::new(UNREAD.to_owned());
        let handler = service_fn(|request: http::Request<()>| {
            let handle = request.extensions().get::<CspNonce>();
            if let Some(handle) = handle.filter(|_| reads_nonce) {
                handle.get().as_str().clone_into(&mut nonce.lock().unwrap());
            }
            let mut response = http::Response::new(());
            if let Some(append) = append {
                append.clone().add_to(response.extensions_mut());
            }
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let service = SecurityHeadersLayer::new(headers).unwrap().layer(handler);
        let answer = service.oneshot(http::Request::new(())).now_or_never();
        let response = answer.expect("nothing here waits").unwrap();
        let values = response.headers().get_all("content-security-policy");
        let values: Vec<_> = values.iter().map(|value| value.to_str().unwrap()).collect();
        Self::under(&values.join(", "), &nonce.lock().unwrap())
    }

    /// The page of a handler that reads its nonce, under `csp` alone.
    pub(crate) fn of(csp: &Csp) -> Self {
        Self::served(only(csp), true, None)
    }

    /// A page under the policies of a header, whose elements carry `nonce`.
    pub(crate) fn under(text: &str, nonce: &str) -> Self {
        Self {
            policies: CspList::parse(text, PolicySource::Header, PolicyDisposition::Enforce),
            nonce: nonce.to_owned(),
        }
    }

    /// Everything of [`Attempt::ALL`] that succeeds.
    pub(crate) fn allowed(&self) -> Vec<Attempt> {
        let all = Attempt::all();
        all.filter(|attempt| self.allows(*attempt)).collect()
    }

    pub(crate) fn allows(&self, attempt: Attempt) -> bool {
        let nonce = |with: bool| with.then_some(self.nonce.as_str());
        let site = Url::parse(SITE).unwrap();
        let result = match attempt {
            Attempt::Load(what, from, how) => {
                let nonce = nonce(how == How::WithNonce).unwrap_or_default();
                let parser = match (what, how) {
                    // A worker is always made by a script.
                    (Destination::Worker, _) | (_, How::ByScript) => {
                        ParserMetadata::NotParserInserted
                    }
                    _ => ParserMetadata::ParserInserted,
                };
                let request = request(from, what, nonce, parser);
                self.policies.should_request_be_blocked(&request).0
            }
            Attempt::Inline(kind, with_nonce) => {
                let nonce = nonce(with_nonce).map(Into::into);
                let element = Element { nonce };
                let policies = &self.policies;
                let check = policies
                    .should_elements_inline_type_behavior_be_blocked(&element, kind, "inline()");
                check.0
            }
            Attempt::Eval => self.policies.is_js_evaluation_allowed("1").0,
            Attempt::Base(url) => {
                let base = Url::parse(url).unwrap();
                self.policies
                    .is_base_allowed_for_document(&base, &site.origin())
                    .0
            }
            Attempt::Submit(url) => {
                let mut request = request(url, Destination::Document, "", ParserMetadata::None);
                let form = NavigationCheckType::FormSubmission;
                let unchanged = |text: &str| Some(text.to_owned());
                self.policies
                    .should_navigation_request_be_blocked(&mut request, form, unchanged)
                    .0
            }
            Attempt::BeFramed(by) => {
                let response = Response {
                    url: site.clone(),
                    redirect_count: 0,
                };
                let parents = vec![Url::parse(by).unwrap()];
                self.policies
                    .should_navigation_response_to_navigation_request_be_blocked(
                        &response,
                        &site.origin(),
                        &parents,
                    )
                    .0
            }
        };
        result == CheckResult::Allowed
    }

    /// Whether strings are kept from `innerHTML` and its like.
    pub(crate) fn requires_trusted_types(&self) -> bool {
        self.policies
            .does_sink_type_require_trusted_types("'script'", false)
    }

    /// Whether the page is in a sandbox that leaves it neither its scripts nor its origin.
    pub(crate) fn is_inert(&self) -> bool {
        let flags = self.policies.get_sandboxing_flag_set_for_document();
        flags.is_some_and(|flags| flags.is_all())
    }
}

/// Something that a page, or an attacker in it, may try.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Attempt {
    /// Fetch a resource.
    Load(Destination, &'static str, How),
    /// Run an inline script or style, with the nonce or without.
    Inline(InlineCheckType, bool),
    /// Run a string.
    Eval,
    /// Change the base of relative addresses.
    Base(&'static str),
    /// Submit a form.
    Submit(&'static str),
    /// Stand in the frame of another page.
    BeFramed(&'static str),
}

/// How an element got into the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum How {
    /// It stands in the page's markup.
    Plain,
    /// It stands there, with the response's nonce.
    WithNonce,
    /// A script that runs has added it.
    ByScript,
}

impl Attempt {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let loads = LOADS.into_iter().flat_map(|(what, has_nonce)| {
            FROM.into_iter().flat_map(move |from| {
                let how = if has_nonce { HOW } else { &[How::Plain] };
                how.iter().map(move |how| Self::Load(what, from, *how))
            })
        });
        let inline = INLINE
            .into_iter()
            .flat_map(|kind| [false, true].map(|nonce| Self::Inline(kind, nonce)));
        let places = [SITE, EVIL]
            .into_iter()
            .flat_map(|url| [Self::Base(url), Self::Submit(url), Self::BeFramed(url)]);
        loads.chain(inline).chain(places).chain([Self::Eval])
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(what, from, how) => write!(f, "{what:?} from {from}, {how:?}"),
            Self::Inline(kind, nonce) => write!(f, "inline {kind:?}, nonce: {nonce}"),
            Self::Eval => f.write_str("eval"),
            Self::Base(url) => write!(f, "base {url}"),
            Self::Submit(url) => write!(f, "submit to {url}"),
            Self::BeFramed(url) => write!(f, "be framed by {url}"),
        }
    }
}

/// Headers with `csp` alone.
pub(crate) fn only(csp: &Csp) -> SecurityHeaders {
    SecurityHeaders::none().csp(|_| csp.clone())
}

fn request(url: &str, what: Destination, nonce: &str, parser: ParserMetadata) -> Request {
    let url = Url::parse(url).unwrap();
    Request {
        current_url: url.clone(),
        url,
        origin: Url::parse(SITE).unwrap().origin(),
        redirect_count: 0,
        destination: what,
        initiator: Initiator::None,
        nonce: nonce.to_owned(),
        integrity_metadata: String::new(),
        parser_metadata: parser,
    }
}

/// A nonce that no policy has: what an attacker would have to guess.
const UNREAD: &str = "AAAAAAAAAAAAAAAAAAAAAAAA";

pub(crate) const OWN: &str = "https://site.example/file";
pub(crate) const EVIL: &str = "https://evil.example/";
pub(crate) const DATA: &str = "data:text/plain,x";
const BLOB: &str = "blob:https://site.example/1";
const FROM: [&str; 4] = [OWN, EVIL, DATA, BLOB];

/// What can be loaded, and whether its element may carry a nonce.
const LOADS: [(Destination, bool); 9] = [
    (Destination::None, false), // fetch, EventSource
    (Destination::Font, false),
    (Destination::Frame, false),
    (Destination::Image, false),
    (Destination::Manifest, false),
    (Destination::Object, false),
    (Destination::Script, true),
    (Destination::Style, true),
    (Destination::Worker, false),
];

const HOW: &[How] = &[How::Plain, How::WithNonce, How::ByScript];

const INLINE: [InlineCheckType; 4] = [
    InlineCheckType::Script,
    InlineCheckType::ScriptAttribute,
    InlineCheckType::Style,
    InlineCheckType::StyleAttribute,
];
