//! A content security policy, as a file says it.

use crate::config::ConfigError;
use crate::load::Field;
use crate::security_headers::csp::{Csp, Directive, Source};

/// What `field` makes of `csp`: the text of a whole policy, or a table of what is to change.
pub(super) fn read(field: &Field<'_>, mut csp: Csp) -> Result<Csp, ConfigError> {
    if let Some(text) = field.as_text() {
        return Csp::parse(text).map_err(|error| {
            let path = format!("{}, {}", field.path(), error.field());
            ConfigError::new(path, error.value(), error.fix().to_owned())
        });
    }
    let entries = field.entries()?;
    for (name, value) in entries.iter().filter(|(name, _)| *name != ALLOW) {
        let directive = directive(name, value)?;
        csp = match value.as_flag() {
            Some(false) => csp.without(directive),
            _ if directive.takes_sources() => csp.set(directive, sources(value)?),
            _ => csp
                .with_words(directive, words(value)?)
                .map_err(|error| value.told(&error))?,
        };
        csp.check().map_err(|error| value.told(&error))?;
    }
    // Last, since what it adds to may come later in the file.
    if let Some((_, allow)) = entries.iter().find(|(name, _)| *name == ALLOW) {
        for (name, value) in allow.entries()? {
            csp = csp.allow(directive(name, &value)?, sources(&value)?);
            csp.check().map_err(|error| value.told(&error))?;
        }
    }
    Ok(csp)
}

/// The directive of this name, in lower case as all names in a file.
fn directive(name: &str, value: &Field<'_>) -> Result<Directive, ConfigError> {
    match Directive::from_name(name) {
        Ok(directive) if directive.name() == name => Ok(directive),
        Ok(directive) => Err(value.wrong_value(name, format!("write {directive}"))),
        Err(fix) => Err(value.wrong_value(name, fix)),
    }
}

fn sources(field: &Field<'_>) -> Result<Vec<Source>, ConfigError> {
    if let Some(text) = field.as_text() {
        let words = text.split_ascii_whitespace().map(Source::parse);
        return words
            .collect::<Result<_, _>>()
            .map_err(|error| field.told(&error));
    }
    let source = |item: &Field<'_>| Source::parse(item.text()?).map_err(|error| item.told(&error));
    field.list()?.iter().map(source).collect()
}

/// The words after a directive's name; `true` stands for none.
fn words<'n>(field: &Field<'n>) -> Result<Vec<&'n str>, ConfigError> {
    match (field.as_flag(), field.as_text()) {
        (Some(true), _) => Ok(Vec::new()),
        (_, Some(text)) => Ok(text.split_ascii_whitespace().collect()),
        _ => field.list()?.iter().map(Field::text).collect(),
    }
}

/// Not the name of a directive: the table of what is added to them.
const ALLOW: &str = "allow";
