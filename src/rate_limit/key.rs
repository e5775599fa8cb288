//! What requests are counted by.
//!
//! A key is computed straight from the request into 64 bits, under a secret of this process, or of all
//! that [share a store](super::Secret): no string is made of it, none is kept, and nobody outside can
//! choose values that share a bucket.
//!
//! What a request lacks is never an error of the server's: each part of a key says what then.
//!
//! ```
//! use bartizan::client::ClientSource;
//! use bartizan::rate_limit::{Key, key};
//!
//! let client = ClientSource::peer();
//! let per_client = key::client_ip(&client);
//! let per_tenant = key::header("x-api-key").or_reject();
//! let per_client_of_a_tenant: Key = (per_tenant, per_client).into();
//! ```

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use http::header::HeaderName;

use super::digest::{self, Secret, digest};
use super::head::Head;
use super::route::{CompiledRoute, decoded_segment};
use crate::client::{ClientSource, Ipv6Prefix};
use crate::config::ConfigError;

/// What requests are counted by: each value has buckets of its own.
#[derive(Clone, Debug)]
#[must_use = "a key does nothing until a policy counts by it"]
pub struct Key {
    source: Source,
    missing: Missing,
}

/// The client's address; an IPv6 client is its /64, since it has 2^64 addresses to choose from.
///
/// A mapped IPv4 address is the IPv4 address.
pub fn client_ip(source: &ClientSource) -> Key {
    client_prefix(source, Ipv6Prefix::default())
}

/// The client's address, with IPv6 clients told apart by a prefix of another length: many hold a /56
/// or a /48. As the key of a second, larger policy it bounds those who do.
pub fn client_prefix(source: &ClientSource, prefix: Ipv6Prefix) -> Key {
    Source::ClientIp(source.clone(), prefix).into()
}

/// The value of a header field, without the white space around it, which belongs to no value (RFC 9110,
/// 5.5), but which HTTP/2 lets through.
///
/// Whoever sends a request chooses it, and with another value has another bucket: check it outside of
/// this layer, as an API key is, or have a policy by client beside this one.
///
/// A field that is empty, or that comes twice, counts as missing: of two values, the one that was
/// counted might not be the one that the host believes. For [`or_skip`](Key::or_skip) a second value
/// counts as shared, so that nobody doubles a header to be skipped. `host` is missing over HTTP/2, which has
/// it in the URI.
pub fn header(name: impl AsRef<str>) -> Key {
    let name = name.as_ref();
    Source::Header(HeaderName::from_bytes(name.as_bytes()).map_err(|_| name.to_owned())).into()
}

