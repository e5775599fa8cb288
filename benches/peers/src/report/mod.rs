//! What was measured, for a program or a page to read: the tables as JSON, and a chart of each.

mod chart;
mod machine;
mod versions;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::harness::Effort;

/// One table as it was printed.
#[derive(Debug, Serialize)]
pub struct Table {
    pub title: String,
    /// Whether the first row is what all others are measured over.
    pub floor: bool,
    /// What the ratios tell, or nothing where there is none.
    pub ratio: &'static str,
    /// One for each of a row's cells; the first is what a chart shows.
    pub units: Vec<&'static str>,
    pub rows: Vec<Row>,
    /// What else was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One contestant.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    pub cells: Vec<Cell>,
}

impl Row {
    /// A contestant of whom one thing is told, and who is compared with nobody.
    pub fn plain(name: &'static str, value: f64) -> Self {
        let cells = vec![Cell::from(value)];
        Self { name, cells }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cell {
    #[serde(serialize_with = "rounded")]
    pub value: f64,
    #[serde(serialize_with = "rounded", skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        let ratio = None;
        Self { value, ratio }
    }
}

/// More digits than these are noise.
fn rounded<S, V>(value: &V, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    V: Copy + Into<Option<f64>>,
{
    let value: Option<f64> = (*value).into();
    value
        .map(|value| (value * 1e3).round() / 1e3)
        .serialize(serializer)
}

/// Where a run's results go, beside the terminal.
#[derive(Debug, Default)]
pub struct Destination {
    pub json: Option<PathBuf>,
    pub svg: Option<PathBuf>,
}

impl Destination {
    /// Makes room for the files, before minutes are spent on what it cannot keep.
    pub fn prepare(&self) {
        let parent = self.json.as_deref().and_then(Path::parent);
        for directory in [parent, self.svg.as_deref()].into_iter().flatten() {
            if let Err(error) = fs::create_dir_all(directory) {
                panic!("{}: {error}", directory.display());
            }
        }
    }

    /// Writes the files.
    pub fn save(&self, run: &Run) {
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(run).expect("strings and numbers");
            write(path, &(json + "\n"));
        }
        if let Some(directory) = &self.svg {
            for table in &run.tables {
                let path = directory.join(file_name(&table.title));
                write(&path, &chart::draw(table));
            }
        }
    }
}

fn write(path: &Path, text: &str) {
    if let Err(error) = fs::write(path, text) {
        panic!("{}: {error}", path.display());
    }
}

/// All tables of one run, and what they were measured on.
#[derive(Debug, Serialize)]
pub struct Run {
    date: String,
    quick: bool,
    cpu: String,
    cores: usize,
    kernel: String,
    rustc: &'static str,
    /// The crates that this one names, as its lock file has them, and the programs that take part.
    versions: BTreeMap<&'static str, String>,
    pub tables: Vec<Table>,
}

impl Run {
    /// Begins now, on this machine, with these programs.
    pub fn begin(
        effort: Effort,
        programs: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let crates = versions::named(include_str!("../../Cargo.lock"), env!("CARGO_PKG_NAME"));
        let crates = crates.map(|(name, version)| (name, version.to_owned()));
        Self {
            date: machine::date(),
            quick: effort == Effort::Quick,
            cpu: machine::cpu(),
            cores: machine::cores(),
            kernel: machine::kernel(),
            rustc: env!("RUSTC_VERSION"),
            versions: crates.chain(programs).collect(),
            tables: Vec::new(),
        }
    }
}

/// A title in small letters, digits and dashes.
fn file_name(title: &str) -> String {
    let title = title.replace(',', "").to_lowercase();
    let words = title.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("-") + ".svg"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_keeps_letters_and_digits() {
        let title = "rate limit, 10,000 keys, 2 thread(s)";
        assert_eq!(file_name(title), "rate-limit-10000-keys-2-thread-s.svg");
    }

    #[test]
    fn json_rounds_and_leaves_out_what_is_not_there() {
        let cell = |value, ratio| serde_json::to_string(&Cell { value, ratio }).unwrap();
        assert_eq!(cell(1.23456, None), r#"{"value":1.235}"#);
        assert_eq!(cell(0.0, Some(0.5)), r#"{"value":0.0,"ratio":0.5}"#);
        assert_eq!(cell(f64::NAN, None), r#"{"value":null}"#);
    }

    #[test]
    fn a_run_knows_what_it_ran_on() {
        let program = ("a program", String::from("1.2.3"));
        let run = Run::begin(Effort::Quick, [program]);
        assert!(run.quick);
        assert_eq!(run.date.len(), "2000-01-01".len(), "{}", run.date);
        assert!(run.rustc.starts_with("rustc 1."), "{}", run.rustc);
        assert!(run.versions.contains_key("tower_governor"));
        assert_eq!(run.versions["a program"], "1.2.3");
    }
}
