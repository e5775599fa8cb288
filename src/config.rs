//! The error of a configuration that cannot work: what, where, and the fix.

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;

/// A configuration that cannot work, told when it is built rather than when it is used.
///
/// It names the field, the value it was given, and what would work instead.
///
/// # Example
///
/// ```
/// use bartizan::client::TrustedProxies;
///
/// let error = TrustedProxies::cidrs(["10.0.0.0/80"]).unwrap_err();
/// assert_eq!(error.field(), "trusted proxies");
/// assert_eq!(error.value(), "10.0.0.0/80");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    field: Cow<'static, str>,
    value: String,
    fix: Cow<'static, str>,
}

impl ConfigError {
    #[allow(dead_code, reason = "a build without any room configures nothing")]
    pub(crate) fn new(
        field: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
        fix: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            value: value.into(),
            fix: fix.into(),
        }
    }

    /// The field or directive that is wrong.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The value it was given.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is wrong with the value, and what to write instead.
    #[must_use]
    pub fn fix(&self) -> &str {
        &self.fix
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}: {}", self.field, self.value, self.fix)
    }
}

impl Error for ConfigError {}

/// A value that was already of its type has nothing wrong with it.
impl From<Infallible> for ConfigError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_field_value_and_fix_on_one_line() {
        let error = ConfigError::new("policy name", "a\nb", "use visible ASCII");
        assert_eq!(
            error.to_string(),
            r#"policy name: "a\nb": use visible ASCII"#
        );
    }
}
