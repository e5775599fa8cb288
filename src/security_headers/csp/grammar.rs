//! Reading source expressions and tokens, and guessing what was meant by a wrong one.
//!
//! Errors here are the "fix" part of a [`ConfigError`](crate::config::ConfigError): whoever calls
//! adds the directive and the value.

use super::host::HostSource;
use super::source::{NONCE, SchemeSource};
use super::{Directive, Hash, Source};

/// One source expression.
pub(super) fn source(text: &str) -> Result<Source, String> {
    if text.is_empty() {
        return Err("a source is empty: leave it out".into());
    }
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b';' && byte != b',';
    if let Some((position, why)) = odd_byte(text, visible) {
        return Err(at(position, why));
    }
    if text == NONCE {
        return Ok(Source::Nonce);
    }
    if let Some(inner) = text.strip_prefix('\'') {
        return match inner.strip_suffix('\'') {
            Some(inner) => quoted(text, inner),
            None => Err(at(text.len(), "the closing single quote is missing")),
        };
    }
    if let Some(meant) = unquoted(text.trim_matches(['"', '`', '\''])) {
        return Err(format!(
            "without single quotes this is a host name: write {meant}"
        ));
    }
    match text.strip_suffix(':') {
        Some(scheme) if is_scheme(scheme) => Ok(Source::Scheme(SchemeSource(
            scheme.to_ascii_lowercase().into(),
        ))),
        _ if Directive::from_name(text).is_ok() => Err(MISSING.into()),
        _ if SCHEMES.contains(&text.to_ascii_lowercase().as_str()) => Err(format!(
            "without a colon this is a host name: write {text}:"
        )),
        _ => HostSource::parse(text).map(Source::Host),
    }
}

/// What stands between single quotes: a keyword or a hash.
fn quoted(text: &str, inner: &str) -> Result<Source, String> {
    let keyword = Source::KEYWORDS
        .into_iter()
        .find(|(keyword, _)| keyword.eq_ignore_ascii_case(text));
    if let Some((_, keyword)) = keyword {
        return Ok(keyword);
    }
    if let Some(hash) = Hash::parse(inner) {
        return hash.map(Source::Hash);
    }
    if begins_with(inner, "nonce-") {
        return Err("a nonce that does not change protects nothing: use Source::Nonce".into());
    }
    if inner.contains(['.', ':', '/']) {
        return Err("hosts and schemes are written without quotes".into());
    }
    if let Some(meant) = unquoted(&inner.replace('_', "-")) {
        return Err(format!("no such keyword: write {meant}"));
    }
    let known: Vec<_> = Source::KEYWORDS.iter().map(|(text, _)| *text).collect();
    Err(format!("no such keyword; there are {}", known.join(" ")))
}

/// The keyword, nonce or hash that somebody meant who left out the quotes.
fn unquoted(text: &str) -> Option<String> {
    let quoted = format!("'{text}'");
    let keyword = Source::KEYWORDS
        .iter()
        .find(|(keyword, _)| keyword.eq_ignore_ascii_case(&quoted));
    if let Some((keyword, _)) = keyword {
        return Some((*keyword).to_owned());
    }
    if begins_with(text, "nonce-") || text.eq_ignore_ascii_case("nonce") {
        return Some("Source::Nonce".to_owned());
    }
    let hash = ["sha256-", "sha384-", "sha512-"];
    hash.iter()
        .any(|prefix| begins_with(text, prefix))
        .then_some(quoted)
}

/// A word of `trusted-types`: a policy's name, a keyword or the wildcard.
pub(super) fn trusted_type(text: &str) -> Result<(), String> {
    if matches!(text, "'none'" | "'allow-duplicates'" | "*") {
        return Ok(());
    }
    if matches!(text, "none" | "allow-duplicates") {
        return Err(format!("this is a policy's name: write '{text}'"));
    }
    word(text, |byte| {
        byte.is_ascii_alphanumeric() || b"-#=_/@.%".contains(&byte)
    })
}

/// The name of a reporting endpoint, which is also a key of a structured field ([RFC 9651, 3.1.2]).
///
/// [RFC 9651, 3.1.2]: https://www.rfc-editor.org/rfc/rfc9651#section-3.1.2
pub(crate) fn endpoint_name(text: &str) -> Result<(), String> {
    if text.starts_with(|first: char| !first.is_ascii_lowercase()) {
        return Err(at(0, "an endpoint's name begins with a lower-case letter"));
    }
    word(text, |byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte)
    })
}

/// A reference in `report-uri`: any URI without what would end the directive.
pub(super) fn report_uri(text: &str) -> Result<(), String> {
    if Directive::from_name(text).is_ok() {
        return Err(MISSING.into());
    }
    word(text, |byte| {
        byte.is_ascii_graphic() && !b";,\"<>\\^`{|}".contains(&byte)
    })
}

fn word(text: &str, allowed: impl Fn(u8) -> bool) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    odd_byte(text, allowed).map_or(Ok(()), |(position, why)| Err(at(position, why)))
}

/// The first byte that is not `allowed`, with the reason in words.
pub(super) fn odd_byte(text: &str, allowed: impl Fn(u8) -> bool) -> Option<(usize, &'static str)> {
    let position = text.bytes().position(|byte| !allowed(byte))?;
    Some((
        position,
        match text.as_bytes()[position] {
            b'\r' | b'\n' => "a line break would leave the header",
            b';' | b',' => "this would end the directive or the policy",
            b' ' | b'\t' => "one at a time: this is white space",
            byte if byte.is_ascii_control() => "this is a control character",
            byte if !byte.is_ascii() => "only ASCII: write a host in punycode (xn--)",
            _ => "this character does not belong here",
        },
    ))
}

/// `why`, with its place. Positions count bytes from 1, as an editor counts columns.
pub(super) fn at(position: usize, why: &str) -> String {
    format!("at byte {}: {why}", position + 1)
}

pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

pub(super) const fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn begins_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Of a directive's name among the words of another.
const MISSING: &str = "a semicolon is missing before this directive; a host of its name is written with a \
                       scheme or a port";

/// Schemes that nobody means as a host name.
const SCHEMES: [&str; 9] = [
    "http",
    "https",
    "ws",
    "wss",
    "data",
    "blob",
    "filesystem",
    "mediastream",
    "about",
];
