//! `examples/tonic.rs`.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
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
    assert_eq!(refused.message(), "quota exceeded");
    let wait = retry_delay(refused.details());
    assert!(
        !wait.is_zero() && wait <= Duration::from_secs(1),
        "{wait:?}"
    );
    // A probe over plain HTTP is answered in front of the limit.
    assert_eq!(get(&example, "/readyz").await.status(), 200);
    // Whoever waits as long as it is told passes.
    sleep(wait).await;
    client.check(whole()).await.unwrap();
}

#[tokio::test]
async fn a_refused_call_is_answered_by_trailers_alone() {
    let example = Example::start("tonic");
    let address = example.url.strip_prefix("http://").unwrap();
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let mut call = async || {
        let call = Request::post(format!("{}/grpc.health.v1.Health/Check", example.url))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        // An empty message: not compressed, of no bytes.
        let call = call.body(Full::new(Bytes::from_static(&[0; 5]))).unwrap();
        let answer = timeout(DEADLINE, sender.send_request(call)).await;
        answer.unwrap().unwrap()
    };
    let mut refused = None;
    for _ in 0..MANY {
        let answer = call().await;
        if answer.headers().contains_key("grpc-status") {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a burst is turned away in the end");
    assert_eq!(refused.status(), 200);
    assert_eq!(header(&refused, "content-type"), "application/grpc");
    assert_eq!(header(&refused, "grpc-status"), "8");
    assert!(header(&refused, "ratelimit").starts_with("\"calls\";r=0;t="));
    let pushback = header(&refused, "grpc-retry-pushback-ms").parse::<u64>();
    assert!((1..=1000).contains(&pushback.unwrap()));
    assert!(
        refused.body().is_end_stream(),
        "nothing follows the header fields"
    );
}

/// The delay in the details of a status: `Status { 3: Any { 1: type, 2: RetryInfo { 1: Duration } } }`.
fn retry_delay(details: &[u8]) -> Duration {
    let any = field(details, 3);
    assert_eq!(field(any, 1), b"type.googleapis.com/google.rpc.RetryInfo");
    let delay = field(field(any, 2), 1);
    let [mut seconds, mut nanos] = [0, 0];
    let mut rest = delay;
    while let Some((key, after)) = rest.split_first() {
        let (value, after) = varint(after);
        match key {
            0x08 => seconds = value,
            0x10 => nanos = value,
            other => panic!("field {other:#x} in a duration"),
        }
        rest = after;
    }
    Duration::new(seconds, u32::try_from(nanos).unwrap())
}

/// The bytes of a field of a message.
fn field(mut message: &[u8], number: u8) -> &[u8] {
    while let Some((key, after)) = message.split_first() {
        let (value, after) = varint(after);
        if key & 7 == 0 {
            message = after;
            continue;
        }
        assert_eq!(key & 7, 2, "neither a number nor bytes: {key:#x}");
        let (bytes, after) = after.split_at(usize::try_from(value).unwrap());
        if key >> 3 == number {
            return bytes;
        }
        message = after;
    }
    panic!("no field {number}")
}

fn varint(bytes: &[u8]) -> (u64, &[u8]) {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let (bytes, rest) = bytes.split_at(end);
    let value = bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    (value, rest)
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
