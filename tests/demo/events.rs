//! The live stream: what it carries, to whom, and what a crash costs.

use std::io::{BufRead, BufReader};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::http::{Answer, Call};
use crate::server::{DEADLINE, Demo};

/// One event, as a browser would see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: String,
}

/// An open stream, read by a thread of its own.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) head: Answer,
    events: Receiver<Event>,
}

impl Events {
    #[track_caller]
    pub(crate) fn open(call: Call) -> Self {
        let (head, body) = call.header("accept", "text/event-stream").begin();
        assert_eq!(head.status, 200, "{head:?}");
        assert!(
            head.header("content-type")
                .is_some_and(|kind| kind.starts_with("text/event-stream")),
            "{head:?}"
        );
        let (found, events) = channel();
        std::thread::spawn(move || {
            let mut event = (String::new(), String::new(), None::<String>);
            for line in BufReader::new(body).lines().map_while(Result::ok) {
                match line.split_once(": ").unwrap_or((&line, "")) {
                    ("", _) => {
                        // The id stays; a block without data is no event.
                        let (kind, data) = (std::mem::take(&mut event.1), event.2.take());
                        let id = event.0.clone();
                        if data.is_some_and(|data| found.send(Event { id, kind, data }).is_err()) {
                            return;
                        }
                    }
                    ("id", id) => id.clone_into(&mut event.0),
                    ("event", kind) => kind.clone_into(&mut event.1),
                    ("data", data) => {
                        let before = event
                            .2
                            .take()
                            .map(|before| before + "\n")
                            .unwrap_or_default();
                        event.2 = Some(before + data);
                    }
                    _ => {}
                }
            }
        });
        Self { head, events }
    }

    /// The next event, but for `caught-up`, and for what the demo says of its own health, which may
    /// suffer on a busy machine.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Event {
        self.next_of(|kind| !["caught-up", "health.changed"].contains(&kind))
    }

    /// The next change of health.
    #[track_caller]
    pub(crate) fn next_change(&mut self) -> Value {
        let change = self.next_of(|kind| kind == "health.changed");
        serde_json::from_str(&change.data).expect("JSON")
    }

    #[track_caller]
    fn next_of(&mut self, is_meant: impl Fn(&str) -> bool) -> Event {
        loop {
            let event = self.events.recv_timeout(DEADLINE).expect("an event");
            if is_meant(&event.kind) {
                return event;
            }
        }
    }

    /// The next event's data.
    #[track_caller]
    pub(crate) fn next_data(&mut self) -> Value {
        serde_json::from_str(&self.next().data).expect("JSON")
    }

    /// Waits for the end, and returns what still came.
    #[track_caller]
    pub(crate) fn rest(self) -> Vec<Event> {
        let mut rest = Vec::new();
        loop {
            match self.events.recv_timeout(DEADLINE) {
                Ok(event) => rest.push(event),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return rest,
                Err(_) => panic!("the stream stays open"),
            }
        }
    }
}

fn stream(demo: &Demo, query: &str, cookie: &str) -> Call {
    demo.get(&format!("/api/events{query}"))
        .header("cookie", cookie)
}

