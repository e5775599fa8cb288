//! What a browser makes of the headers, as Servo's code decides it.
#![expect(
    clippy::unwrap_used,
    reason = "whatever goes wrong here fails the test"
)]

mod browser;
mod merging;
mod presets;
