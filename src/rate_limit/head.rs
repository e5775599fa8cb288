//! What a host's closures see of a request.

use http::{Extensions, HeaderMap, Method, Request, Uri};

/// The head of a request, lent to the closures of a [`Policy`](super::Policy).
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    template: Option<&'a str>,
}

impl<'a> Head<'a> {
    pub(super) fn new<B>(request: &'a Request<B>, template: Option<&'a str>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            template,
        }
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &'a Method {
        self.method
    }

    /// The path as it arrived here: encoded, and below `Router::nest` without the prefix.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.uri.path()
    }

    /// The URI.
    #[must_use]
    pub const fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// The header fields.
    #[must_use]
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The extensions.
    #[must_use]
    pub const fn extensions(&self) -> &'a Extensions {
        self.extensions
    }

    /// The template that the host's router matched, where
    /// [`template_from`](super::RateLimitBuilder::template_from) says how to find it and the request
    /// has one.
    #[must_use]
    pub const fn template(&self) -> Option<&'a str> {
        self.template
    }
}
