//! The demo's page over each of its transports, and over one after the other.

use std::time::Duration;

use browser::{Browser, Demo};
use fantoccini::Locator;

use crate::demo::{Other, beyond_the_network, shows, wait_for_rows};
use crate::proxy::{Block, EVENT_SOURCE, LONG_POLL, Proxy, WEB_SOCKET};

const TRANSPORTS: [(&str, &str); 3] = [
    ("sse", "EventSource"),
    ("websocket", "WebSocket"),
    ("long-poll", "long-poll"),
];

const DEADLINE: Duration = Duration::from_secs(120);

/// Waits until the page is live over this transport.
async fn live_over(browser: &Browser, expected: &str) {
    let script = "return document.querySelector('#stream-state').dataset.state + ' '
                  + document.querySelector('#transport').textContent";
    let shown = || async { browser.execute(script, Vec::new()).await.unwrap() };
    let expected = format!("ok {expected}");
    let met = async {
        while shown().await != *expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(DEADLINE, met).await.is_err() {
        assert_eq!(shown().await, *expected);
    }
}

/// The rows from the top when these many were written.
fn all(written: u64) -> Vec<u64> {
    (1..=written).rev().collect()
}

#[tokio::test]
async fn a_forced_transport_shows_what_happens_and_survives_a_crash_and_a_shutdown() {
    let mut demo = Demo::start(&["--writes-per-second", "1000"]);
    let browser = Browser::open().await;
    let mut written = 0;
    for (word, name) in TRANSPORTS {
        browser
            .goto(&demo.url(&format!("/?transport={word}")))
            .await
            .unwrap();
        live_over(&browser, name).await;
        assert_eq!(beyond_the_network(&browser).await, []);
        let other = Other::sign_in(&demo, "u1").await;
        for _ in 0..3 {
            written = other.pay(word).await;
        }
        wait_for_rows(&browser, &all(written)).await;

        demo.kill();
        demo.restart();
        written = Other::sign_in(&demo, "u1").await.pay("after a crash").await;
        wait_for_rows(&browser, &all(written)).await;

        let ended = demo.terminate(DEADLINE);
        assert!(ended.is_some_and(|status| status.success()));
        demo.restart();
        written = Other::sign_in(&demo, "u1")
            .await
            .pay("after a shutdown")
            .await;
        wait_for_rows(&browser, &all(written)).await;
        live_over(&browser, name).await;
        // That connections broke is told; nothing else may be.
        assert_eq!(beyond_the_network(&browser).await, []);
    }
    assert_eq!(written, 15);
}

#[tokio::test]
async fn the_page_takes_the_first_transport_that_gets_through() {
    let demo = Demo::start(&[]);
    let proxy = Proxy::start(demo.address()).await;
    let browser = Browser::open().await;
    let other = Other::sign_in(&demo, "u1").await;
    for (blocked, name) in [
        (&[][..], "EventSource"),
        (&[(EVENT_SOURCE, Block::Hold)], "WebSocket"),
        (
            &[(EVENT_SOURCE, Block::Refuse), (WEB_SOCKET, Block::Refuse)],
            "long-poll",
        ),
    ] {
        proxy.block(blocked);
        browser
            .goto(&format!("http://{}/", proxy.address))
            .await
            .unwrap();
        live_over(&browser, name).await;
        let written = other.pay(name).await;
        wait_for_rows(&browser, &all(written)).await;
    }
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_the_way_is_cut_and_another_one_is_taken() {
    let demo = Demo::start(&["--writes-per-second", "1000"]);
    let proxy = Proxy::start(demo.address()).await;
    let browser = Browser::open().await;
    browser
        .goto(&format!("http://{}/", proxy.address))
        .await
        .unwrap();
    live_over(&browser, "EventSource").await;
    let other = Other::sign_in(&demo, "u1").await;
    let mut written = other.pay("before").await;
    let (sse, socket, poll) = (
        (EVENT_SOURCE, Block::Refuse),
        (WEB_SOCKET, Block::Refuse),
        (LONG_POLL, Block::Refuse),
    );
    for (blocked, name) in [
        (&[sse][..], "WebSocket"),
        (&[sse, socket], "long-poll"),
        (&[socket, poll], "EventSource"),
        (&[sse], "WebSocket"),
    ] {
        // Writing goes on meanwhile.
        let writing = async {
            loop {
                written = other.pay(name).await;
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        proxy.block(blocked);
        tokio::select! {
            () = live_over(&browser, name) => {}
            never = writing => never,
        }
        written = other.pay("there").await;
        // The page keeps 500 rows; far fewer are written.
        assert!(written < 500, "{written}");
        wait_for_rows(&browser, &all(written)).await;
    }
    assert!(written > 50, "{written}");
}

#[tokio::test]
async fn a_page_that_made_room_for_a_newer_one_does_not_come_back() {
    for (word, _) in &TRANSPORTS[..2] {
        let demo = Demo::start(&["--streams-per-user", "1"]);
        let first = Browser::open().await;
        first
            .goto(&demo.url(&format!("/?transport={word}")))
            .await
            .unwrap();
        shows(&first, "#stream-state[data-state=ok]").await;
        let second = Browser::open().await;
        second.goto(&demo.url("/")).await.unwrap();
        shows(&second, "#stream-state[data-state=ok]").await;
        shows(&first, "#stream-state[data-state=fail]").await;
        let told = first.find(Locator::Id("stream-state")).await.unwrap();
        assert_eq!(told.text().await.unwrap(), "open elsewhere");
        Other::sign_in(&demo, "u1")
            .await
            .pay("to the newer one")
            .await;
        wait_for_rows(&second, &[1]).await;
        wait_for_rows(&first, &[]).await;
    }
}
