//! One policy: its directives, each at most once, in the order they were given.

use std::fmt;

use super::{Directive, Sandbox, Source, grammar};
use crate::config::ConfigError;

/// A content security policy ([CSP3]).
///
/// Directives are set, widened and taken away by value. Sources are [`Source`]s or text in the
/// notation of the specification; a mistake is kept, and told when the policy is used to build a
/// layer (or by [`check`](Self::check)), with the directive, the value, its place and what was
/// likely meant.
///
/// ```
/// use bartizan::security_headers::{Csp, Directive, Source};
///
/// let csp = Csp::new()
///     .set(Directive::DefaultSrc, [Source::SelfOrigin])
///     .allow(Directive::ImgSrc, ["data:", "https://img.example.com"])
///     .set(Directive::ObjectSrc, ["'none'"]);
/// assert_eq!(
///     csp.to_string(),
///     "default-src 'self'; img-src 'self' data: https://img.example.com; object-src 'none'"
/// );
/// assert_eq!(Csp::parse(&csp.to_string())?, csp);
///
/// let error = Csp::new().set(Directive::ScriptSrc, ["self"]).check().unwrap_err();
/// assert_eq!(error.field(), "script-src, source 1");
/// # Ok::<_, bartizan::config::ConfigError>(())
/// ```
///
/// [CSP3]: https://www.w3.org/TR/CSP3/
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use = "a policy does nothing until a layer is built from it"]
pub struct Csp {
    pub(super) entries: Vec<(Directive, Value)>,
    /// The first mistake: builders go on by value and tell it at the end.
    pub(super) error: Option<ConfigError>,
}

/// What stands after a directive's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Sources(Vec<Source>),
    Sandbox(Vec<Sandbox>),
    Words(Vec<String>),
}

