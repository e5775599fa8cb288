//! `Reporting-Endpoints`: where browsers send what went wrong.

use std::fmt;

use crate::config::ConfigError;
use crate::security_headers::csp::endpoint_name;

/// Named endpoints of the [Reporting API], a structured field.
///
/// [Reporting API]: https://www.w3.org/TR/reporting-1/
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Endpoints(Vec<(String, String)>);

impl Endpoints {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn set(&mut self, name: &str, url: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => url.clone_into(old),
            None => self.0.push((name.to_owned(), url.to_owned())),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for (name, url) in &self.0 {
            endpoint_name(name).map_err(|fix| ConfigError::new(FIELD, name, fix))?;
            check_url(url).map_err(|fix| ConfigError::new(format!("{FIELD}, {name}"), url, fix))?;
        }
        Ok(())
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, url)) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            // Checked: a URL holds neither a quote nor a backslash.
            write!(f, "{comma}{name}=\"{url}\"")?;
        }
        Ok(())
    }
}

/// A path of this origin, or an address that browsers take as trustworthy.
fn check_url(url: &str) -> Result<(), &'static str> {
    let path = url.starts_with('/') && !url.starts_with("//");
    let trusted = match url.split_once("://") {
        Some(("https", rest)) => host(rest).is_some(),
        Some(("http", rest)) => matches!(host(rest), Some("localhost" | "127.0.0.1")),
        _ => false,
    };
    if !(path || trusted) {
        return Err("a path of this origin (`/reports`), or an https:// address");
    }
    // What ends a quoted string, and what ends the directive where the address is repeated.
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b";,\"<>\\^`{|}".contains(&byte);
    if !url.bytes().all(allowed) {
        return Err("percent-encode what is not visible ASCII, quotes, backslashes, `;` and `,`");
    }
    Ok(())
}

/// The host of what follows a scheme; of one with a user there is none, since it may look like another.
fn host(rest: &str) -> Option<&str> {
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.split(':').next()?;
    (!host.is_empty() && !authority.contains('@')).then_some(host)
}

const FIELD: &str = "reporting-endpoints";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, url: &str) -> Result<(), ConfigError> {
        let mut endpoints = Endpoints::default();
        endpoints.set(name, url);
        endpoints.check()
    }

    #[test]
    fn an_endpoint_is_a_key_and_a_trustworthy_address() {
        for url in [
            "/r",
            "https://r.example/a?b=c",
            "http://localhost:3000/r",
            "http://127.0.0.1",
        ] {
            assert!(check("main", url).is_ok(), "{url}");
        }
        for url in [
            "",
            "r",
            "//evil.example",
            "http://r.example",
            "http://localhost.evil.example",
            "http://localhost:80@evil.example/r",
            "https://",
            "https:///r",
            "https://?r",
            "https://:443/r",
            "/\"",
            "/\\",
            "/a b",
            "/a;b",
            "/a,b",
            "/\u{e9}",
            "/\r\n",
        ] {
            assert!(check("main", url).is_err(), "{url}");
        }
        for name in ["Main", "", "1", "a b", "a=b"] {
            assert!(check(name, "/r").is_err(), "{name}");
        }
    }

    #[test]
    fn endpoints_are_rendered_in_order_and_named_once() {
        let mut endpoints = Endpoints::default();
        endpoints.set("b", "/b");
        endpoints.set("a", "/a");
        endpoints.set("b", "/c");
        assert_eq!(endpoints.to_string(), r#"b="/c", a="/a""#);
    }
}
