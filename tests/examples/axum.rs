//! `examples/axum.rs`.

use crate::example::Example;
use crate::stack;

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    stack::every_answer_carries_the_security_headers(&Example::start("axum")).await;
}

#[tokio::test]
async fn a_burst_is_turned_away_but_not_the_probes() {
    stack::a_burst_is_turned_away_but_not_the_probes(&Example::start("axum")).await;
}

#[tokio::test]
async fn a_stream_carries_what_is_posted() {
    stack::a_stream_carries_what_is_posted(&Example::start("axum")).await;
}

#[tokio::test]
async fn a_socket_carries_what_is_posted_to_pages_of_this_site() {
    stack::a_socket_carries_what_is_posted_to_pages_of_this_site(&Example::start("axum")).await;
}
