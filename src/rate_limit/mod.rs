//! Metering requests per key.