fn announce(demo: &Demo, text: &str) -> Value {
    let answer = demo
        .post("/api/announcements")
        .json(&json!({ "text": text }))
        .send();
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

#[test]
fn a_stream_carries_public_events_and_the_callers_own_as_they_are_written() {
    let demo = Demo::start();
    let (one, two) = (demo.session("u1"), demo.session("u2"));
    let mut of_one = Events::open(stream(&demo, "", &one));
    let mut of_nobody = Events::open(demo.get("/api/events"));
    assert!(of_one.head.header("content-security-policy").is_some());

    demo.pay(&two, 2.0);
    let row = demo.pay(&one, 1.0);
    let announced = announce(&demo, "line one\nline two\r\n");

    let event = of_one.next();
    assert_eq!(event.kind, "transaction.created");
    assert_eq!(
        serde_json::from_str::<Value>(&event.data).unwrap(),
        row,
        "the row as it was answered"
    );
    assert_eq!(of_one.next_data(), announced);
    assert_eq!(
        of_nobody.next_data(),
        announced,
        "and nobody's transaction before it"
    );
}

#[test]
fn types_and_recent_select_what_the_caller_may_see() {
    let demo = Demo::start();
    let (one, two) = (demo.session("u1"), demo.session("u2"));
    for n in 0..5 {
        demo.pay(&one, f64::from(n));
        demo.pay(&two, 100.0);
        announce(&demo, &n.to_string());
    }
    let mut recent = Events::open(stream(&demo, "?type=transaction.created&recent=3", &one));
    let amounts: Vec<_> = (0..3)
        .map(|_| recent.next_data()["amount"].clone())
        .collect();
    assert_eq!(
        amounts,
        [json!(2.0), json!(3.0), json!(4.0)],
        "the newest, oldest first"
    );
    let mut both = Events::open(stream(
        &demo,
        "?type=transaction.created,announcement&recent=4",
        &one,
    ));
    let kinds: Vec<_> = (0..4).map(|_| both.next().kind).collect();
    assert_eq!(
        kinds,
        [
            "transaction.created",
            "announcement",
            "transaction.created",
            "announcement"
        ]
    );
    let mut own = Events::open(stream(&demo, "?user=u1&recent=1000", &one));
    let own: Vec<_> = (0..5).map(|_| own.next().kind).collect();
    assert_eq!(own, vec!["transaction.created"; 5]);
    let mut public = Events::open(demo.get("/api/events?recent=1000"));
    let texts: Vec<_> = (0..5).map(|_| public.next_data()["text"].clone()).collect();
    assert_eq!(texts, ["0", "1", "2", "3", "4"]);
}

#[test]
fn a_client_that_comes_back_after_a_crash_gets_what_it_missed_once_and_in_order() {
    let mut demo = Demo::start();
    let cookie = demo.session("u1");
    let mut events = Events::open(stream(&demo, "", &cookie));
    demo.pay(&cookie, 1.0);
    let seen = events.next();
    demo.pay(&cookie, 2.0);
    announce(&demo, "before the crash");
    demo.kill_and_restart();
    // The session survives, too.
    demo.pay(&cookie, 3.0);
    for last_seen in [
        stream(&demo, "", &cookie).header("last-event-id", &seen.id),
        stream(&demo, &format!("?last_event_id={}", seen.id), &cookie),
        // As a browser does: the header says more than the query that it opened the stream with.
        stream(&demo, "?recent=50", &cookie).header("last-event-id", &seen.id),
    ] {
        let mut resumed = Events::open(last_seen);
        assert_eq!(resumed.next_data()["amount"], 2.0);
        assert_eq!(resumed.next_data()["text"], "before the crash");
        let third = resumed.next();
        assert_eq!(
            serde_json::from_str::<Value>(&third.data).unwrap()["amount"],
            3.0
        );
    }
    let mut live = Events::open(stream(&demo, "", &cookie).header("last-event-id", &seen.id));
    for _ in 0..3 {
        live.next();
    }
    demo.pay(&cookie, 4.0);
    assert_eq!(live.next_data()["amount"], 4.0);
}

#[test]
fn readers_that_come_and_go_while_others_write_see_everything_once_and_in_order() {
    let demo = Demo::start();
    let cookie = demo.session("u1");
    const WRITERS: usize = 4;
    const EACH: usize = 25;
    let mut live = Events::open(stream(&demo, "", &cookie));
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (demo, cookie) = (&demo, &cookie);
            scope.spawn(move || {
                for n in 0..EACH {
                    demo.pay(cookie, (writer * EACH + n) as f64);
                }
            });
        }
        let mut cursor = None;
        let mut seen = Vec::new();
        while seen.len() < WRITERS * EACH {
            let call = stream(&demo, "?recent=1000", &cookie);
            let mut events = Events::open(match &cursor {
                Some(cursor) => call.header("last-event-id", cursor),
                None => call,
            });
            for _ in 0..7.min(WRITERS * EACH - seen.len()) {
                let event = events.next();
                seen.push(
                    serde_json::from_str::<Value>(&event.data).unwrap()["id"]
                        .as_u64()
                        .unwrap(),
                );
                cursor = Some(event.id);
            }
        }
        let all: Vec<_> = (1..=(WRITERS * EACH) as u64).collect();
        assert_eq!(seen, all);
        let lived: Vec<_> = all
            .iter()
            .map(|_| live.next_data()["id"].as_u64().unwrap())
            .collect();
        assert_eq!(lived, all);
    });
}

#[test]
fn a_user_holds_open_no_more_streams_than_allowed() {
    let demo = Demo::with(&["--streams-per-user", "2"]);
    let (one, two) = (demo.session("u1"), demo.session("u2"));
    let first = Events::open(stream(&demo, "", &one));
    let mut second = Events::open(stream(&demo, "", &one));
    let mut third = Events::open(stream(&demo, "", &one));
    let mut other = Events::open(stream(&demo, "", &two));
    let last = first
        .rest()
        .pop()
        .expect("the oldest makes room, and says why");
    assert_eq!(last.kind, "superseded");
    announce(&demo, "still there");
    for stream in [&mut second, &mut third, &mut other] {
        assert_eq!(stream.next_data()["text"], "still there");
    }
}
