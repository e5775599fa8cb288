//! `examples/tonic.rs`.

use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::call::{DEADLINE, get, header, read_until};
use crate::example::Example;

const MANY: usize = 500;

#[tokio::test]
async fn calls_are_answered_until_the_quota_is_spent() {
    let example = Example::start("tonic");
    let channel = Channel::from_shared(example.url.clone()).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    let whole = HealthCheckRequest::default;

    // What `/readyz` says is told here too, whenever it changes.
    let mut watched = client.watch(whole()).await.unwrap().into_inner();
    let serving = timeout(DEADLINE, async {
        while watched.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    });
    serving.await.unwrap();

    let answer = client.check(whole()).await.unwrap();
    assert!(answer.metadata().contains_key("ratelimit"));
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);

    let mut refused = None;
    for _ in 0..MANY {
        if let Err(status) = client.check(whole()).await {
            refused = Some(status);
            break;
        }
    }
    let refused = refused.expect("a burst is turned away in the end");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let details = String::from_utf8_lossy(refused.details());
    assert!(details.contains("google.rpc.RetryInfo"), "{details:?}");
    // A probe over plain HTTP is answered in front of the limit.
    assert_eq!(get(&example, "/readyz").await.status(), 200);
}

#[tokio::test]
async fn the_same_port_serves_events_and_headers_over_http_1() {
    let example = Example::start("tonic");
    let mut stream = get(&example, "/events").await;
    assert_eq!(stream.status(), 200);
    assert_eq!(header(&stream, "content-type"), "text/event-stream");
    assert_eq!(header(&stream, "x-content-type-options"), "nosniff");
    read_until(&mut stream, "\n\n").await;
}
