//! `bartizan::rate_limit` as a host sees it.
