//! The policies of a layer from a file.

pub use self::config::RateLimitConfig;

mod by;
mod config;
mod limit;
mod values;

#[cfg(test)]
mod tests;
