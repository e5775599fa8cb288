//! The whole of a file, and its format.

use serde::de::{Deserialize, Deserializer, Error};

use super::by::Known;
use super::limit::Limit;
use crate::client::ClientSource;
use crate::config::ConfigError;
use crate::load::{Field, Node};
use crate::rate_limit::key::Key;
use crate::rate_limit::policy::Policy;
use crate::rate_limit::quota::Quota;

/// Policies as data: from TOML, JSON, or any other self-describing format of `serde`, alone or as a
/// part of a host's own configuration.
///
/// Whatever [building](crate::rate_limit::RateLimitBuilder::build) would refuse is refused when the file is read,
/// and so is every field that does not exist. The error names the path, the value and the fix, after
/// whatever the format says about the line:
///
/// ```text
/// limits[2].quota.burst: "0": a quota of zero refuses everything: use at least 1
/// ```
///
/// # Format
///
/// One field, `limits`, a list of at least one policy. The order matters as it does for
/// [`policy`](crate::rate_limit::RateLimitBuilder::policy): it is that of the response fields.
///
/// | field | | what it is |
/// |---|---|---|
/// | `name` | needed | the policy's and its first window's; see [`Policy::new`] |
/// | `quota` | needed | [how much](#quota), in the first window |
/// | `by` | needed | [what is counted by](#by) |
/// | `on` | optional | [the routes](#on); without it, all requests |
/// | `windows` | optional | a list of further windows, each a table of `name` and `quota`; see [`Policy::and`] |
/// | `cost` | optional | how many cells a request takes: 1 |
/// | `unit` | optional | what the cells are; see [`Policy::unit`] |
/// | `mode` | optional | `"enforce"`, or `"shadow"` to count and never refuse; see [`Policy::shadow`] |
///
/// What needs code is left to code: costs and quotas by request, skips, and keys that a closure makes,
/// which a file names.
///
/// ## `quota`
///
/// A table: `count`, a whole number; `per`, which is `"second"`, `"minute"`, `"hour"`, `"day"`, or a
/// number with `ms`, `s`, `m`, `h` or `d` as in `"15m"`; and, if it is another than `count`, `burst`.
/// It is a [`Quota`], which can be read by itself, too.
///
/// ## `on`
///
/// A text, or a list of them: a method and a template as in `"POST /users/{id}"`, a template for any
/// method, or a method for any path. It is a [`Route`](crate::rate_limit::Route), which can be read by itself, too.
///
/// ## `by`
///
/// A part, or a list of them, which are then counted by together. A part is a text or a table:
///
/// | part | counts by |
/// |---|---|
/// | `"client_ip"` | the client's address, as the program's [`client`](Self::client) tells it |
/// | `"constant"` | nothing: one bucket for all |
/// | `{ client_prefix = 48 }` | the client's address, of IPv6 so many bits, 32 to 128 |
/// | `{ header = "x-api-key" }` | the value of a header field |
/// | `{ path_param = "id" }` | a parameter of the routes in `on` |
/// | `{ key = "user" }` | what the program has given that [name](Self::key) |
///
/// A table may say what becomes of a request that lacks the value: `missing = "shared"` (as it is
/// without), `"reject"` or `"skip"`; see [`key`](crate::rate_limit::key).
///
/// # Example
///
/// ```
/// use bartizan::client::ClientSource;
/// use bartizan::rate_limit::{RateLimitConfig, RateLimitLayer, key};
///
/// # #[derive(Clone)]
/// # struct User { id: u64 }
/// let file = r#"
///     [[limits]]
///     name = "api"
///     quota = { count = 50, per = "second", burst = 100 }
///     by = "client_ip"
///
///     [[limits.windows]]
///     name = "api-daily"
///     quota = { count = 10_000, per = "day" }
///
///     [[limits]]
///     name = "login"
///     quota = { count = 5, per = "15m" }
///     on = ["POST /login", "/tokens/{kind}"]
///     by = ["client_ip", { header = "x-account", missing = "reject" }]
///
///     [[limits]]
///     name = "upload"
///     quota = { count = 1000, per = "hour" }
///     on = "PUT"
///     by = { key = "user", missing = "skip" }
///     cost = 10
///     unit = "documents"
///     mode = "shadow"
/// "#;
/// let config: RateLimitConfig = toml::from_str(file)?;
/// let config = config
///     .client(&ClientSource::peer())
///     .key("user", key::extension(|user: &User| &user.id));
/// let limits = RateLimitLayer::builder().policies(config.policies()?).build()?;
///
/// // Later, when the file has changed: quotas are swapped while requests are served.
/// let next: RateLimitConfig = toml::from_str(&file.replace("burst = 100", "burst = 60"))?;
/// limits.swap_quotas(config.reloaded(&next)?)?;
///
/// let wrong = file.replace("count = 1000", "count = 0");
/// let error = toml::from_str::<RateLimitConfig>(&wrong).unwrap_err().to_string();
/// assert!(error.contains(r#"limits[2].quota.count: "0": a quota of zero"#), "{error}");
///
/// // The path is that within the `RateLimitConfig`, wherever a host's own configuration has it.
/// #[derive(serde::Deserialize)]
/// struct Config { rate_limit: RateLimitConfig }
/// let json = r#"{ "rate_limit": { "limits": [{ "label": "api" }] } }"#;
/// let error = serde_json::from_str::<Config>(json).err().unwrap().to_string();
/// assert!(error.starts_with(r#"limits[0].label: "api": there is no such field: use `name`, "#), "{error}");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing until a layer is built with its policies"]
pub struct RateLimitConfig {
    limits: Vec<Limit>,
    known: Known,
}

