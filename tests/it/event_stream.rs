//! `bartizan::event_stream` as a host sees it.
