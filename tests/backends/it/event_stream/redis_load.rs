//! Writers, a server that is paused and killed, and a stream that is trimmed under its readers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan::clock::Clock;
use bartizan::event_stream::{EventId, Position, RedisStore};
use server::Redis;
use tokio::time::sleep;

use super::load::{Crowd, Draw, judge, length};
use super::redis::{Store, manage};
use super::{event, until};
use crate::DEADLINE;

const WRITERS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_the_server_is_paused_and_killed() {
    let mut server = Redis::start();
    let store = RedisStore::new(manage(&server).await);
    let client = ::redis::Client::open(server.url()).unwrap();
    let crowd = Crowd::gather(store.clone().wait_at(client)).await;
    let start = crowd.start;

    let writing = write(&store, || true);
    sleep(length() / 3).await;
    server.pause();
    sleep(Duration::from_secs(1)).await;
    server.resume();
    sleep(length() / 3).await;
    server.kill();
    sleep(Duration::from_millis(300)).await;
    server.restart();
    let acknowledged = finish(&store, writing).await;
    let end = acknowledged[acknowledged.len() - 1].0;

    let (stretches, stats) = crowd.leave(end).await;
    let log = whole_log(&server, start);
    judge(&log, &stretches).unwrap();
    assert_eq!(stats.resets, 0);
    for appended in &acknowledged {
        assert!(
            log.contains(appended),
            "{appended:?} was lost by the server"
        );
    }
    assert!(stats.demotions > 0 && stats.hand_overs > 50, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_away_while_the_stream_was_trimmed_is_told_and_loses_nothing_after_that() {
    let server = Redis::start();
    // Less than a client misses that goes for a tenth of a second, and more than a batch.
    let store = RedisStore::new(manage(&server).await).keep_events(20);
    let crowd = Crowd::gather_but_none_stays(store.clone()).await;

    let hub = crowd.hub.clone();
    // A busy machine writes so little in that time that hardly anybody misses enough.
    let writing = write(&store, move || hub.stats().resets > 10);
    let mut log = finish(&store, writing).await;
    log.sort_by_key(|(id, _)| id.position());
    let end = log[log.len() - 1].0;

    let (stretches, stats) = crowd.leave(end).await;
    judge(&log, &stretches).unwrap();
    assert!(stats.resets > 10 && stats.hand_overs > 10, "{stats:?}");
}

struct Writing {
    acknowledged: Arc<Mutex<Vec<(EventId, String)>>>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

/// Lets writers write for the length of the test, and then until it is enough.
fn write(store: &Store, is_enough: impl Fn() -> bool + Clone + Send + 'static) -> Writing {
    let acknowledged = Arc::<Mutex<Vec<_>>>::default();
    let writers = (0..WRITERS).map(|writer| {
        let (store, acknowledged) = (store.clone(), Arc::clone(&acknowledged));
        let is_enough = is_enough.clone();
        tokio::spawn(async move {
            let (clock, mut draw) = (Clock::new(), Draw(writer));
            let began = clock.now();
            for n in 0_u64.. {
                let wrote = clock.now().since(began);
                if wrote > length() && (is_enough() || wrote > DEADLINE) {
                    return;
                }
                let data = format!("{writer}.{n}");
                if let Ok(id) = store.append(event(&data)).await {
                    acknowledged.lock().unwrap().push((id, data));
                }
                sleep(Duration::from_millis(draw.below(40))).await;
            }
        })
    });
    let writers = writers.collect();
    Writing {
        acknowledged,
        writers,
    }
}

async fn finish(store: &Store, writing: Writing) -> Vec<(EventId, String)> {
    for writer in writing.writers {
        writer.await.unwrap();
    }
    let end = until(|| async { store.append(event("the end")).await.ok() });
    let end = (end.await.unwrap(), "the end".to_owned());
    let mut acknowledged = std::mem::take(&mut *writing.acknowledged.lock().unwrap());
    acknowledged.push(end);
    acknowledged
}

fn whole_log(server: &Redis, start: EventId) -> Vec<(EventId, String)> {
    let entries: Vec<(String, Vec<String>)> = server
        .command(&["XRANGE", "bartizan:events", "-", "+"])
        .unwrap();
    let entries = entries.into_iter().map(|(id, fields)| {
        let (ms, number) = id.split_once('-').unwrap();
        let part = |part: &str| part.parse::<u128>().unwrap();
        let position = Position::new(part(ms) << 64 | part(number));
        let data = fields.chunks(2).find(|pair| pair[0] == "data").unwrap();
        (EventId::new(start.epoch(), position), data[1].clone())
    });
    entries.collect()
}
