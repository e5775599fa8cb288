//! A policy rendered once: header maps for http, for https, and for https without a name, ready to clone.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::csp::{Csp, Template};
use super::intern::{self, Kept};
use super::leaky::LEAKY;
use super::policy::{Conflict, SecurityHeaders};
use super::transport::Transport;
use super::{private, render};
use crate::config::ConfigError;

/// A [`SecurityHeaders`] that has been checked and rendered; cloning it copies a pointer.
///
/// A handler that needs other headers than the rest of the service prepares them at start, and puts
/// a clone into its response's extensions: the innermost layer then uses it in place of its own.
/// The nonce is there only if the layer's own policy has one too.
///
/// ```
/// use bartizan::security_headers::SecurityHeaders;
/// use http::Response;
///
/// let embeddable = SecurityHeaders::web()
///     .frame_ancestors(["https://partner.example"])
///     .prepare()?;
///
/// let mut response = Response::new("a widget");
/// response.extensions_mut().insert(embeddable.clone());
/// # Ok::<_, bartizan::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PreparedHeaders {
    prepared: Kept<Prepared>,
}

#[derive(Debug)]
pub(super) struct Prepared {
    http: Variant,
    https: Variant,
    unnamed: Variant,
    /// What to do with a header of the handler's, where it is not simply kept.
    pub(super) actions: HeaderMap<Action>,
    pub(super) cache_control: Option<HeaderValue>,
    /// Whether any policy has a nonce source.
    pub(super) has_nonce: bool,
    /// Whether a header of the handler's may be replaced or added to, or a single cache is told something of
    /// its own, so that this layer has to know what an inner one has set.
    pub(super) competes: bool,
}

/// What is sent over one kind of transport.
#[derive(Debug)]
pub(super) struct Variant {
    /// For each set of [`Places`]: the places, then every header, policies without their nonce.
    starts: [HeaderMap; 1 << Places::COUNT],
    /// The enforced and the report-only policy, for responses that need them rendered otherwise.
    pub(super) policies: Vec<Policy>,
}

#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: HeaderName,
    pub(super) csp: Csp,
    pub(super) template: Template,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Remove,
    Override,
    Append,
}

impl PreparedHeaders {
    pub(super) fn new(policy: &SecurityHeaders) -> Result<Self, ConfigError> {
        render::check(policy)?;
        let mut actions = HeaderMap::default();
        for name in LEAKY {
            actions.insert(HeaderName::from_static(name), Action::Remove);
        }
        for name in &policy.keep_leaky {
            actions.remove(name);
        }
        for (name, conflict) in &policy.conflicts {
            match conflict {
                Conflict::Keep => drop(actions.remove(name)),
                Conflict::Override => drop(actions.insert(name.clone(), Action::Override)),
                Conflict::Append => drop(actions.insert(name.clone(), Action::Append)),
            }
        }
        let https = Variant::new(policy, Transport::Https)?;
        let prepared = Prepared {
            has_nonce: https.policies.iter().any(|p| p.template.has_nonce()),
            competes: actions.values().any(|action| *action != Action::Remove)
                || policy
                    .further
                    .iter()
                    .any(|(name, _)| private::is_exception(name)),
            http: Variant::new(policy, Transport::Http)?,
            unnamed: Variant::new(policy, Transport::HttpsUnnamed)?,
            https,
            actions,
            cache_control: policy.cache_control.clone().map(intern::value),
        };
        Ok(Self {
            prepared: intern::prepared(prepared),
        })
    }

    pub(super) fn get(&self) -> &Prepared {
        &self.prepared
    }
}

impl Prepared {
    pub(super) fn variant(&self, transport: Transport) -> &Variant {
        match transport {
            Transport::Https => &self.https,
            Transport::HttpsUnnamed => &self.unnamed,
            Transport::Http => &self.http,
        }
    }
}

impl Variant {
    fn new(policy: &SecurityHeaders, transport: Transport) -> Result<Self, ConfigError> {
        let policies: Vec<_> = render::policies(policy)
            .into_iter()
            .filter_map(|(name, csp)| Some(Policy::new(name, render::over(transport, csp)?)))
            .collect();
        let own = policies
            .iter()
            .map(|policy| (policy.name.clone(), policy.template.plain().clone()))
            .chain(render::headers(policy, transport)?);
        let own: Vec<_> = own
            .map(|(name, value)| (intern::name(&name), intern::value(value)))
            .collect();
        let cache_control = policy.cache_control.clone().map(intern::value);
        let starts = std::array::from_fn(|places| {
            let places = Places(places).names().map(|name| {
                let value = if name == header::CACHE_CONTROL {
                    // Where nothing else is to be said, it is a nonce that asks for the place.
                    cache_control.clone().unwrap_or(PRIVATE)
                } else {
                    HeaderValue::from_static("")
                };
                (name, value)
            });
            // The places first, where they are found without hashing.
            places.chain(own.iter().cloned()).collect()
        });
        Ok(Self { starts, policies })
    }

    /// What a response with these places starts from.
    pub(super) const fn start(&self, places: Places) -> &HeaderMap {
        &self.starts[places.0]
    }

    /// Whether the header `name` is sent, where the handler sets none.
    pub(super) fn sends(&self, name: &HeaderName) -> bool {
        self.start(Places(0)).contains_key(name)
    }
}

impl Policy {
    fn new(name: HeaderName, csp: Csp) -> Self {
        let template = Template::new(&csp);
        Self {
            name,
            csp,
            template,
        }
    }
}

/// Places in the prepared map for headers that the handler has set: a clone of it has room for them
/// without growing, and none to take out again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places(usize);

impl Places {
    /// Headers that most handlers set.
    const NAMES: [HeaderName; Self::COUNT] = [
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::CACHE_CONTROL,
    ];

    /// How many there can be.
    pub(super) const COUNT: usize = 3;

    /// A place for each header of `headers` that can have one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        headers.keys().fold(Self(0), Self::with)
    }

    /// One more place, if `name` can have one.
    pub(super) fn with(self, name: &HeaderName) -> Self {
        let place = Self::NAMES.iter().position(|known| known == name);
        Self(self.0 | place.map_or(0, |place| 1 << place))
    }

    pub(super) fn contains(self, name: &HeaderName) -> bool {
        self.names().any(|place| place == *name)
    }

    pub(super) const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    fn names(self) -> impl Iterator<Item = HeaderName> {
        let names = Self::NAMES.into_iter().enumerate();
        names.filter_map(move |(place, name)| (self.0 & 1 << place != 0).then_some(name))
    }
}

/// Keeps a response out of shared caches.
pub(super) const PRIVATE: HeaderValue = HeaderValue::from_static("private");