/// A value in an extension of the request: name its type in the closure, and return a reference.
///
/// ```
/// use bartizan::rate_limit::key;
///
/// #[derive(Clone)]
/// struct User { id: u64 }
///
/// let per_user = key::extension(|user: &User| &user.id).or_skip();
/// ```
pub fn extension<T, K>(value: impl Fn(&T) -> &K + Send + Sync + 'static) -> Key
where
    T: Send + Sync + 'static,
    K: Hash + ?Sized,
{
    from_digest(move |head, secret| {
        let extension = head.extensions().get::<T>()?;
        Some(digest(secret, value(extension)))
    })
}

/// A parameter of the [`Route`](super::Route) that the policy is [on](super::Policy::on), decoded.
///
/// It is counted as text. To a handler that reads it as a number, or in any case of its letters, `7` and
/// `007` are one, and here they would be two with a quota each: count by [what it means](from_fn) then.
///
/// With [`template_from`](super::RateLimitBuilder::template_from) it stands in the path where the
/// template has it, counted from the end.
pub fn path_param(name: impl Into<String>) -> Key {
    Source::PathParam(name.into()).into()
}

/// The same for all requests: one bucket.
pub fn constant() -> Key {
    Source::Constant.into()
}

/// Whatever a closure makes of a request; `None` is missing.
///
/// ```
/// use bartizan::rate_limit::key;
///
/// // However the number is written: `/accounts/7`, `/accounts/007`.
/// let per_account = key::from_fn(|head| head.path().strip_prefix("/accounts/")?.parse::<u64>().ok());
/// ```
pub fn from_fn<K: Hash>(value: impl Fn(&Head<'_>) -> Option<K> + Send + Sync + 'static) -> Key {
    from_digest(move |head, secret| value(head).map(|value| digest(secret, &value)))
}

impl Key {
    /// All requests that lack the value share one bucket: the default. Leaving a header out escapes
    /// nothing.
    ///
    /// Said of a tuple, this, as [`or_reject`](Self::or_reject) and [`or_skip`](Self::or_skip), is said of
    /// each of its parts.
    pub fn or_shared(self) -> Self {
        self.or(Missing::Shared)
    }

    /// A request that lacks the value is answered with 400.
    pub fn or_reject(self) -> Self {
        self.or(Missing::Reject)
    }

    /// The policy does not apply to a request that lacks the value.
    pub fn or_skip(self) -> Self {
        self.or(Missing::Skip)
    }

    fn or(mut self, missing: Missing) -> Self {
        self.missing = missing;
        if let Source::All(parts) = self.source {
            // It is never missing as a whole.
            let parts = parts.into_iter().map(|part| part.or(missing));
            self.source = Source::All(parts.collect());
        }
        self
    }

    /// All of these together, in their order.
    pub(super) fn of_all(parts: Vec<Self>) -> Self {
        Source::All(parts).into()
    }

    /// The bucket of all requests without a value.
    pub(super) fn shared(secret: Option<&Secret>) -> u64 {
        // A digest of something else is as likely to be this as to be any other number.
        digest(secret, &())
    }

    /// The digest of one request's value, or what to do without it.
    pub(super) fn of(
        &self,
        head: &Head<'_>,
        route: Option<&CompiledRoute>,
        secret: Option<&Secret>,
    ) -> Result<u64, Missing> {
        let found = match &self.source {
            Source::ClientIp(source, prefix) => source
                .client(head.extensions(), head.headers())
                .ip()
                .map(|ip| digest::address(secret, prefix.bucket(ip))),
            Source::Header(Ok(name)) => {
                let mut values = head.headers().get_all(name).iter();
                let value = values.next().map(|value| value.as_bytes().trim_ascii());
                let value = value.filter(|value| !value.is_empty());
                let twice = values.next().is_some();
                if twice && self.missing == Missing::Skip {
                    return Ok(Self::shared(secret));
                }
                value.filter(|_| !twice).map(|value| digest(secret, value))
            }
            Source::Header(Err(_)) => None,
            Source::Closure(closure) => closure(head, secret),
            Source::PathParam(name) => route
                .and_then(|route| route.param(name, head.path()))
                .map(|value| digest(secret, &*decoded_segment(value))),
            Source::Constant => Some(Self::shared(secret)),
            Source::All(parts) => {
                // Each part is 64 bits by now, so no two tuples read the same.
                let mut all = 0;
                for part in parts {
                    all = digest(secret, &(all, part.of(head, route, secret)?));
                }
                Some(all)
            }
        };
        match (found, self.missing) {
            (Some(digest), _) => Ok(digest),
            (None, Missing::Shared) => Ok(Self::shared(secret)),
            (None, missing) => Err(missing),
        }
    }

    /// Whether the key can be found on the routes of a policy, which is named in the error.
    pub(super) fn validate(
        &self,
        policy: &str,
        routes: &[CompiledRoute],
    ) -> Result<(), ConfigError> {
        let wrong = |value: &str, fix: &'static str| {
            Err(ConfigError::new(
                format!("key of policy `{policy}`"),
                value,
                fix,
            ))
        };
        match &self.source {
            Source::Header(Err(name)) => wrong(name, "it is no header name: use `a-z`, `0-9`, `-`"),
            Source::PathParam(name) => {
                if !routes.is_empty() && routes.iter().all(|route| route.has_param(name)) {
                    return Ok(());
                }
                wrong(
                    name,
                    "put the policy `.on` routes that all have this parameter as a whole segment, \
                     without a catch-all",
                )
            }
            Source::All(parts) => parts
                .iter()
                .try_for_each(|part| part.validate(policy, routes)),
            _ => Ok(()),
        }
    }
}

impl From<(Self, Self)> for Key {
    fn from((a, b): (Self, Self)) -> Self {
        Self::of_all(vec![a, b])
    }
}

impl From<(Self, Self, Self)> for Key {
    fn from((a, b, c): (Self, Self, Self)) -> Self {
        Self::of_all(vec![a, b, c])
    }
}

impl From<Source> for Key {
    fn from(source: Source) -> Self {
        Self {
            source,
            missing: Missing::Shared,
        }
    }
}

/// What happens to a request without a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Missing {
    Shared,
    Reject,
    Skip,
}

/// A closed set plus closures: an enum can be named, loaded and swapped, and is as fast as a type.
#[derive(Clone)]
enum Source {
    ClientIp(ClientSource, Ipv6Prefix),
    Header(Result<HeaderName, String>),
    Closure(Arc<DigestFn>),
    PathParam(String),
    Constant,
    All(Vec<Key>),
}

type DigestFn = dyn Fn(&Head<'_>, Option<&Secret>) -> Option<u64> + Send + Sync;

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp(source, prefix) => f
                .debug_tuple("ClientIp")
                .field(source)
                .field(prefix)
                .finish(),
            Self::Header(name) => f.debug_tuple("Header").field(name).finish(),
            Self::Closure(_) => f.write_str("Closure"),
            Self::PathParam(name) => f.debug_tuple("PathParam").field(name).finish(),
            Self::Constant => f.write_str("Constant"),
            Self::All(parts) => f.debug_tuple("All").field(parts).finish(),
        }
    }
}

fn from_digest<F>(closure: F) -> Key
where
    F: Fn(&Head<'_>, Option<&Secret>) -> Option<u64> + Send + Sync + 'static,
{
    Source::Closure(Arc::new(closure)).into()
}
