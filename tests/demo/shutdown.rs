//! SIGTERM: readiness first, then the streams, then the rest.

use std::time::Duration;

use serde_json::json;

use crate::events::Events;
use crate::server::{Demo, wait_for, wait_within};

#[test]
fn a_shutdown_tells_readiness_first_ends_streams_and_exits_with_0() {
    let mut demo = Demo::start();
    let cookie = demo.session("u1");
    let mut streams: Vec<_> = (0..20)
        .map(|_| Events::open(demo.get("/api/events").header("cookie", &cookie)))
        .collect();
    // A connection that never sends its request must not hold up the end.
    let idle = std::net::TcpStream::connect(demo.address()).unwrap();
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
    std::thread::scope(|scope| {
        scope.spawn(|| demo.try_pay(&cookie, 1.0).problem(503));
        std::thread::sleep(Duration::from_millis(200));
        demo.terminate();
    });
    // Before the lock is given back.
    let soon = Duration::from_secs(25);
    let status = wait_within(soon, "the end", || demo.exited());
    assert_eq!(status.code(), Some(0), "{}", demo.told());
}
