//! The layer: a prepared header set, and who is asked for the scheme.

use tower_layer::Layer;

use super::policy::SecurityHeaders;
use super::prepared::PreparedHeaders;
use super::service::SecurityHeadersService;
use crate::client::ClientSource;
use crate::config::ConfigError;

/// Puts a [`SecurityHeaders`] policy on every response of the services below.
///
/// Put it outermost, so that also the answers of other layers (429, 404, 500) carry the headers; a
/// layer that turns panics into responses belongs inside. A service that fails with an error has
/// no response to put headers on.
///
/// See the [module](super) for what it does.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied"]
pub struct SecurityHeadersLayer {
    headers: PreparedHeaders,
    client: ClientSource,
}

impl SecurityHeadersLayer {
    /// Checks and renders `policy`.
    ///
    /// # Errors
    ///
    /// See [`SecurityHeaders::prepare`].
    pub fn new(policy: SecurityHeaders) -> Result<Self, ConfigError> {
        Ok(Self {
            headers: policy.prepare()?,
            client: ClientSource::peer(),
        })
    }

    /// Whom to ask whether a request came over https: a listener that terminates TLS
    /// ([`ClientSource::over_tls`]), or trusted proxies. Nothing else is believed; without a word
    /// about it every request counts as plain http, and `Strict-Transport-Security` and
    /// `upgrade-insecure-requests` are not sent.
    pub fn client(mut self, client: &ClientSource) -> Self {
        self.client = client.clone();
        self
    }
}

impl From<PreparedHeaders> for SecurityHeadersLayer {
    fn from(headers: PreparedHeaders) -> Self {
        Self {
            headers,
            client: ClientSource::peer(),
        }
    }
}

impl<S> Layer<S> for SecurityHeadersLayer {
    type Service = SecurityHeadersService<S>;

    fn layer(&self, inner: S) -> SecurityHeadersService<S> {
        SecurityHeadersService::new(inner, self.headers.clone(), self.client.clone())
    }
}