impl Csp {
    /// A policy without a directive, which restricts nothing.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
            error: None,
        }
    }

    /// Reads a policy as it would stand in the header, `'nonce-{nonce}'` for the nonce.
    ///
    /// # Errors
    ///
    /// Stricter than a browser, which skips what it cannot read: unknown and repeated directives
    /// (a browser keeps the first, people expect the last) and malformed values are refused.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        super::parse::policy(text)
    }

    /// Sets the sources of `directive`, in place of what it had.
    pub fn set(
        mut self,
        directive: Directive,
        sources: impl IntoIterator<Item: TryInto<Source, Error: Into<ConfigError>>>,
    ) -> Self {
        match read_sources(directive, sources) {
            Ok(sources) => self.put(directive, Value::Sources(sources)),
            Err(error) => self.fail(error),
        }
        self
    }

    /// Adds sources to `directive`; what was allowed before still is.
    ///
    /// A directive that is absent starts from what the browser would have fallen back to
    /// (`default-src 'self'` and `img-src data:` added make `img-src 'self' data:`), and `'none'` gives
    /// way. One that is absent without a fallback restricts nothing, and stays absent.
    ///
    /// The specification has two sources that take effect away from others: a nonce or a hash from
    /// `'unsafe-inline'`, and `'strict-dynamic'` from hosts and schemes.
    pub fn allow(
        mut self,
        directive: Directive,
        sources: impl IntoIterator<Item: TryInto<Source, Error: Into<ConfigError>>>,
    ) -> Self {
        match read_sources(directive, sources) {
            Ok(sources) => self.widen(directive, &sources),
            Err(error) => self.fail(error),
        }
        self
    }

    /// Takes `directive` away, so that its fallback holds, or nothing.
    pub fn without(mut self, directive: Directive) -> Self {
        self.entries.retain(|(known, _)| *known != directive);
        self
    }

    /// Puts the page into a sandbox that leaves it the permissions of `tokens`.
    pub fn sandbox(mut self, tokens: impl IntoIterator<Item = Sandbox>) -> Self {
        let mut unique = Vec::new();
        for token in tokens {
            if !unique.contains(&token) {
                unique.push(token);
            }
        }
        self.put(Directive::Sandbox, Value::Sandbox(unique));
        self
    }

    /// Names the Trusted Types policies that scripts may create: names, `*`, `'allow-duplicates'`,
    /// or `'none'` alone.
    pub fn trusted_types<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.words(Directive::TrustedTypes, names, grammar::trusted_type)
    }

    /// `require-trusted-types-for 'script'`: strings can no longer reach `innerHTML` and its like.
    /// Many libraries are not ready for it.
    pub fn require_trusted_types(mut self) -> Self {
        let value = Value::Words(vec!["'script'".to_owned()]);
        self.put(Directive::RequireTrustedTypesFor, value);
        self
    }

    /// `upgrade-insecure-requests`. A layer sends it over https only: over plain http it would point
    /// every address of the page at a port where nobody listens.
    pub fn upgrade_insecure_requests(mut self) -> Self {
        self.put(Directive::UpgradeInsecureRequests, Value::Words(Vec::new()));
        self
    }

    /// `webrtc 'block'`: no peer connections.
    pub fn block_webrtc(mut self) -> Self {
        self.put(Directive::Webrtc, Value::Words(vec!["'block'".to_owned()]));
        self
    }

    /// Sends reports to the endpoint `name`, which must be one of the policy's
    /// [`endpoint`](crate::security_headers::SecurityHeaders::endpoint)s.
    pub fn report_to(self, name: &str) -> Self {
        self.words(Directive::ReportTo, [name], grammar::endpoint_name)
    }

    /// Where browsers without the Reporting API post reports.
    pub fn report_uri<'a>(self, uris: impl IntoIterator<Item = &'a str>) -> Self {
        self.words(Directive::ReportUri, uris, grammar::report_uri)
    }

    /// Whether everything that was set is well-formed.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// The sources of `directive`; `None` where it is absent, or takes none.
    #[must_use]
    pub fn sources(&self, directive: Directive) -> Option<&[Source]> {
        match self.value(directive)? {
            Value::Sources(sources) => Some(sources),
            _ => None,
        }
    }

    /// Whether `directive` is part of this policy.
    #[must_use]
    pub fn contains(&self, directive: Directive) -> bool {
        self.value(directive).is_some()
    }

    /// What a sandboxed page may still do; `None` without a sandbox.
    pub(crate) fn sandbox_tokens(&self) -> Option<&[Sandbox]> {
        match self.value(Directive::Sandbox)? {
            Value::Sandbox(tokens) => Some(tokens),
            _ => None,
        }
    }

    /// The endpoint that `report-to` names.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        match self.value(Directive::ReportTo)? {
            Value::Words(words) => words.first().map(String::as_str),
            _ => None,
        }
    }

    /// Where browsers without the Reporting API post reports.
    pub(crate) fn report_uris(&self) -> impl Iterator<Item = &str> {
        let words = match self.value(Directive::ReportUri) {
            Some(Value::Words(words)) => words.as_slice(),
            _ => &[],
        };
        words.iter().map(String::as_str)
    }

    pub(super) fn value(&self, directive: Directive) -> Option<&Value> {
        let entry = self.entries.iter().find(|(known, _)| *known == directive);
        entry.map(|(_, value)| value)
    }

    pub(super) fn put(&mut self, directive: Directive, value: Value) {
        match self
            .entries
            .iter_mut()
            .find(|(known, _)| *known == directive)
        {
            Some((_, old)) => *old = value,
            None => self.entries.push((directive, value)),
        }
    }

    /// The rule of [`allow`](Self::allow), for sources that have been read.
    pub(crate) fn widen(&mut self, directive: Directive, more: &[Source]) {
        if self.takes_workers(directive) {
            self.widen(Directive::WorkerSrc, more);
        }
        let chain = [directive]
            .into_iter()
            .chain(directive.fallbacks().iter().copied());
        let start = chain.into_iter().find_map(|known| self.sources(known));
        let Some(start) = start else { return };
        let mut sources = start.to_vec();
        for source in more {
            if !sources.contains(source) {
                sources.push(source.clone());
            }
        }
        if sources.len() > 1 {
            sources.retain(|source| *source != Source::None);
        }
        self.put(directive, Value::Sources(sources));
    }

    /// Whether workers, which have no directive of their own, would fall back to a new `directive`
    /// that means something else for them than what they fall back to now.
    fn takes_workers(&self, directive: Directive) -> bool {
        let strict_dynamic = || {
            let sources = self.sources(Directive::DefaultSrc);
            sources.is_some_and(|sources| sources.contains(&Source::StrictDynamic))
        };
        let takes = match directive {
            // They would no longer fall back to `script-src`.
            Directive::ChildSrc => true,
            // For workers `'strict-dynamic'` takes effect in `script-src`, but not in `default-src`.
            Directive::ScriptSrc => !self.contains(Directive::ChildSrc) && strict_dynamic(),
            _ => false,
        };
        takes && !self.contains(directive)
    }

    fn words<'a>(
        mut self,
        directive: Directive,
        words: impl IntoIterator<Item = &'a str>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Self {
        let words: Vec<_> = words.into_iter().map(str::to_owned).collect();
        let mut numbered = words.iter().zip(1..);
        let refused = numbered.find_map(|(word, nth)| Some((word, nth, check(word).err()?)));
        if words.is_empty() && directive != Directive::TrustedTypes {
            self.fail(ConfigError::new(directive.name(), "", "it needs a value"));
        } else if let Some((word, nth, fix)) = refused {
            let field = format!("{directive}, value {nth}");
            self.fail(ConfigError::new(field, word.as_str(), fix));
        } else if words.len() > 1 && words.iter().any(|word| word == "'none'") {
            self.fail(ConfigError::new(directive.name(), words.join(" "), ALONE));
        } else {
            self.put(directive, Value::Words(words));
        }
        self
    }

    pub(super) fn fail(&mut self, error: ConfigError) {
        self.error.get_or_insert(error);
    }
}

