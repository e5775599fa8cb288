//! Which page a path asks for, and the prepared heads of the answers.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, RETRY_AFTER, VARY};
use http::{HeaderValue, StatusCode};

/// A page. `One` is the dependency at that place, as declared; `Unknown` is a 404.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Route {
    Live,
    Ready,
    Startup,
    Report,
    One(usize),
    Status,
    Unknown,
}

impl Route {
    /// What `path` asks for; `dependency` finds the place of a name. The query has no say.
    pub(super) fn of(path: &str, dependency: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        Some(match path {
            "/livez" => Self::Live,
            "/readyz" => Self::Ready,
            "/startupz" => Self::Startup,
            "/health" => Self::Report,
            "/api/status" => Self::Status,
            _ => {
                let name = path.strip_prefix("/health/")?;
                if name.contains('/') {
                    return None;
                }
                // An unknown name is ours too: passed on, a page that answers everything (an index
                // of a single-page application) would call a misspelt dependency healthy.
                dependency(name).map_or(Self::Unknown, Self::One)
            }
        })
    }
}

/// The paths of [`Route::of`], as axum writes them.
pub(super) const PATHS: [&str; 6] = [
    "/livez",
    "/readyz",
    "/startupz",
    "/health",
    "/health/{name}",
    "/api/status",
];

/// What kind of head an answer has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// The text of a probe page.
    Probe,
    /// The health document as `application/health+json`, as `application/json`, as text.
    HealthJson,
    Json,
    Text,
    /// The status document.
    Status,
}

impl Head {
    const ALL: [Self; 5] = [
        Self::Probe,
        Self::HealthJson,
        Self::Json,
        Self::Text,
        Self::Status,
    ];

    fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Probe | Self::Text => "text/plain; charset=utf-8",
            Self::HealthJson => HEALTH_JSON,
            Self::Json | Self::Status => "application/json",
        })
    }
}

/// Every head that an answer can have, made once.
#[derive(Debug)]
pub(super) struct Heads {
    good: [HeaderMap; 5],
    failing: [HeaderMap; 5],
}

impl Heads {
    /// `retry_after` is in whole seconds. With `viewers`, what is shown depends on more of the
    /// request than `Accept`.
    pub(super) fn new(retry_after: u64, viewers: bool) -> Self {
        let head = |kind: Head| {
            let mut head = HeaderMap::with_capacity(4);
            head.insert(CONTENT_TYPE, kind.media_type());
            head.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            if viewers {
                head.insert(VARY, HeaderValue::from_static("*"));
            } else if matches!(kind, Head::HealthJson | Head::Json | Head::Text) {
                head.insert(VARY, HeaderValue::from_static("accept"));
            }
            head
        };
        let failing = |kind| {
            let mut head = head(kind);
            head.insert(RETRY_AFTER, retry_after.into());
            head
        };
        Self {
            good: Head::ALL.map(head),
            failing: Head::ALL.map(failing),
        }
    }

    /// The head of a state that has a tag.
    pub(super) fn tagged(&self, tag: HeaderValue) -> HeaderMap {
        let mut head = self.get(Head::Status, StatusCode::OK).clone();
        head.insert(ETAG, tag);
        head
    }

    pub(super) fn get(&self, kind: Head, code: StatusCode) -> &HeaderMap {
        let heads = if code == StatusCode::OK {
            &self.good
        } else {
            &self.failing
        };
        &heads[kind as usize]
    }
}

/// The draft's media type, which IANA never registered.
pub(super) const HEALTH_JSON: &str = "application/health+json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_page_and_nothing_beside_them_has() {
        let known = |name: &str| (name == "db").then_some(3);
        for path in PATHS {
            assert!(Route::of(path, known).is_some(), "{path}");
        }
        assert_eq!(Route::of("/health/db", known), Some(Route::One(3)));
        assert_eq!(Route::of("/health/", known), Some(Route::Unknown));
        // A name is compared as it stands: nothing is decoded, folded or cleaned up on the way.
        for name in [
            "DB", "d%62", "db%00", "db;a=b", "db ", "..", "%2e%2e", "%2f",
        ] {
            let path = format!("/health/{name}");
            assert_eq!(Route::of(&path, known), Some(Route::Unknown), "{path}");
        }
        for path in [
            "/",
            "",
            "*",
            "/livez/",
            "//livez",
            "/./livez",
            "/livez;a=b",
            "/%6civez",
            "/LIVEZ",
            "/healthz",
            "/health/a/b",
            "/health/db/",
            "/health//db",
            "//health/db",
            "/api/status/",
            "livez",
        ] {
            assert_eq!(Route::of(path, known), None, "{path}");
        }
    }
}
