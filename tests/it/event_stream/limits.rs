//! How many streams there may be: in all, of one user, from one address; and how long one may stall.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan::client::{ClientSource, PeerAddr};
use bartizan::event_stream::{
    Authorize, Denied, EventHub, EventHubBuilder, EventStream, Grant, MemoryStore, Verdict,
};
use http::Request;
use http::request::Parts;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt};

use super::reader::{Answer, Reader, ask, read};
use super::{event, feed, opened, settle};

const BROWSER: (&str, &str) = ("accept", "text/event-stream");
const JSON: (&str, &str) = ("accept", "application/json");

fn of_user(hub: &EventHub, user: &'static str) -> EventStream {
    EventStream::new(hub.clone()).authorize(move |_: &Parts| Ok(Grant::user(user)))
}

async fn hub(
    change: impl FnOnce(EventHubBuilder<MemoryStore>) -> EventHubBuilder<MemoryStore>,
) -> (MemoryStore, EventHub) {
    let store = MemoryStore::new();
    let hub = feed(change(EventHub::builder(store.clone())));
    settle().await;
    (store, hub)
}

#[tokio::test(start_paused = true)]
async fn beyond_its_limit_a_hub_sheds_so_that_a_browser_comes_back() {
    let (_store, hub) = hub(|builder| builder.max_connections(2)).await;
    let events = EventStream::new(hub.clone());
    let first = opened(&events, "/").await;
    let _second = opened(&events, "/").await;
    let (status, body) = read(ask(&events, "/", &[BROWSER]).await).await;
    assert_eq!((status, body.starts_with("retry: ")), (200, true));
    assert_eq!(read(ask(&events, "/", &[]).await).await.0, 503);
    assert_eq!(hub.stats().turned_away, 2);
    drop(first);
    opened(&events, "/").await;
}

