//! Host sources: `https://*.example.com:8443/assets/`.

use std::fmt;

use super::grammar::{at, is_label, is_scheme, odd_byte};

/// A host source, checked against the grammar of [CSP3, 2.3.1]; scheme and host are lower case.
///
/// Made by [`Source::host`](super::Source::host).
///
/// [CSP3, 2.3.1]: https://www.w3.org/TR/CSP3/#framework-directive-source-list
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HostSource(Box<str>);

impl HostSource {
    /// Checks `[scheme://]host[:port][/path]`; the error says what to write instead.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(position) = text.bytes().position(|byte| matches!(byte, b'?' | b'#')) {
            return Err(at(position, "a source has neither query nor fragment"));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
            Some(_) => return Err(at(0, "this is no scheme: letters, digits, `+`, `-`, `.`")),
            None => (None, text),
        };
        let offset = text.len() - rest.len();
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        check_host(host).map_err(|(position, why)| at(offset + position, why))?;
        if let Some(port) = port {
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            if !(port == "*" || digits && port.parse::<u16>().is_ok()) {
                return Err(at(
                    offset + host.len() + 1,
                    "a port is a number up to 65535, or `*`",
                ));
            }
        }
        // The grammar begins no path so, and it is what an address without its colon looks like.
        if path.starts_with("//") {
            let position = offset + authority.len();
            return Err(at(
                position,
                "a path begins with one slash; after a scheme comes `://`",
            ));
        }
        if let Some(position) = path.bytes().position(|byte| !is_path(byte)) {
            let position = offset + authority.len() + position;
            return Err(at(position, "percent-encode this byte of the path"));
        }
        let mut normal = String::with_capacity(text.len());
        if let Some(scheme) = scheme {
            normal.push_str(&scheme.to_ascii_lowercase());
            normal.push_str("://");
        }
        normal.push_str(&authority.to_ascii_lowercase());
        normal.push_str(path);
        Ok(Self(normal.into()))
    }
}

impl fmt::Display for HostSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `*`, or labels with an optional leading `*.` and an optional trailing dot.
fn check_host(host: &str) -> Result<(), (usize, &'static str)> {
    if host == "*" {
        return Ok(());
    }
    if host.is_empty() {
        return Err((0, "a host is missing"));
    }
    if host.starts_with('[') {
        return Err((0, "the grammar has no IPv6 addresses: use a name"));
    }
    let labels = host.strip_prefix("*.").unwrap_or(host);
    if let Some(position) = labels.find('*') {
        let position = host.len() - labels.len() + position;
        return Err((
            position,
            "a wildcard is the whole leftmost label: `*.example.com`",
        ));
    }
    let labels = labels.strip_suffix('.').unwrap_or(labels);
    if let Some((position, why)) = odd_byte(labels, |byte| is_label(byte) || byte == b'.') {
        return Err((host.find(labels).unwrap_or(0) + position, why));
    }
    if labels.split('.').any(str::is_empty) {
        return Err((0, "a label of the host is empty"));
    }
    Ok(())
}

/// `pchar` and `/` without `;` and `,`, which would end a directive or a policy.
const fn is_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'/' | b'%' | b':' | b'@')
        || matches!(byte, b'-' | b'.' | b'_' | b'~')
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b'='
        )
}
