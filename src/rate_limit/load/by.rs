//! `by = ["client_ip", { header = "x-tenant", missing = "reject" }]`.

use crate::client::{ClientSource, Ipv6Prefix};
use crate::config::ConfigError;
use crate::load::Field;
use crate::rate_limit::key::{self, Key, Missing};

/// A part of a key, as a file says it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    source: Source,
    /// `None` leaves a key of the host's as it is, and shares otherwise.
    missing: Option<Missing>,
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    ClientIp(Ipv6Prefix),
    Header(String),
    PathParam(String),
    Constant,
    Named(String),
}

/// What a program gives to the names in a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) client: Option<ClientSource>,
    pub(super) keys: Vec<(String, Key)>,
}

impl Part {
    pub(super) fn read(field: &Field<'_>) -> Result<Self, ConfigError> {
        if field.as_text().is_some() {
            let words = [("client_ip", true), ("constant", false)];
            let source = match field.one_of(&words)? {
                true => Source::ClientIp(Ipv6Prefix::default()),
                false => Source::Constant,
            };
            let missing = None;
            return Ok(Self { source, missing });
        }
        let table = field.table(&["client_prefix", "header", "path_param", "key", "missing"])?;
        let mut sources = table.names().filter(|name| *name != "missing");
        let (Some(kind), None) = (sources.next(), sources.next()) else {
            return Err(field.wrong(
                "a part of a key has one of `client_prefix`, `header`, `path_param` and `key`; to \
                 count by several, write a list of tables",
            ));
        };
        let value = table.need(kind, "say of what")?;
        let source = match kind {
            "client_prefix" => {
                let bits = u8::try_from(value.number()?).unwrap_or(u8::MAX);
                Source::ClientIp(Ipv6Prefix::new(bits).map_err(|error| value.told(&error))?)
            }
            "header" => Source::Header(value.text()?.to_owned()),
            "path_param" => Source::PathParam(value.text()?.to_owned()),
            _ => Source::Named(value.text()?.to_owned()),
        };
        let words = [
            ("shared", Missing::Shared),
            ("reject", Missing::Reject),
            ("skip", Missing::Skip),
        ];
        let missing = table.get("missing");
        let missing = missing.map(|field| field.one_of(&words)).transpose()?;
        Ok(Self { source, missing })
    }

    /// The key of this part. What the program has to give is stood for by a constant if `known` is
    /// `None`: for all that can be said about it before.
    ///
    /// # Errors
    ///
    /// What the program has not given, and how to.
    pub(super) fn key(&self, known: Option<&Known>) -> Result<Key, (String, String)> {
        let key = match &self.source {
            Source::Header(name) => key::header(name),
            Source::PathParam(name) => key::path_param(name),
            Source::Constant => key::constant(),
            Source::ClientIp(prefix) => match known.map(|known| &known.client) {
                None => key::constant(),
                Some(Some(client)) => key::client_prefix(client, *prefix),
                Some(None) => {
                    let fix = "the program has not said how clients are known: `.client(&source)`";
                    return Err(("client_ip".into(), fix.into()));
                }
            },
            Source::Named(name) => match known.map(|known| &known.keys) {
                None => key::constant(),
                Some(keys) => match keys.iter().find(|(known, _)| known == name) {
                    Some((_, key)) => key.clone(),
                    None => {
                        let names: Vec<_> = keys.iter().map(|(name, _)| name.as_str()).collect();
                        let fix = format!("the program knows these keys: [{}]", names.join(", "));
                        return Err((name.clone(), fix));
                    }
                },
            },
        };
        Ok(match self.missing {
            None => key,
            Some(Missing::Shared) => key.or_shared(),
            Some(Missing::Reject) => key.or_reject(),
            Some(Missing::Skip) => key.or_skip(),
        })
    }
}
