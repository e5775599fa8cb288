//! Which build runs: read where the host is compiled, not where this crate is.

/// Which build of a service runs: from [`build_info!`](super::build_info!), for
/// [`Health::for_build`](super::Health::for_build).
///
/// ```
/// use bartizan::health::{Health, build_info};
///
/// # fn main() -> Result<(), bartizan::config::ConfigError> {
/// // The package's name and version, and the commit that the environment of the build told.
/// let (health, driver) = Health::for_build(build_info!()).build()?;
///
/// // Under another name, with a release from a variable of your own pipeline.
/// let build = build_info!(release = "IMAGE_TAG").name("orders");
/// let (health, driver) = Health::for_build(build).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "it is made for `Health::for_build`"]
pub struct BuildInfo {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) release: Option<&'static str>,
    pub(super) commit: Option<&'static str>,
}

impl BuildInfo {
    /// A build of which only name and version are known.
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            release: None,
            commit: None,
        }
    }

    /// The name of the service, where the package has another.
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// The release, as [`HealthBuilder::release`](super::HealthBuilder::release). `None` and an
    /// empty text, as an unset build argument leaves it, change nothing.
    pub const fn release(mut self, release: Option<&'static str>) -> Self {
        if let Some(told) = told(release) {
            self.release = Some(told);
        }
        self
    }

    /// The commit, as [`HealthBuilder::commit`](super::HealthBuilder::commit). `None` and an empty
    /// text change nothing.
    pub const fn commit(mut self, commit: Option<&'static str>) -> Self {
        if let Some(told) = told(commit) {
            self.commit = Some(told);
        }
        self
    }
}

const fn told(value: Option<&'static str>) -> Option<&'static str> {
    match value {
        Some(value) if !value.is_empty() => Some(value),
        _ => None,
    }
}

/// Reads which build this is, while the crate that says so is compiled: a [`BuildInfo`].
///
/// - Name and version: those of the package (`CARGO_PKG_NAME`, `CARGO_PKG_VERSION`).
/// - Commit: the last that is set of `GIT_COMMIT`, `CI_COMMIT_SHA` (GitLab), `GITHUB_SHA`,
///   `VERGEN_GIT_SHA` (what the crate vergen sets).
/// - `build_info!(commit = "MY_SHA", release = "IMAGE_TAG")` reads variables of your own as well,
///   which win where they are set.
///
/// All of them are variables of the *compiler's* environment, so a Dockerfile has to pass them on
/// (`ARG GIT_COMMIT`, `ENV GIT_COMMIT=$GIT_COMMIT`) before it builds. Cargo builds anew when one of
/// them changes.
#[doc(hidden)]
#[macro_export]
macro_rules! __health_build_info {
    ($($member:ident = $variable:literal),* $(,)?) => {
        $crate::health::BuildInfo::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .commit(option_env!("GIT_COMMIT"))
            .commit(option_env!("CI_COMMIT_SHA"))
            .commit(option_env!("GITHUB_SHA"))
            .commit(option_env!("VERGEN_GIT_SHA"))
            $(.$member(option_env!($variable)))*
    };
}

#[doc(inline)]
pub use __health_build_info as build_info;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_leaves_what_was_there() {
        let build = BuildInfo::new("orders", "1.4.2").commit(Some("3f9c2ab"));
        assert_eq!(build.commit(None).commit(Some("")), build);
        assert_eq!(build.commit(Some("abc")).commit, Some("abc"));
        assert_eq!(build.release(Some("")).release, None);
        assert_eq!(build.name("pay").release(Some("r1")).release, Some("r1"));
    }

    #[test]
    fn a_variable_that_the_compiler_has_is_read_and_one_that_it_has_not_is_none() {
        const BUILD: BuildInfo = build_info!(commit = "CARGO_PKG_LICENSE", release = "NO_SUCH");
        assert_eq!(
            (BUILD.name, BUILD.version),
            ("bartizan", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(BUILD.commit, Some(env!("CARGO_PKG_LICENSE")));
        assert_eq!(BUILD.release, None);
    }
}
