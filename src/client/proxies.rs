//! Whom to believe: the networks of one's own proxies, and the header they write.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::{IpNet, Ipv4Net};

use super::forwarded::{self, Seen, Written};
use crate::config::ConfigError;

/// The proxies in front of a service, and the one header that they tell the client's address in.
///
/// They write `X-Forwarded-For` unless [`forwarded`](Self::forwarded) or
/// [`single_header`](Self::single_header) says otherwise; only the chosen header is ever read. The
/// scheme comes from `X-Forwarded-Proto`, or from `Forwarded` where that is chosen.
///
/// ```
/// use bartizan::client::TrustedProxies;
///
/// let proxies = TrustedProxies::cidrs(["10.0.0.0/8", "192.0.2.17"])?.single_header("cf-connecting-ip")?;
/// assert!(proxies.contains("10.1.2.3".parse().unwrap()));
/// assert!(!proxies.contains("198.51.100.7".parse().unwrap()));
/// # Ok::<_, bartizan::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is trusted until this is passed to `ClientSource::behind`"]
pub struct TrustedProxies {
    networks: Arc<[IpNet]>,
    written: Written,
}

impl TrustedProxies {
    /// Trusts the peers and hops in these networks: strings such as `10.0.0.0/8`, `fd00::/8` or a
    /// single address, or values that print like that (`IpAddr`, `ipnet::IpNet`).
    ///
    /// Addresses that arrive as IPv4-mapped IPv6 are unmapped first, so IPv4 networks are written as
    /// such. An empty list trusts nobody.
    ///
    /// # Errors
    ///
    /// If a value is neither an address nor a network with a prefix that its family has.
    pub fn cidrs<I>(networks: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: fmt::Display,
    {
        let networks = networks
            .into_iter()
            .map(|network| network_from(&network.to_string()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            networks: IpNet::aggregate(&networks).into(),
            written: Written::XForwarded,
        })
    }

    /// The proxies write `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)): its `for`
    /// and `proto` are read, and no `X-Forwarded-*`.
    pub fn forwarded(mut self) -> Self {
        self.written = Written::Forwarded;
        self
    }

    /// The proxies write one address into the header `name`, as `cf-connecting-ip` or `x-real-ip`.
    ///
    /// It is refused if it occurs twice or holds more than one address: then the client is the peer.
    /// Trust only the networks of proxies that always overwrite this header.
    ///
    /// No chain of addresses tells then which value of `X-Forwarded-Proto` is the client's own hop: the
    /// first is taken. The outermost proxy has to overwrite that one, too, or clients choose their scheme.
    ///
    /// # Errors
    ///
    /// If `name` is no header name, or a header that holds a chain of addresses.
    pub fn single_header(mut self, name: impl AsRef<str>) -> Result<Self, ConfigError> {
        let name = name.as_ref();
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(ConfigError::new(
                "client header",
                name,
                "write a header's name, as in `cf-connecting-ip`",
            ));
        };
        if header == FORWARDED || header == "x-forwarded-for" {
            return Err(ConfigError::new(
                "client header",
                name,
                "this header holds a chain: `TrustedProxies::cidrs` reads `x-forwarded-for` by \
                 itself, and `.forwarded()` makes it read `forwarded`",
            ));
        }
        self.written = Written::Single(header);
        Ok(self)
    }

    /// Whether `ip` is one of these proxies.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.networks.iter().any(|network| network.contains(&ip))
    }

    /// Whether every address of a family is trusted.
    pub(super) fn contains_everything(&self) -> bool {
        self.networks
            .iter()
            .any(|network| network.prefix_len() == 0)
    }

    /// Who stands behind `peer`; `None` if it is not one of these proxies.
    pub(super) fn see(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Seen> {
        forwarded::walk(&self.written, headers, peer, |ip| self.contains(ip))
    }
}

/// A network or a single address; one of IPv4-mapped IPv6 becomes that of IPv4.
fn network_from(text: &str) -> Result<IpNet, ConfigError> {
    let network = match text.trim().parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => IpNet::from(text.trim().parse::<IpAddr>().map_err(|_| {
            ConfigError::new(
                "trusted proxies",
                text,
                "write an address or a network in CIDR form, as in `10.0.0.0/8` or `fd00::/8`",
            )
        })?),
    };
    let mapped = match network {
        IpNet::V6(v6) => v6
            .addr()
            .to_ipv4_mapped()
            .zip(v6.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    Ok(match mapped {
        // A prefix from 96 to 128 leaves 0 to 32, which every IPv4 network has.
        Some((addr, prefix)) => Ipv4Net::new(addr, prefix).map_or(network, IpNet::V4),
        None => network,
    })
}
