//! Guides: what a room's own page has no place for, since it concerns several of them.
//!
//! | guide | for whoever |
//! |---|---|
//! | [`deployment`] | puts a service behind nginx, Caddy, Cloudflare or Kubernetes |
//! | [`migration`] | comes from tower_governor, axum's `Sse`, tower-http's `SetResponseHeader` or a helmet crate |
//! | [`comparison`] | chooses: what each of them has, what it lacks, and what this crate lacks |
//! | [`contract`] | publishes an OpenAPI document, and has to tell what the guards answer |
//! | [`threats`] | reviews the service: what each guard stops, and what it does not |
//! | [`upgrades`] | plans a release: what may change, and what two versions side by side share |
//! | [`dependencies`] | reviews what a build brings in: the crates of each feature, their licences, unsafe code |

#[doc = include_str!("deployment.md")]
pub mod deployment {}

#[doc = include_str!("migration.md")]
pub mod migration {}

#[doc = include_str!("comparison.md")]
pub mod comparison {}

#[doc = include_str!("contract.md")]
pub mod contract {}

#[doc = include_str!("threats.md")]
pub mod threats {}

#[doc = include_str!("upgrades.md")]
pub mod upgrades {}

#[doc = include_str!("dependencies.md")]
pub mod dependencies {}
