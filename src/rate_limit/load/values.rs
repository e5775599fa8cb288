//! What can be read by itself: `{ count = 50, per = "second", burst = 100 }` and `"POST /login"`.

use std::time::Duration;

use http::Method;
use serde::de::{Deserialize, Deserializer, Error};

use crate::config::ConfigError;
use crate::load::{Field, Node};
use crate::rate_limit::quota::Quota;
use crate::rate_limit::route::Route;

/// `{ count = 50, per = "second", burst = 100 }`: the [format](crate::rate_limit::RateLimitConfig#quota) of a
/// configuration.
impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        quota(&Field::root(&node)).map_err(D::Error::custom)
    }
}

/// `"POST /login"`, `"/users/{id}"` or `"POST"`: the [format](crate::rate_limit::RateLimitConfig#on) of a
/// configuration.
impl<'de> Deserialize<'de> for Route {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        route(&Field::root(&node), "").map_err(D::Error::custom)
    }
}

/// A rate and a burst.
pub(super) fn quota(field: &Field<'_>) -> Result<Quota, ConfigError> {
    let table = field.table(&["count", "per", "burst"])?;
    let count = table.need("count", "say how many may pass, e.g. `count = 50`")?;
    let per = table.need("per", "say in what time, e.g. `per = \"second\"`")?;
    let window = duration(&per)?;
    Quota::try_per(1, window).map_err(|error| per.wrong(error.fix()))?;
    let sustained = Quota::try_per(count.number()?, window);
    let sustained = sustained.map_err(|error| count.wrong(error.fix()))?;
    match table.get("burst") {
        None => Ok(sustained),
        Some(burst) => sustained
            .try_burst(burst.number()?)
            .map_err(|error| burst.told(&error)),
    }
}

/// A method and a template, or one of the two; `policy` is not in the error, the path is.
pub(super) fn route(field: &Field<'_>, policy: &str) -> Result<Route, ConfigError> {
    let text = field.text()?;
    let (name, template) = match text.split_once(' ') {
        Some((name, template)) => (Some(name), Some(template.trim())),
        None if text.starts_with('/') => (None, Some(text)),
        None => (Some(text), None),
    };
    let known = |name: &str| METHODS.iter().find(|method| method.as_str() == name);
    let method = match name.map(known) {
        Some(None) => return Err(field.wrong(ROUTE)),
        Some(Some(method)) => Some(method.clone()),
        None => None,
    };
    let route = match (method, template.map(str::to_owned)) {
        (Some(method), Some(template)) => Route::new(method, template),
        (Some(method), None) => Route::method(method),
        (None, template) => Route::any(template.unwrap_or_default()),
    };
    let compiled = route.clone().compile(policy);
    compiled.map_err(|error| field.told(&error))?;
    Ok(route)
}

/// A unit, or so many of a short one.
fn duration(field: &Field<'_>) -> Result<Duration, ConfigError> {
    let text = field.as_text().unwrap_or_default();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit_nanos = |units: &[(&str, u64)]| {
        let found = units.iter().find(|(name, _)| *name == unit);
        found.map(|(_, nanos)| *nanos)
    };
    let nanos = match number {
        "" => unit_nanos(&UNITS),
        _ => number
            .parse()
            .ok()
            .zip(unit_nanos(&SHORT_UNITS))
            .and_then(|(number, nanos): (u64, u64)| nanos.checked_mul(number)),
    };
    nanos.map(Duration::from_nanos).ok_or_else(|| {
        field.wrong(
            "write \"second\", \"minute\", \"hour\" or \"day\", or a number with `ms`, `s`, `m`, `h` \
             or `d`, as in \"15m\"",
        )
    })
}

const UNITS: [(&str, u64); 4] = [
    ("second", SECOND),
    ("minute", 60 * SECOND),
    ("hour", 3600 * SECOND),
    ("day", 86_400 * SECOND),
];

const SHORT_UNITS: [(&str, u64); 5] = [
    ("ms", SECOND / 1000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
    ("d", 86_400 * SECOND),
];

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// What is misspelt would silently never match, so a file knows these alone.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

const ROUTE: &str = "write a method in capitals, a path that starts with a slash, or both, as in \
                     \"POST /users/{id}\"; a method of your own needs a policy in code";
