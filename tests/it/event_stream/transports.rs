//! A client that goes from one transport to another, at any moment, with the same cursor.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bartizan::event_stream::{EventHub, EventStream, MemoryStore, NewEvent};
use proptest::prelude::*;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::reader::{Reader, ask, read};
use super::socket::{Socket, with_sockets};
use super::websocket::own;
use super::{event, feed, settle};

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Transport {
    Stream,
    Socket,
    LongPoll,
}

const TRANSPORTS: [Transport; 3] = [Transport::Stream, Transport::Socket, Transport::LongPoll];

/// What a client does before it breaks off.
#[derive(Clone, Copy, Debug)]
struct Visit {
    transport: Transport,
    /// Blocks, messages or events that it takes in. What lies beyond them it never sees.
    takes: usize,
    /// Events that are published before it comes, and while it is there.
    before: usize,
    during: usize,
}

fn visit() -> impl Strategy<Value = Visit> {
    let burst = || prop_oneof![3 => 0..4_usize, 1 => 10..60_usize];
    (0..3_usize, 0..30_usize, burst(), burst()).prop_map(|(at, takes, before, during)| Visit {
        transport: TRANSPORTS[at],
        takes,
        before,
        during,
    })
}

/// The client: what it has seen, and where it stands.
struct Client {
    events: EventStream,
    cursor: String,
    seen: Vec<String>,
}

impl Client {
    async fn visit(&mut self, transport: Transport, takes: usize) {
        match transport {
            Transport::Stream => {
                let mut reader = Reader::resume(&self.events, "/", &self.cursor).await;
                for _ in 0..takes {
                    let Ok(Some(block)) = timeout(QUIET, reader.block()).await else {
                        break;
                    };
                    let fired = block.event.unwrap_or_else(|| "message".to_owned());
                    self.take_in(block.id, &fired, block.data);
                }
            }
            Transport::Socket => {
                let query = format!("?last_event_id={}", self.cursor);
                let mut socket = Socket::open(&self.events, &query).await;
                for _ in 0..takes {
                    let Ok(message) = timeout(QUIET, socket.json()).await else {
                        break;
                    };
                    let text = |member: &str| message[member].as_str().map(str::to_owned);
                    let kind = text("type").unwrap_or_default();
                    self.take_in(text("id"), &kind, text("data"));
                }
            }
            Transport::LongPoll => {
                let uri = format!("/?wait=1&last_event_id={}", self.cursor);
                let json = [("accept", "application/json")];
                // A client that gives up has seen nothing of the answer.
                let patience = Duration::from_millis(100 * takes as u64);
                let polled = async { read(ask(&self.events, &uri, &json).await).await };
                let Ok((status, document)) = timeout(patience, polled).await else {
                    return;
                };
                assert_eq!(status, 200, "{document}");
                let document: Value = serde_json::from_str(&document).unwrap();
                assert!(document.get("reset").is_none(), "{document}");
                for event in document["events"].as_array().unwrap() {
                    let text = |member: &str| event[member].as_str().map(str::to_owned);
                    self.take_in(text("id"), "", text("data"));
                }
                self.take_in(document["cursor"].as_str().map(str::to_owned), "", None);
            }
        }
    }

    fn take_in(&mut self, id: Option<String>, kind: &str, data: Option<String>) {
        assert_ne!(kind, "reset");
        if kind != "caught-up" {
            self.seen.extend(data);
        }
        if let Some(id) = id {
            self.cursor = id;
        }
    }
}

/// The `n`th event: some are another's, and some have no filter in common with their neighbour.
fn nth(n: usize) -> NewEvent {
    let new = event("a", &format!("{n}\n{}", "x".repeat(n * 37 % 400)));
    match n % 5 {
        1 => new.for_user("u1"),
        2 => new.for_user("u2"),
        _ => new,
    }
}

async fn journey(visits: &[Visit], met: &Met) -> (Vec<String>, Vec<String>) {
    let store = MemoryStore::new();
    // A ring so small that some visits are served by it, and some by the store.
    let hub = feed(EventHub::builder(store.clone()).ring(16, 1 << 20));
    settle().await;
    let cursor = hub.head().unwrap().to_string();
    let events = with_sockets(EventStream::new(hub.clone()).authorize(own));
    let mut client = Client {
        events,
        cursor,
        seen: Vec::new(),
    };
    let (mut published, mut expected) = (0, Vec::new());
    let mut publish = |many: usize| {
        for _ in 0..many {
            let new = nth(published);
            published += 1;
            if new.user() != Some("u2") {
                expected.push(new.data().to_owned());
            }
            store.append(new).unwrap();
        }
    };
    let mut before = None;
    for visit in visits {
        publish(visit.before);
        let writer = async {
            sleep(Duration::from_millis(30)).await;
            publish(visit.during);
        };
        tokio::join!(client.visit(visit.transport, visit.takes), writer);
        met.count(before.replace(visit.transport), visit.transport);
    }
    settle().await;
    for transport in TRANSPORTS.into_iter().cycle() {
        if client.seen.len() >= expected.len() {
            break;
        }
        client.visit(transport, 50).await;
    }
    let stats = hub.stats();
    met.hand_overs
        .fetch_add(stats.hand_overs as usize, Ordering::Relaxed);
    met.demotions
        .fetch_add(stats.demotions as usize, Ordering::Relaxed);
    (client.seen, expected)
}

/// What the journeys went through.
#[derive(Default)]
struct Met {
    switches: std::sync::Mutex<BTreeMap<(Transport, Transport), usize>>,
    hand_overs: AtomicUsize,
    demotions: AtomicUsize,
}

impl Met {
    fn count(&self, from: Option<Transport>, to: Transport) {
        if let Some(from) = from {
            *self.switches.lock().unwrap().entry((from, to)).or_default() += 1;
        }
    }
}

#[test]
fn nothing_is_lost_or_doubled_wherever_a_client_breaks_off_and_however_it_goes_on() {
    let met = Met::default();
    proptest!(|(visits in prop::collection::vec(visit(), 1..12))| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (seen, expected) = runtime.block_on(journey(&visits, &met));
        prop_assert_eq!(seen, expected);
    });
    let switches = met.switches.into_inner().unwrap();
    assert_eq!(switches.len(), 9, "{switches:?}");
    assert!(switches.values().all(|times| *times > 20), "{switches:?}");
    assert!(met.hand_overs.into_inner() > 50);
    assert!(met.demotions.into_inner() > 20);
}

/// After which a client that waits for another block breaks off.
const QUIET: Duration = Duration::from_millis(300);
