//! Neighbours that are asked over TCP and over HTTP.

use bartizan::health::probe;
use bartizan::health::{Probe, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Answers each connection with the next of `answers`, and returns what was asked.
async fn answer(listener: TcpListener, answers: &[&[u8]]) -> Vec<String> {
    let mut asked = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        asked.push(String::from_utf8(request).unwrap());
        // Byte by byte, as a network may cut it.
        for byte in *answer {
            let _ = stream.write_all(&[*byte]).await;
        }
    }
    asked
}

async fn reason(probe: &impl Probe) -> Option<Reason> {
    let checked = timeout(DEADLINE, probe.check()).await.unwrap();
    checked.err().map(|error| error.reason())
}

/// Waits until nobody listens there any more: a process that another test starts at this moment has a
/// copy of every socket of this one until it becomes the program that it is to be.
async fn until_refused(probe: &impl Probe) {
    let refused = timeout(DEADLINE, async {
        while reason(probe).await != Some(Reason::Refused) {}
    });
    assert!(refused.await.is_ok(), "{:?}", reason(probe).await);
}

#[tokio::test]
async fn a_port_that_listens_passes_and_one_that_does_not_is_refused() {
    let (listener, port) = listen().await;
    let by_name = probe::tcp("localhost", port);
    let by_address = probe::tcp("127.0.0.1", port);
    assert_eq!(reason(&by_name).await, None);
    assert_eq!(reason(&by_address).await, None);
    drop(listener);
    until_refused(&by_address).await;
}

#[tokio::test]
async fn a_get_is_judged_by_the_status_it_is_answered_with() {
    let (listener, port) = listen().await;
    let probe = probe::http(&format!("http://127.0.0.1:{port}/ready?full")).unwrap();
    let cases: [(&[u8], Option<Reason>); 6] = [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            None,
        ),
        (
            b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
            Some(Reason::Failed),
        ),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", Some(Reason::Auth)),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Some(Reason::Failed)),
        (b"", Some(Reason::Reset)),
    ];
    let server = tokio::spawn(async move {
        let answers = cases.map(|(answer, _)| answer);
        answer(listener, &answers).await
    });
    for (answer, expected) in cases {
        assert_eq!(
            reason(&probe).await,
            expected,
            "{}",
            String::from_utf8_lossy(answer)
        );
    }
    let asked = server.await.unwrap();
    let host = format!("Host: 127.0.0.1:{port}\r\n");
    assert!(
        asked[0].starts_with("GET /ready?full HTTP/1.1\r\n"),
        "{}",
        asked[0]
    );
    assert!(asked[0].contains(&host), "{}", asked[0]);
    until_refused(&probe).await;
}

/// A peer that never stops talking is not listened to for ever.
#[tokio::test]
async fn interim_answers_without_end_fail() {
    let (listener, port) = listen().await;
    let probe = probe::http(&format!("http://127.0.0.1:{port}/")).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .is_ok()
        {}
    });
    assert_eq!(reason(&probe).await, Some(Reason::Failed));
}

#[tokio::test]
async fn a_neighbour_that_says_nothing_times_out_and_liveness_stays() {
    let (listener, port) = listen().await;
    let health = watch(probe::http(&format!("http://127.0.0.1:{port}/")).unwrap());
    until(&health, Status::Fail, Some(Reason::Timeout)).await;
    hold(&health, port, 1, Reason::Timeout).await;
    drop(listener);
}