#[tokio::test(start_paused = true)]
async fn the_oldest_stream_of_a_user_makes_room_and_is_told_and_no_one_elses_does() {
    for shards in [1, 3] {
        let (store, hub) = hub(|builder| builder.max_per_user(2).shards(shards)).await;
        let (own, other) = (of_user(&hub, "u1"), of_user(&hub, "u2"));
        let public = EventStream::new(hub.clone());
        let mut first = opened(&own, "/").await;
        let mut second = opened(&own, "/").await;
        let mut bystanders = Vec::new();
        for events in [&other, &other, &public, &public, &public] {
            bystanders.push(opened(events, "/").await);
        }
        let mut third = opened(&own, "/").await;
        let cursor = first.id.clone();
        let told = first.block().await.unwrap();
        assert!(told.is("superseded") && told.retry.is_some(), "{told:?}");
        assert_eq!(told.data, Some(format!(r#"{{"cursor":"{cursor}"}}"#)));
        assert_eq!(first.block().await, None);
        store.append(event("a", "still there")).unwrap();
        for reader in [&mut second, &mut third].into_iter().chain(&mut bystanders) {
            assert_eq!(reader.event().await.data.as_deref(), Some("still there"));
        }
        // One that has left makes room by itself.
        drop(third);
        opened(&own, "/").await;
        store.append(event("a", "again")).unwrap();
        assert_eq!(second.event().await.data.as_deref(), Some("again"));
        assert_eq!(hub.stats().turned_away, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_superseded_client_does_not_come_back_to_push_out_the_next_unless_it_means_to() {
    let (store, hub) = hub(|builder| builder.max_per_user(1)).await;
    let events = of_user(&hub, "u1");
    let mut first = opened(&events, "/").await;
    let mut second = opened(&events, "/").await;
    let told = first.end().await;
    let id = told.id.unwrap();
    // What a browser does by itself, whatever its page makes of the event.
    let came_back = [BROWSER, ("last-event-id", &id)];
    assert_eq!(read(ask(&events, "/", &came_back).await).await.0, 204);
    let by_query = format!("/?last_event_id={id}");
    for headers in [&came_back[1..], &[JSON, ("last-event-id", &id)]] {
        let (status, problem) = read(ask(&events, "/", headers).await).await;
        assert_eq!(status, 409);
        assert!(problem.contains(r#""reason":"superseded""#), "{problem}");
    }
    assert_eq!(read(ask(&events, &by_query, &[JSON]).await).await.0, 409);
    store.append(event("a", "meanwhile")).unwrap();
    assert_eq!(second.event().await.data.as_deref(), Some("meanwhile"));

    let data: serde_json::Value = serde_json::from_str(&told.data.unwrap()).unwrap();
    let uri = format!("/?last_event_id={}", data["cursor"].as_str().unwrap());
    let mut on_purpose = Reader::open(&events, &uri).await;
    assert_eq!(on_purpose.replay().await, ["meanwhile"]);
    assert!(second.event().await.is("superseded"));
}

#[tokio::test(start_paused = true)]
async fn a_superseded_long_poll_is_told_in_its_document() {
    let (_store, hub) = hub(|builder| builder.max_per_user(1)).await;
    let events = of_user(&hub, "u1");
    let waiting = tokio::spawn({
        let events = events.clone();
        async move { read(ask(&events, "/?wait=50", &[JSON]).await).await }
    });
    settle().await;
    let _second = opened(&events, "/").await;
    let (status, document) = waiting.await.unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        (status, &document["events"][0]["type"]),
        (200, &"superseded".into())
    );
    let cursor = document["cursor"].as_str().unwrap();
    let again = format!("/?last_event_id={cursor}");
    assert_eq!(read(ask(&events, &again, &[JSON]).await).await.0, 409);
}

async fn from_peer(events: &EventStream, peer: Option<&str>) -> Answer {
    let request = Request::get("/")
        .header(BROWSER.0, BROWSER.1)
        .body(())
        .unwrap();
    let answer = match peer {
        Some(peer) => {
            let peer: IpAddr = peer.parse().unwrap();
            PeerAddr::layer((peer, 1).into())
                .layer(events.clone())
                .oneshot(request)
                .await
        }
        None => events.clone().oneshot(request).await,
    };
    answer.unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_address_or_network_gets_so_many_streams_and_its_neighbours_keep_theirs() {
    let (store, hub) = hub(|builder| builder.max_per_address(&ClientSource::peer(), 2)).await;
    let events = EventStream::new(hub.clone());
    let mut kept = Vec::new();
    for peer in [Some("2001:db8::1"), Some("192.0.2.1"), None] {
        for _ in 0..2 {
            let mut reader = Reader::over(from_peer(&events, peer).await);
            while reader.ready().is_some() {}
            kept.push(reader);
        }
        let (status, body) = read(from_peer(&events, peer).await).await;
        assert_eq!(
            (status, body.starts_with("retry: ")),
            (200, true),
            "{peer:?}"
        );
    }
    // The same network, and the same address in another form.
    for same in ["2001:db8::ffff", "::ffff:192.0.2.1"] {
        let (_, body) = read(from_peer(&events, Some(same)).await).await;
        assert!(body.starts_with("retry: "), "{same}");
    }
    assert_eq!((hub.stats().turned_away, hub.stats().connections), (5, 6));
    store.append(event("a", "for all")).unwrap();
    for reader in &mut kept {
        assert_eq!(reader.event().await.data.as_deref(), Some("for all"));
    }
    kept.clear();
    assert_eq!(hub.stats().connections, 0);
    let _again = from_peer(&events, Some("2001:db8::2")).await;
    assert_eq!(hub.stats().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_client_takes_nothing_ends_at_its_bound_and_resumes_without_loss() {
    for bound in [30, 300] {
        let (store, hub) = hub(|builder| builder.write_stall(Duration::from_secs(bound))).await;
        let events = EventStream::new(hub.clone());
        let mut reader = opened(&events, "/").await;
        let mut quiet = opened(&events, "/?type=none").await;
        for n in 0..50 {
            store.append(event("a", &n.to_string())).unwrap();
            sleep(Duration::from_secs(1)).await;
            // One that is read all the time.
            while quiet.ready().is_some() {}
        }
        let mut found = Vec::new();
        let mut ended = false;
        while found.len() < 50 {
            match reader.block().await {
                Some(block) if block.is("a") => found.extend(block.data),
                Some(_) => {}
                None => {
                    ended = true;
                    let id = reader.id.clone();
                    reader = Reader::resume(&events, "/", &id).await;
                }
            }
        }
        let expected: Vec<_> = (0..50).map(|n: u32| n.to_string()).collect();
        assert_eq!((found, ended), (expected, bound < 50));
        store.append(event("none", "")).unwrap();
        assert!(quiet.event().await.is("none"), "nobody waited for it");
    }
}

#[tokio::test(start_paused = true)]
async fn revoking_a_user_ends_that_users_streams_and_no_others() {
    let (_store, hub) = hub(|builder| builder.shards(2)).await;
    let team = EventStream::new(hub.clone())
        .authorize(|_: &Parts| Ok(Grant::user("u1").and_users(["u2"])));
    let mut own = [
        opened(&of_user(&hub, "u1"), "/").await,
        opened(&of_user(&hub, "u1"), "/?type=a").await,
        // It reads the events of somebody else alone, and is u1's all the same.
        opened(&team, "/?user=u2").await,
    ];
    let mut other = opened(&of_user(&hub, "u2"), "/").await;
    assert_eq!(hub.revoke("u1"), 3);
    assert_eq!(hub.revoke("u1"), 0);
    assert_eq!(hub.revoke("nobody"), 0);
    for stream in &mut own {
        stream.end().await;
    }
    assert!(other.block().await.is_some());
}

/// Looks a right up, and takes its time to say what it found.
struct Slow {
    says: Arc<Semaphore>,
}

impl Authorize for Slow {
    async fn open(&self, request: &Parts) -> Result<Grant, Denied> {
        let grant = match request.uri.path() {
            "/u1" => Grant::user("u1"),
            _ => Grant::user("u2"),
        };
        self.says.acquire().await.unwrap().forget();
        Ok(grant)
    }

    async fn recheck(&self, _: &Grant) -> Verdict {
        let grant = Grant::user("u1");
        self.says.acquire().await.unwrap().forget();
        Verdict::Replace(grant)
    }
}

/// A host that looked before the right was withdrawn grants it afterwards: the stream was not there yet
/// to be ended, and stayed.
#[tokio::test(start_paused = true)]
async fn who_is_revoked_while_the_host_still_looks_gets_no_stream_and_no_one_elses_is_lost() {
    let (_store, hub) = hub(|builder| builder).await;
    let says = Arc::new(Semaphore::new(0));
    let events = EventStream::new(hub.clone()).authorize(Slow {
        says: Arc::clone(&says),
    });
    let ask = |uri: &'static str| {
        let events = events.clone();
        tokio::spawn(async move { ask(&events, uri, &[BROWSER]).await })
    };
    let (one, two) = (ask("/u1"), ask("/u2"));
    settle().await;
    assert_eq!(hub.revoke("u1"), 0);
    says.add_permits(2);
    let (status, body) = read(one.await.unwrap()).await;
    assert_eq!((status, body.starts_with("retry: ")), (200, true));
    let mut other = Reader::over(two.await.unwrap());
    assert!(other.block().await.is_some());
    assert_eq!((hub.stats().connections, hub.stats().turned_away), (1, 1));

    // Asked again, it is as before.
    says.add_permits(1);
    let mut again = Reader::over(ask("/u1").await.unwrap());
    assert!(again.block().await.is_some());
    assert_eq!(hub.revoke("u1"), 1);

    // And a recheck that makes u1's what was somebody else's.
    while other.ready().is_some() {}
    let reading = tokio::spawn(async move { while other.block().await.is_some() {} });
    sleep(Duration::from_secs(16)).await;
    assert_eq!(hub.revoke("u1"), 0);
    says.add_permits(1);
    let read = timeout(Duration::from_secs(1), reading).await;
    read.expect("it ends at once").unwrap();
}
