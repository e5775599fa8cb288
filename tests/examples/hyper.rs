//! `examples/hyper.rs`.

use crate::call::get;
use crate::example::Example;
use crate::stack;

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    stack::every_answer_carries_the_security_headers(&Example::start("hyper")).await;
}

#[tokio::test]
async fn a_burst_is_turned_away_but_not_the_probes() {
    stack::a_burst_is_turned_away_but_not_the_probes(&Example::start("hyper")).await;
}

#[tokio::test]
async fn a_stream_carries_what_is_posted() {
    stack::a_stream_carries_what_is_posted(&Example::start("hyper")).await;
}

#[tokio::test]
async fn a_socket_carries_what_is_posted_to_pages_of_this_site() {
    stack::a_socket_carries_what_is_posted_to_pages_of_this_site(&Example::start("hyper")).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn more_connections_than_it_can_hold_do_not_end_it() {
    let example = Example::start("hyper");
    drop(example.run_out_of_files(48).await);
    assert_eq!(get(&example, "/livez").await.status(), 200);
}
