//! Sockets whose clients send anything at all.

use std::time::Duration;

use bartizan::event_stream::{EventHub, EventStream, MemoryStore};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{sleep, timeout};

use super::socket::{raw, serve, with_sockets};
use super::{event, feed, settle};

/// Bytes that are frames, or nearly.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let head = (any::<u8>(), any::<u8>()).prop_map(|(first, second)| vec![first, second]);
    let opcode = prop::sample::select(vec![0x00, 0x01, 0x02, 0x08, 0x09, 0x0a, 0x80, 0x81, 0x82]);
    let control = prop::sample::select(vec![0x88, 0x89, 0x8a]);
    // A frame with a mask, whose length may be a lie.
    let frame = (
        prop_oneof![opcode, control],
        prop::collection::vec(any::<u8>(), 0..130),
        prop_oneof![8 => Just(0_i8), 1 => -3..4_i8],
        any::<[u8; 4]>(),
    );
    let frame = frame.prop_map(|(first, payload, lie, mask)| {
        let length = payload.len() as u16;
        let mut bytes = vec![first];
        match u8::try_from(length) {
            Ok(short @ ..126) => bytes.push(0x80 | short.saturating_add_signed(lie).min(125)),
            _ => {
                bytes.push(0x80 | 126);
                bytes.extend(length.saturating_add_signed(lie.into()).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload);
        bytes
    });
    let huge = (any::<u8>(), any::<u64>()).prop_map(|(first, length)| {
        let mut bytes = vec![first, 0x80 | 127];
        bytes.extend(length.to_be_bytes());
        bytes
    });
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    let piece = prop_oneof![6 => frame, 1 => head, 1 => huge, 1 => noise];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// Sends everything, hangs up, and reads what was answered: the last frame's opcode and code.
async fn end_of(mut connection: DuplexStream, bytes: &[u8]) -> Option<u16> {
    // The other end may be closed already, which is an answer as well.
    let _ = connection.write_all(bytes).await;
    let _ = connection.shutdown().await;
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(60), connection.read_to_end(&mut answer));
    let _ = read.await.expect("it comes to an end");
    let mut code = None;
    let mut rest = &answer[..];
    // What the server sends is well-formed, and never masked.
    while let [first, second, after @ ..] = rest {
        let (length, after) = match second {
            126 => (
                usize::from(u16::from_be_bytes([after[0], after[1]])),
                &after[2..],
            ),
            127 => panic!("no piece is that long"),
            short => (usize::from(*short), after),
        };
        assert!(first & 0x70 == 0 && second & 0x80 == 0, "{answer:x?}");
        let (payload, after) = after.split_at(length);
        assert_eq!(code, None, "nothing after the close frame");
        if *first == 0x88 {
            code = Some(
                payload
                    .first_chunk()
                    .map_or(1005, |code| u16::from_be_bytes(*code)),
            );
        }
        rest = after;
    }
    code
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_hostile_conversations_end_and_leave_nothing_behind() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()));
    store.append(event("a", "before")).unwrap();
    settle().await;
    let events = with_sockets(EventStream::new(hub.clone()));
    let mut runner = TestRunner::deterministic();
    let strategy = hostile();
    let mut told = std::collections::BTreeMap::new();
    for _ in 0..10_000 {
        let bytes = strategy.new_tree(&mut runner).unwrap().current();
        let connection = raw(serve(&events, 64 * 1024)).await;
        *told
            .entry(end_of(connection, &bytes).await)
            .or_insert(0_u32) += 1;
    }
    settle().await;
    assert_eq!(hub.stats().connections, 0);
    let times = |code: u16| told.get(&Some(code)).copied().unwrap_or(0);
    // Broken frames, text that is none, messages that are too large; and some just hung up.
    assert!(times(1002) > 1000, "{told:?}");
    assert!(times(1007) > 100 && times(1009) > 100, "{told:?}");
    assert!(told.get(&None).is_some_and(|gone| *gone > 100), "{told:?}");
}

#[test]
fn what_a_client_announces_or_sends_without_end_makes_the_server_hold_little() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (hub, events) = runtime.block_on(async {
        let hub = feed(EventHub::builder(MemoryStore::new()));
        settle().await;
        let events = with_sockets(EventStream::new(hub.clone()));
        // The first connection makes what is made once.
        drop(raw(serve(&events, 4096)).await);
        settle().await;
        (hub, events)
    });
    let ping = [&b"\x89\xfd\0\0\0\0"[..], &[b'x'; 125]].concat();
    // A message that never ends, in the largest parts that there may be.
    let first = [&b"\x01\xfe\x10\x00\0\0\0\0"[..], &[b'x'; 4096]].concat();
    let empty = b"\x00\x80\0\0\0\0".repeat(1000);
    let next = [&b"\x00\xfe\x10\x00\0\0\0\0"[..], &[b'x'; 4096]].concat();
    let announced = b"\x82\xff\x00\x00\xff\xff\xff\xff\xff\xff\0\0\0\0".repeat(100);
    for (what, bytes) in [
        ("pings", ping.repeat(50)),
        ("an endless message", [first, empty, next].concat()),
        ("an announcement", announced),
    ] {
        let attack = async {
            let mut connection = raw(serve(&events, 4096)).await;
            // Nothing is read, so that answers have nowhere to go.
            let sent = async {
                for _ in 0..(4 << 20) / bytes.len() {
                    if connection.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
            };
            let _ = timeout(Duration::from_secs(20), sent).await;
            // It shows signs of life, and takes nothing.
            for _ in 0..60 {
                sleep(Duration::from_secs(1)).await;
                let _ = timeout(Duration::from_millis(1), connection.write_all(&ping)).await;
            }
            assert_eq!(hub.stats().connections, 0, "{what}");
            drop(connection);
            settle().await;
        };
        let held = allocation_counter::measure(|| runtime.block_on(attack)).bytes_max;
        assert!(held < 192 * 1024, "{what}: {held} bytes");
    }
}
