//! The entity tag of `/api/status`: the name of a state, for clients that ask whether it changed.
//!
//! It is weak ([RFC 9110, 8.8.1]): what has changed since is a status, a reason or a switch, not a
//! measurement or the uptime, which move every second. It is another one in another process, and for
//! another viewer.
//!
//! [RFC 9110, 8.8.1]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.1

use http::HeaderValue;
use http::header::{HeaderMap, IF_NONE_MATCH};

use super::render::Viewer;

/// The tag of the state `generation` of the process `born`, as `viewer` sees it.
pub(super) fn of(born: u64, generation: u64, viewer: Viewer) -> HeaderValue {
    let seen_by = match viewer {
        Viewer::Public => "",
        Viewer::Details => ".d",
    };
    let tag = format!("W/\"{born:016x}.{generation:x}{seen_by}\"");
    // Hexadecimal digits, quotes and dots always make a value.
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// Whether the client that sent `headers` has what `tag` names.
///
/// Tags are compared weakly, as [RFC 9110, 13.1.2] says; `*` is any. A comma within somebody else's
/// tag divides it, which can make it equal to none of ours.
///
/// [RFC 9110, 13.1.2]: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2
pub(super) fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let ours = opaque(tag.as_bytes());
    let values = headers.get_all(IF_NONE_MATCH).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|theirs| theirs == b"*" || opaque(theirs) == ours)
}

/// A tag without its mark of weakness.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_any_form_that_names_it_and_in_no_other() {
        let tag = of(0xab, 12, Viewer::Public);
        assert_eq!(tag, "W/\"00000000000000ab.c\"");
        for (value, known) in [
            ("W/\"00000000000000ab.c\"", true),
            ("\"00000000000000ab.c\"", true),
            ("\"x\", W/\"00000000000000ab.c\" , \"y\"", true),
            ("*", true),
            ("W/\"00000000000000ab.d\"", false),
            ("00000000000000ab.c", false),
            ("\"a,00000000000000ab.c\"", false),
            ("W/W/\"00000000000000ab.c\"", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
            assert!(!is_known(&headers, &tag));
            headers.append(IF_NONE_MATCH, value.parse().unwrap());
            assert_eq!(is_known(&headers, &tag), known, "{value}");
        }
        assert_ne!(tag, of(0xab, 12, Viewer::Details));
    }
}
