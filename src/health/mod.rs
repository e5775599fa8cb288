//! A health check that tells the truth.
