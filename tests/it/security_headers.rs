//! `bartizan::security_headers` as a host sees it.
