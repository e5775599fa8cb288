//! A place in a tree: what is there, and how to say that it is wrong.

use super::tree::Node;
use crate::config::ConfigError;

/// A value and the path to it, such as `limits[2].quota.burst`.
#[derive(Clone, Debug)]
pub(crate) struct Field<'n> {
    node: &'n Node,
    path: String,
}

/// A table of which every field is known.
#[derive(Debug)]
pub(crate) struct Table<'n> {
    path: String,
    entries: &'n [(String, Node)],
}

impl<'n> Field<'n> {
    /// The whole tree.
    pub(crate) const fn root(node: &'n Node) -> Self {
        let path = String::new();
        Self { node, path }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The value does not do, and this would.
    pub(crate) fn wrong(&self, fix: impl Into<String>) -> ConfigError {
        self.wrong_value(self.node.to_string(), fix)
    }

    /// The same about a part of the value.
    pub(crate) fn wrong_value(
        &self,
        value: impl Into<String>,
        fix: impl Into<String>,
    ) -> ConfigError {
        let path = match &*self.path {
            "" => "configuration",
            path => path,
        };
        ConfigError::new(path.to_owned(), value, fix.into())
    }

    /// An error of the builder's, told with this path in the place of its own field.
    pub(crate) fn told(&self, error: &ConfigError) -> ConfigError {
        self.wrong_value(error.value(), error.fix())
    }

    /// The table that this has to be, with no field but those `known`.
    pub(crate) fn table(&self, known: &[&str]) -> Result<Table<'n>, ConfigError> {
        let fields = || format!("`{}`", known.join("`, `"));
        let Node::Table(entries) = self.node else {
            return Err(self.wrong(format!("write a table of {}", fields())));
        };
        let path = self.path.clone();
        let table = Table { path, entries };
        let stranger = entries
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()));
        match stranger {
            Some((name, node)) => {
                let fix = format!("there is no such field: use {}", fields());
                Err(table.field(name, node).wrong(fix))
            }
            None => Ok(table),
        }
    }

    /// The fields of a table whose names are the host's.
    pub(crate) fn entries(&self) -> Result<Vec<(&'n str, Self)>, ConfigError> {
        let Node::Table(entries) = self.node else {
            return Err(self.wrong("write a table"));
        };
        let path = self.path.clone();
        let table = Table { path, entries };
        let entry = |(name, node): &'n (String, Node)| (name.as_str(), table.field(name, node));
        Ok(entries.iter().map(entry).collect())
    }

    /// The values of a list, or the single value that stands for a list of one.
    pub(crate) fn one_or_more(&self) -> Result<Vec<Self>, ConfigError> {
        match self.node {
            Node::List(_) => self.list(),
            _ => Ok(vec![self.clone()]),
        }
    }

    /// The values of the list that this has to be; it has at least one.
    pub(crate) fn list(&self) -> Result<Vec<Self>, ConfigError> {
        let items = self.items()?;
        if items.is_empty() {
            return Err(self.wrong_value("an empty list", "put one in, at least"));
        }
        Ok(items)
    }

    /// The values of the list that this has to be, if there are any.
    pub(crate) fn items(&self) -> Result<Vec<Self>, ConfigError> {
        let Node::List(items) = self.node else {
            return Err(self.wrong("write a list"));
        };
        let item = |(index, node)| Self {
            node,
            path: format!("{}[{index}]", self.path),
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&'n str> {
        match self.node {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text that this has to be.
    pub(crate) fn text(&self) -> Result<&'n str, ConfigError> {
        self.as_text().ok_or_else(|| self.wrong("write a text"))
    }

    /// The whole number that this has to be: zero or more.
    pub(crate) fn number(&self) -> Result<u64, ConfigError> {
        match self.node {
            Node::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
        .ok_or_else(|| self.wrong("write a whole number from 0 to 2^64 - 1"))
    }

    /// Whether it is `true` or `false`, if it is one of them.
    pub(crate) fn as_flag(&self) -> Option<bool> {
        match self.node {
            Node::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self) -> Result<bool, ConfigError> {
        self.as_flag()
            .ok_or_else(|| self.wrong("write true or false"))
    }

    /// One of a few words, each with what it stands for.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.as_text();
        let found = words.iter().find(|(word, _)| Some(*word) == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(format!("write one of \"{}\"", words.join("\", \"")))
        })
    }
}

impl<'n> Table<'n> {
    /// A field that may be left out. One that is null counts as left out.
    pub(crate) fn get(&self, name: &str) -> Option<Field<'n>> {
        let (_, node) = self.entries.iter().find(|(known, _)| known == name)?;
        (*node != Node::Nothing).then(|| self.field(name, node))
    }

    /// A field that has to be there.
    pub(crate) fn need(&self, name: &str, fix: &str) -> Result<Field<'n>, ConfigError> {
        let none = || self.field(name, &Node::Nothing).wrong_value("none", fix);
        self.get(name).ok_or_else(none)
    }

    /// The names of the fields that are there.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'n str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    fn field<'m>(&self, name: &str, node: &'m Node) -> Field<'m> {
        let path = match &*self.path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        Field { node, path }
    }
}
