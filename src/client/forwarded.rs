//! The walk along a chain of proxies: a pure function of the peer, the headers and whom to trust.
//!
//! Everything is read from the right, an entry at a time, and nothing left of an entry changes how
//! that entry is read: a client that sends half a quoted string, ten thousand commas or a megabyte
//! of garbage gets no further than the entry that the proxy in front of it wrote about it.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use super::identity::Scheme;
use super::node::{address, unquote};

/// Which header the proxies write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Written {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    XForwarded,
    /// `Forwarded`, RFC 7239.
    Forwarded,
    /// A header with one address, and `X-Forwarded-Proto`.
    Single(HeaderName),
}

/// What the proxies say about the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Seen {
    pub(super) ip: IpAddr,
    /// The scheme, where one was named.
    pub(super) scheme: Option<Scheme>,
}

/// Who stands behind `peer`: the first address on the way that `trusts` refuses, or the last one
/// that could be read. Nothing is read if `peer` itself is not trusted.
pub(super) fn walk(
    written: &Written,
    headers: &HeaderMap,
    peer: IpAddr,
    trusts: impl Fn(IpAddr) -> bool,
) -> Option<Seen> {
    if !trusts(peer) {
        return None;
    }
    Some(match written {
        Written::XForwarded => x_forwarded(headers, peer, trusts),
        Written::Forwarded => forwarded(headers, peer, trusts),
        Written::Single(name) => single(headers, name, peer),
    })
}

/// The headers that say a proxy was here, whoever sent them.
pub(super) fn is_present(headers: &HeaderMap) -> bool {
    headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED)
}

fn x_forwarded(headers: &HeaderMap, peer: IpAddr, trusts: impl Fn(IpAddr) -> bool) -> Seen {
    let mut ip = peer;
    let mut hops = 0;
    for entry in entries(headers, &X_FORWARDED_FOR, Quotes::Plain) {
        let Some(next) = address(entry) else { break };
        ip = next;
        hops += 1;
        if !trusts(ip) {
            break;
        }
    }
    let aligned = headers.contains_key(X_FORWARDED_FOR).then_some(hops);
    Seen {
        ip,
        scheme: x_forwarded_proto(headers, aligned),
    }
}

/// The scheme of the hop that lies `hops` entries from the right.
///
/// Proxies that append to the addresses append to the schemes too, so the client's own stands as
/// far from the right as its address. Where some proxy replaced the list instead, it is shorter, and
/// its first entry is the outermost that is known. Without addresses there is nothing to align
/// with: then the first is the client's.
fn x_forwarded_proto(headers: &HeaderMap, hops: Option<usize>) -> Option<Scheme> {
    let hops = hops.unwrap_or(MAX_HOPS).max(1);
    let entry = entries(headers, &X_FORWARDED_PROTO, Quotes::Plain)
        .take(hops)
        .last()?;
    Scheme::from_bytes(unquote(entry.trim_ascii())?)
}

fn forwarded(headers: &HeaderMap, peer: IpAddr, trusts: impl Fn(IpAddr) -> bool) -> Seen {
    let mut seen = Seen {
        ip: peer,
        scheme: None,
    };
    for element in entries(headers, &FORWARDED, Quotes::Kept) {
        let Some(element) = Element::parse(element) else {
            break;
        };
        // An element that hides the address (`for=unknown`) may still tell the scheme.
        seen.scheme = element.proto.and_then(Scheme::from_bytes).or(seen.scheme);
        let Some(next) = element.node.and_then(address) else {
            break;
        };
        seen.ip = next;
        if !trusts(next) {
            break;
        }
    }
    seen
}

/// One address in one header: two of them mean that a client's own got through.
fn single(headers: &HeaderMap, name: &HeaderName, peer: IpAddr) -> Seen {
    let mut values = headers.get_all(name).iter();
    let only = match (values.next(), values.next()) {
        (Some(value), None) if value.len() <= MAX_ENTRY => address(value.as_bytes()),
        _ => None,
    };
    Seen {
        ip: only.unwrap_or(peer),
        scheme: x_forwarded_proto(headers, None),
    }
}

/// What matters of one element of `Forwarded`, without quotes.
struct Element<'a> {
    node: Option<&'a [u8]>,
    proto: Option<&'a [u8]>,
}

impl<'a> Element<'a> {
    /// `None` for what RFC 7239, 4 does not allow: a pair without `=`, a parameter given twice.
    fn parse(element: &'a [u8]) -> Option<Self> {
        let mut parsed = Self {
            node: None,
            proto: None,
        };
        let mut quoted = false;
        let pairs = element.split(|byte| {
            quoted ^= *byte == b'"';
            *byte == b';' && !quoted
        });
        for pair in pairs
            .map(<[u8]>::trim_ascii)
            .filter(|pair| !pair.is_empty())
        {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (&pair[..equals], unquote(&pair[equals + 1..])?);
            let known = if name.eq_ignore_ascii_case(b"for") {
                &mut parsed.node
            } else if name.eq_ignore_ascii_case(b"proto") {
                &mut parsed.proto
            } else {
                continue;
            };
            if known.replace(value).is_some() {
                return None;
            }
        }
        Some(parsed)
    }
}

/// The entries of a list header from the last to the first, over all its lines, which are one list
/// in their order (RFC 9110, 5.3). It ends early at what cannot be told apart safely.
///
/// An empty entry is yielded: a hop that wrote nothing vouches for nobody.
fn entries<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    quotes: Quotes,
) -> impl Iterator<Item = &'a [u8]> {
    let mut lines = headers.get_all(name).into_iter().rev();
    let mut rest = None;
    std::iter::from_fn(move || {
        let line = match rest.take() {
            Some(line) => line,
            None => lines.next()?.as_bytes(),
        };
        let (before, entry) = split_last(line, quotes)?;
        rest = before;
        Some(entry)
    })
    .take(MAX_HOPS)
}

/// Whether quotes protect a comma: in `Forwarded` they do.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Quotes {
    Plain,
    Kept,
}

/// Splits the last entry off `line`, scanning no more than an entry may be long.
///
/// An escape inside a quoted string can only be told from the left. No address, scheme or host
/// needs one, so a backslash makes the entry unreadable, rather than have a hostile `Host` (as in
/// `", for=1.1.1.1`), dutifully escaped by the proxy, read in pieces.
fn split_last(line: &[u8], quotes: Quotes) -> Option<(Option<&[u8]>, &[u8])> {
    let mut quoted = false;
    for (at, byte) in line.iter().enumerate().rev().take(MAX_ENTRY + 1) {
        match byte {
            b'"' if quotes == Quotes::Kept => quoted = !quoted,
            b'\\' if quotes == Quotes::Kept => return None,
            b',' if !quoted => return Some((Some(&line[..at]), &line[at + 1..])),
            _ => {}
        }
    }
    (line.len() <= MAX_ENTRY && !quoted).then_some((None, line))
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Hops that are followed; real chains have two or three.
const MAX_HOPS: usize = 16;

/// Bytes of one entry that are looked at: an address takes 60, an element with a host name 400.
const MAX_ENTRY: usize = 512;
