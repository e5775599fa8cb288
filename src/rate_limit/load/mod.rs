//! The policies of a layer from a file.

pub use self::config::RateLimitConfig;

mod by;
mod config;
mod field;
mod limit;
mod tree;
mod values;

#[cfg(test)]
mod tests;
