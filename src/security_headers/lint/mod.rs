//! What a policy leaves open although it is well-formed.

pub use self::finding::{Finding, Severity};

mod bypass;
mod features;
mod finding;
mod headers;
mod script;
mod sources;
#[cfg(test)]
mod tests;
