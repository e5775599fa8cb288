//! Content Security Policy Level 3, typed: directives, sources, and the text of the header.
//!
//! Pure: nothing here knows of requests or responses.

pub use self::directive::Directive;
pub use self::hash::Hash;
pub use self::host::HostSource;
pub use self::policy::Csp;
pub use self::sandbox::Sandbox;
pub use self::source::{SchemeSource, Source};

pub(super) use self::grammar::endpoint_name;
pub(super) use self::policy::read_sources;
pub(super) use self::template::{Template, WIDTH};

mod directive;
mod grammar;
mod hash;
mod host;
mod parse;
mod policy;
mod sandbox;
mod source;
mod template;
#[cfg(test)]
mod tests;
