//! Keeping a response to the browser that asked for it: a page with a nonce, which a shared cache
//! would hand to everybody.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::prepared::PRIVATE;

/// Says `private`, unless `headers` say as much.
pub(super) fn say(headers: &mut HeaderMap) {
    if !headers.get_all(CACHE_CONTROL).iter().any(is_private) {
        // Added to what the handler says: where directives conflict, the stricter one holds.
        headers.append(CACHE_CONTROL, PRIVATE);
    }
}

/// Takes out what tells single caches to heed something else than `Cache-Control`.
pub(super) fn unsay_exceptions(headers: &mut HeaderMap) {
    let exceptions = headers.keys().filter(|name| is_exception(name));
    for name in exceptions.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// Whether a layer further in has put its nonce into `headers`: such a policy is marked as sensitive, and
/// that stays where what the layers tell one another is lost on the way.
pub(super) fn has_nonce(headers: &HeaderMap) -> bool {
    [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY]
        .iter()
        .flat_map(|name| headers.get_all(name))
        .any(HeaderValue::is_sensitive)
}

/// Whether a cache that a header of this name is for heeds it in place of `Cache-Control`: the targeted
/// fields of [RFC 9213], and what came before them.
///
/// [RFC 9213]: https://www.rfc-editor.org/rfc/rfc9213
pub(super) fn is_exception(name: &HeaderName) -> bool {
    // Each operator has a name of its own: `cdn-`, `cloudflare-cdn-`, `akamai-`, ..
    name.as_str().ends_with("-cache-control") || OLDER.contains(&name.as_str())
}

fn is_private(value: &HeaderValue) -> bool {
    // A name in quotes is that of a header. Few have any, and to say it twice harms nobody.
    let quotes = value.as_bytes().contains(&b'"');
    let mut directives = value.as_bytes().split(|byte| *byte == b',');
    !quotes
        && directives.any(|directive| {
            let name = directive.trim_ascii();
            name.eq_ignore_ascii_case(b"private") || name.eq_ignore_ascii_case(b"no-store")
        })
}

const OLDER: [&str; 3] = ["edge-control", "surrogate-control", "x-accel-expires"];
