//! `bartizan::health` as a host sees it.