impl fmt::Display for Csp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (directive, value)) in self.entries.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            f.write_str(directive.name())?;
            match value {
                Value::Sources(sources) => spaced(f, sources)?,
                Value::Sandbox(tokens) => spaced(f, tokens)?,
                Value::Words(words) => spaced(f, words)?,
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for Csp {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

fn spaced<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    items.iter().try_for_each(|item| write!(f, " {item}"))
}

/// Reads the sources of one directive; the error names the directive and which source it is.
pub(crate) fn read_sources<T>(
    directive: Directive,
    sources: impl IntoIterator<Item = T>,
) -> Result<Vec<Source>, ConfigError>
where
    T: TryInto<Source, Error: Into<ConfigError>>,
{
    if !directive.takes_sources() {
        let fix = "this directive takes no sources: it has a method of its own";
        return Err(ConfigError::new(directive.name(), "", fix));
    }
    let mut list: Vec<Source> = Vec::new();
    for (index, source) in sources.into_iter().enumerate() {
        let field = || format!("{directive}, source {}", index + 1);
        let source = source.try_into().map_err(|error| {
            let error: ConfigError = error.into();
            ConfigError::new(field(), error.value(), error.fix().to_owned())
        })?;
        if directive == Directive::FrameAncestors && !may_frame(&source) {
            let fix = "frame-ancestors takes 'self', 'none', hosts and schemes";
            return Err(ConfigError::new(field(), source.to_string(), fix));
        }
        if !list.contains(&source) {
            list.push(source);
        }
    }
    if list.is_empty() {
        let fix = "an empty list allows nothing: write 'none', or leave the directive out";
        return Err(ConfigError::new(directive.name(), "", fix));
    }
    if list.len() > 1 && list.contains(&Source::None) {
        let all: Vec<_> = list.iter().map(ToString::to_string).collect();
        return Err(ConfigError::new(directive.name(), all.join(" "), ALONE));
    }
    Ok(list)
}

const fn may_frame(source: &Source) -> bool {
    matches!(
        source,
        Source::None | Source::SelfOrigin | Source::Host(_) | Source::Scheme(_)
    )
}

const ALONE: &str = "'none' stands alone: browsers ignore it in company";
