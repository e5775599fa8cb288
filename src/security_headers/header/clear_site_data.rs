//! `Clear-Site-Data`: what a browser forgets after a response, such as that to a logout.

use http::{HeaderName, HeaderValue};

/// What a browser keeps for an origin ([Clear Site Data]).
///
/// It belongs on one response, not on all of them, so it is a header for a handler to set. Browsers
/// heed it over https only.
///
/// ```
/// use bartizan::security_headers::SiteData;
/// use http::Response;
///
/// let mut logged_out = Response::new(());
/// let (name, value) = SiteData::clear([SiteData::Cookies, SiteData::Storage]);
/// logged_out.headers_mut().insert(name, value);
/// assert_eq!(logged_out.headers()["clear-site-data"], r#""cookies", "storage""#);
/// ```
///
/// [Clear Site Data]: https://www.w3.org/TR/clear-site-data/
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SiteData {
    /// Everything, also what browsers add in future.
    Everything,
    /// The HTTP cache. Clearing it takes some browsers seconds.
    Cache,
    /// Cookies of the whole registrable domain, and HTTP authentication.
    Cookies,
    /// Local storage, IndexedDB, service workers, ...
    Storage,
    /// Open pages of the origin are reloaded.
    ExecutionContexts,
}

impl SiteData {
    /// The header that has a browser forget `data`.
    pub fn clear(data: impl IntoIterator<Item = Self>) -> (HeaderName, HeaderValue) {
        let tokens: Vec<_> = data.into_iter().map(Self::token).collect();
        let value = HeaderValue::from_str(&tokens.join(", "));
        (
            HeaderName::from_static("clear-site-data"),
            value.expect("the tokens are visible ASCII"),
        )
    }

    const fn token(self) -> &'static str {
        match self {
            Self::Everything => "\"*\"",
            Self::Cache => "\"cache\"",
            Self::Cookies => "\"cookies\"",
            Self::Storage => "\"storage\"",
            Self::ExecutionContexts => "\"executionContexts\"",
        }
    }
}
