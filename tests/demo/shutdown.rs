//! SIGTERM: readiness first, then the streams, then the rest.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::events::Events;
use crate::server::{Data, Demo, Process, command, wait_for, wait_within};

#[test]
fn a_shutdown_tells_readiness_first_ends_streams_and_exits_with_0() {
    let mut demo = Demo::start();
    let cookie = demo.session("u1");
    let mut streams: Vec<_> = (0..20)
        .map(|_| Events::open(demo.get("/api/events").header("cookie", &cookie)))
        .collect();
    // A connection that never sends its request must not hold up the end.
    let idle = TcpStream::connect(demo.address()).unwrap();
    demo.terminate();
    wait_for("not ready", || {
        (demo.get("/readyz").send().status == 503).then_some(())
    });
    // It still serves: what was sent to it before everyone has noticed is not lost.
    assert_eq!(demo.get("/livez").send().status, 200);
    let row = demo.pay(&cookie, 1.0);
    for stream in &mut streams {
        assert_eq!(stream.next_data(), row);
    }
    for stream in streams {
        stream.rest();
    }
    let status = wait_for("the end", || demo.exited());
    assert_eq!(status.code(), Some(0), "{}", demo.told());
    drop(idle);
}

#[test]
fn a_shutdown_while_the_database_is_locked_is_no_longer() {
    let mut demo = Demo::start();
    let locked = demo
        .post("/api/demo/lock")
        .json(&json!({"seconds": 30}))
        .send();
    assert_eq!(locked.status, 202);
    let cookie = demo.session("u1");
    let pay = demo
        .post("/api/transactions")
        .header("cookie", &cookie)
        .json(&json!({"amount": 1}));
    let mut waiting = pay.begin_slowly();
    waiting.end();
    // Connections are taken in turn, so that one is by now.
    assert_eq!(demo.get("/livez").send().status, 200);
    demo.terminate();
    waiting.finish().problem(503);
    // Before the lock is given back.
    let soon = Duration::from_secs(25);
    let status = wait_within(soon, "the end", || demo.exited());
    assert_eq!(status.code(), Some(0), "{}", demo.told());
}

#[test]
fn a_shutdown_while_it_starts_is_one_too() {
    let data = Data::new();
    // Somebody else is making the database, and takes as long as that.
    let other = rusqlite::Connection::open(data.0.join("demo.sqlite3")).unwrap();
    other.pragma_update(None, "journal_mode", "WAL").unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let starting = command()
        .args(["--listen", &address.to_string(), "--data-dir"])
        .arg(&data.0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut starting = Process(starting);
    wait_for("it listens", || TcpStream::connect(address).ok());
    starting.terminate();
    let status = wait_for("the end", || starting.exited());
    assert_eq!(status.code(), Some(0), "{status}");
    let mut told = String::new();
    let mut stdout = starting.0.stdout.take().unwrap();
    stdout.read_to_string(&mut told).unwrap();
    assert_eq!(told, "", "it has never served");
}
