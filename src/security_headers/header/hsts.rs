//! `Strict-Transport-Security`.

use std::fmt;
use std::time::Duration;

use crate::config::ConfigError;

/// For how long browsers use https alone for this host ([RFC 6797]).
///
/// Sent over https only, and only to hosts that have a name: an address gets none, since browsers would
/// not heed it ([8.1.1]), nor does `localhost`, where it would take plain http from everything else that
/// is developed on that machine. Behind proxies, whose word for this host may be another, it goes to all.
/// The rules of <https://hstspreload.org> are checked when a layer is built:
/// `preload` is hard to undo, so it needs subdomains and a year.
///
/// [8.1.1]: https://www.rfc-editor.org/rfc/rfc6797#section-8.1.1
/// [RFC 6797]: https://www.rfc-editor.org/rfc/rfc6797
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Hsts {
    seconds: u64,
    subdomains: bool,
    preload: bool,
}

impl Hsts {
    /// Https for `age`, in whole seconds, counted anew from each response.
    pub const fn max_age(age: Duration) -> Self {
        Self {
            seconds: age.as_secs(),
            subdomains: false,
            preload: false,
        }
    }

    /// `max-age=0`: browsers forget that this host wanted https. Leaving the header out does not do
    /// that; they remember until the age they were told has passed.
    pub const fn revoke() -> Self {
        Self::max_age(Duration::ZERO)
    }

    /// The same for every subdomain, also those that other people run.
    pub const fn include_subdomains(mut self) -> Self {
        self.subdomains = true;
        self
    }

    /// Agrees to be compiled into browsers as an https-only host.
    pub const fn preload(mut self) -> Self {
        self.preload = true;
        self
    }

    pub(crate) const fn seconds(&self) -> u64 {
        self.seconds
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let fix = if !self.preload {
            return Ok(());
        } else if !self.subdomains {
            "preload needs include_subdomains()"
        } else if self.seconds < YEAR {
            "preload needs a max_age of at least a year"
        } else {
            return Ok(());
        };
        Err(ConfigError::new(
            "strict-transport-security",
            self.to_string(),
            fix,
        ))
    }
}

impl fmt::Display for Hsts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "max-age={}", self.seconds)?;
        f.write_str(if self.subdomains {
            "; includeSubDomains"
        } else {
            ""
        })?;
        f.write_str(if self.preload { "; preload" } else { "" })
    }
}

/// 365 days in seconds.
pub(crate) const YEAR: u64 = 365 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preload_needs_subdomains_and_a_year() {
        let year = Hsts::max_age(Duration::from_secs(YEAR));
        let short = Hsts::max_age(Duration::from_secs(YEAR - 1)).include_subdomains();
        assert!(year.preload().check().is_err());
        assert!(short.preload().check().is_err());
        let full = year.include_subdomains().preload();
        assert!(full.check().is_ok());
        assert_eq!(
            full.to_string(),
            "max-age=31536000; includeSubDomains; preload"
        );
    }

    #[test]
    fn it_can_be_revoked() {
        assert!(Hsts::revoke().check().is_ok());
        assert_eq!(Hsts::revoke().to_string(), "max-age=0");
        assert!(
            Hsts::max_age(Duration::MAX)
                .to_string()
                .ends_with("18446744073709551615")
        );
    }
}
