//! A correct, validated set of security headers on every response.
