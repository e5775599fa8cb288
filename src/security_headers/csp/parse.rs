//! Reading a policy as text: the inverse of its `Display`.

use super::{Csp, Directive, Sandbox};
use crate::config::ConfigError;

/// One serialized policy. A comma would be a second one, and is refused with the source it is in.
pub(super) fn policy(text: &str) -> Result<Csp, ConfigError> {
    let mut csp = Csp::new();
    for part in text.split(';') {
        if part.contains(['\r', '\n']) {
            let fix = "a line break would leave the header: write it on one line";
            return Err(ConfigError::new(
                "content-security-policy",
                part.trim(),
                fix,
            ));
        }
        let mut words = part.split([' ', '\t']).filter(|word| !word.is_empty());
        let Some(name) = words.next() else { continue };
        let directive = Directive::from_name(name)
            .map_err(|fix| ConfigError::new("content-security-policy", name, fix))?;
        if csp.contains(directive) {
            let fix = "given twice: a browser keeps the first and ignores this one";
            return Err(ConfigError::new(directive.name(), part.trim(), fix));
        }
        csp = csp.with_words(directive, words)?;
        csp.check()?;
    }
    Ok(csp)
}

impl Csp {
    /// Sets `directive` to the words that stand after its name in the header.
    pub(crate) fn with_words<'a>(
        self,
        directive: Directive,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        let words = words.into_iter();
        match directive {
            Directive::Sandbox => {
                let tokens: Result<Vec<_>, _> = words.map(sandbox).collect();
                Ok(self.sandbox(tokens?))
            }
            Directive::TrustedTypes => Ok(self.trusted_types(words)),
            Directive::ReportUri => Ok(self.report_uri(words)),
            Directive::ReportTo => {
                let name = only(directive, words, |_| true, "one endpoint's name")?;
                Ok(self.report_to(name))
            }
            Directive::RequireTrustedTypesFor => {
                only(directive, words, |word| word == "'script'", "'script'")?;
                Ok(self.require_trusted_types())
            }
            Directive::Webrtc => {
                only(directive, words, |word| word == "'block'", "'block'")?;
                Ok(self.block_webrtc())
            }
            Directive::UpgradeInsecureRequests => match words.collect::<Vec<_>>()[..] {
                [] => Ok(self.upgrade_insecure_requests()),
                [word, ..] => Err(ConfigError::new(
                    directive.name(),
                    word,
                    "it takes no value",
                )),
            },
            // An empty list means 'none'; written out, it can be read.
            _ => Ok(self.set(directive, words)),
        }
    }
}

fn sandbox(word: &str) -> Result<Sandbox, ConfigError> {
    Sandbox::from_name(word).ok_or_else(|| {
        let known: Vec<_> = Sandbox::ALL.iter().map(|token| token.name()).collect();
        let fix = format!("no such permission; there are {}", known.join(" "));
        ConfigError::new("sandbox", word, fix)
    })
}

/// The single word of a directive that takes one.
fn only<'a>(
    directive: Directive,
    mut words: impl Iterator<Item = &'a str>,
    valid: impl Fn(&str) -> bool,
    fix: &'static str,
) -> Result<&'a str, ConfigError> {
    match (words.next(), words.next()) {
        (Some(word), None) if valid(word) => Ok(word),
        (Some(word), None) | (_, Some(word)) => Err(ConfigError::new(
            directive.name(),
            word,
            format!("it takes {fix}"),
        )),
        (None, None) => Err(ConfigError::new(
            directive.name(),
            "",
            format!("it takes {fix}"),
        )),
    }
}