impl RateLimitConfig {
    /// How clients are known, where a limit counts by `client_ip` or `client_prefix`: a file cannot
    /// say it, since the peer's address is in an extension of the request.
    pub fn client(mut self, source: &ClientSource) -> Self {
        self.known.client = Some(source.clone());
        self
    }

    /// Gives a name to a key that needs code, for files to count by: `{ key = "user" }`. A later key
    /// of the same name replaces an earlier one.
    pub fn key(mut self, name: impl Into<String>, key: impl Into<Key>) -> Self {
        let (name, key) = (name.into(), key.into());
        self.known.keys.retain(|(known, _)| *known != name);
        self.known.keys.push((name, key));
        self
    }

    /// The policies, for [`RateLimitBuilder::policies`](crate::rate_limit::RateLimitBuilder::policies).
    ///
    /// # Errors
    ///
    /// If a limit counts by clients or by a named key, and the program has not given it.
    pub fn policies(&self) -> Result<Vec<Policy>, ConfigError> {
        let policy = |limit: &Limit| limit.policy(&self.known);
        self.limits.iter().map(policy).collect()
    }

    /// The quotas of `next`, for [`swap_quotas`](crate::rate_limit::RateLimitLayer::swap_quotas), of a layer that
    /// was built with this configuration's policies.
    ///
    /// # Errors
    ///
    /// If `next` differs in anything else: that needs a new layer, and the error names the path.
    pub fn reloaded<'n>(&self, next: &'n Self) -> Result<Vec<(&'n str, Quota)>, ConfigError> {
        let (before, after) = (self.limits.len(), next.limits.len());
        if before != after {
            let fix = format!("the running layer has {before}: build a layer for this");
            return Err(ConfigError::new("limits", format!("{after} limits"), fix));
        }
        for (limit, next) in self.limits.iter().zip(&next.limits) {
            limit.differs_in_quotas_alone(next)?;
        }
        Ok(next.limits.iter().flat_map(Limit::windows).collect())
    }

    pub(super) fn read(node: &Node) -> Result<Self, ConfigError> {
        let table = Field::root(node).table(&["limits"])?;
        let limits = table.need("limits", "list at least one")?;
        let mut taken = Vec::new();
        let limits = limits.list()?;
        let limits = limits.iter().map(|limit| Limit::read(limit, &mut taken));
        Ok(Self {
            limits: limits.collect::<Result<_, _>>()?,
            known: Known::default(),
        })
    }
}

/// The error names the path within the configuration.
impl<'de> Deserialize<'de> for RateLimitConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        Self::read(&node).map_err(D::Error::custom)
    }
}
