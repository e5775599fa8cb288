//! A policy from a file.

mod config;
mod csp;
mod values;

#[cfg(test)]
mod tests;
