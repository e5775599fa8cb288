//! The database locked by another process, and what health says of it.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::events::Events;
use crate::http::Answer;
use crate::server::{DEADLINE, Demo, wait_for};

#[test]
fn a_locked_database_is_the_root_cause_and_recovers_without_a_restart() {
    let demo = Demo::start();
    let cookie = demo.session("u1");
    demo.pay(&cookie, 1.0);
    let other = Connection::open(demo.database()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();

    wait_for("not ready", || {
        (demo.get("/readyz").send().status == 503).then_some(())
    });
    // A busy machine may take so long over a probe that it is told as that now and then.
    let ready = wait_for("the lock is told", || {
        let ready = demo.get("/readyz?verbose").send();
        assert_eq!(ready.status, 503);
        assert!(ready.text().contains("database"), "{}", ready.text());
        ready.text().contains("locked").then_some(ready)
    });
    assert!(ready.header("retry-after").is_some());
    let health = wait_for("blocked", || {
        let health = demo.get("/health").send();
        assert_eq!(health.status, 503);
        assert_eq!(
            health.header("content-type"),
            Some("application/health+json")
        );
        health.text().contains("blocked").then_some(health)
    });
    let document = health.json();
    assert_eq!(document["rootCauses"], json!(["database"]));
    let status = wait_for("the lock is told", || {
        let status = demo.get("/api/status").send();
        assert_eq!(status.status, 503);
        let database = dependency(&status, "database");
        assert_eq!(database["status"], "fail");
        (database["reason"] == "locked").then_some(status)
    });
    let one = |name| dependency(&status, name);
    assert_eq!(
        (&one("ledger")["reason"], &one("ledger")["blockedBy"]),
        (&json!("blocked"), &json!(["database"]))
    );
    assert_eq!(one("disk")["status"], "pass");
    assert_eq!(demo.get("/livez").send().status, 200);
    for answer in [
        &health,
        &ready,
        &status,
        &demo.get("/health/database").send(),
    ] {
        let text = answer.text().to_ascii_lowercase();
        for leak in ["sqlite", "database is locked", "/tmp", ".rs"] {
            assert!(!text.contains(leak), "{leak}: {text}");
        }
    }
    // Reads go on; a write says that it was not done, and when to come again.
    assert_eq!(
        demo.get("/api/transactions")
            .header("cookie", &cookie)
            .send()
            .status,
        200
    );
    let refused = demo.try_pay(&cookie, 2.0);
    refused.problem(503);
    assert!(refused.header("retry-after").is_some());

    other.execute_batch("ROLLBACK").unwrap();
    wait_for("ready again", || {
        (demo.get("/readyz").send().status == 200).then_some(())
    });
    wait_for("all well", || {
        (demo.get("/health").send().json()["status"] == "pass").then_some(())
    });
    demo.pay(&cookie, 3.0);
}

/// What `/api/status` says of one dependency.
fn dependency(status: &Answer, name: &str) -> Value {
    let all = status.json();
    let mut all = all["dependencies"].as_array().unwrap().iter();
    all.find(|one| one["name"] == name).unwrap().clone()
}

#[test]
fn it_starts_over_a_locked_database_and_says_so() {
    let mut demo = Demo::start();
    let cookie = demo.session("u1");
    demo.pay(&cookie, 1.0);
    let other = Connection::open(demo.database()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    demo.kill_and_restart();
    assert_eq!(demo.get("/readyz").send().status, 503);
    assert_eq!(demo.get("/livez").send().status, 200);
    other.execute_batch("ROLLBACK").unwrap();
    wait_for("ready", || {
        (demo.get("/readyz").send().status == 200).then_some(())
    });
    demo.pay(&cookie, 2.0);
}

#[test]
fn the_demos_own_lock_shows_the_same() {
    let demo = Demo::start();
    let answer = demo
        .post("/api/demo/lock")
        .json(&json!({"seconds": 12}))
        .send();
    assert_eq!(answer.status, 202, "{answer:?}");
    demo.try_pay(&demo.session("u1"), 1.0).problem(503);
    wait_for("not ready", || {
        (demo.get("/readyz").send().status == 503).then_some(())
    });
    wait_for("ready again", || {
        (demo.get("/readyz").send().status == 200).then_some(())
    });
    demo.pay(&demo.session("u1"), 1.0);

    // Both changes are in the log, for everybody, although the database could not take the first.
    let mut changes = Events::open(demo.get("/api/events?type=health.changed&recent=100"));
    // A busy machine has others to tell of in between, such as a probe that took too long.
    let mut change_to = |status, reasons: Value| {
        let mut all = std::iter::repeat_with(|| changes.next_change());
        let meant = |change: &Value| change["status"] == status && change["reasons"] == reasons;
        all.find(meant).unwrap()
    };
    let failed = change_to("fail", json!(["locked"]));
    let recovered = change_to("pass", json!([]));
    assert_eq!(failed["ready"], json!(false));
    assert_eq!(failed["rootCauses"], json!(["database"]));
    assert_eq!(failed["blocked"], json!(["ledger"]));
    assert_eq!(
        (&recovered["status"], &recovered["rootCauses"]),
        (&json!("pass"), &json!([]))
    );
    let at = |change: &Value| change["at"].as_str().unwrap().to_owned();
    assert!(at(&failed) < at(&recovered), "dated when they happened");
}

#[test]
fn books_that_do_not_balance_fail_the_ledger_alone() {
    let demo = Demo::start();
    demo.pay(&demo.session("u1"), 1.0);
    let other = Connection::open(demo.database()).unwrap();
    other.busy_timeout(DEADLINE).unwrap();
    other
        .execute("UPDATE transactions SET amount = 1000000", [])
        .unwrap();
    let health = wait_for("the ledger to notice", || {
        let health = demo.get("/health").send();
        (health.json()["status"] != "pass").then(|| health.json())
    });
    assert_eq!(health["rootCauses"], json!(["ledger"]));
    assert_eq!(demo.get("/health/database").send().status, 200);
}

#[test]
fn a_database_whose_file_is_gone_takes_it_out_of_service() {
    let demo = Demo::start();
    let cookie = demo.session("u1");
    demo.pay(&cookie, 1.0);
    // SQLite goes on with a file that no longer has a name: what it takes is lost.
    for file in ["", "-wal", "-shm"] {
        let mut path = demo.database().into_os_string();
        path.push(file);
        std::fs::remove_file(path).unwrap();
    }
    let ready = wait_for("not ready", || {
        let ready = demo.get("/readyz?verbose").send();
        (ready.status == 503).then_some(ready)
    });
    assert!(ready.text().contains("database"), "{}", ready.text());
    let health = demo.get("/health").send();
    assert_eq!(health.json()["rootCauses"], json!(["database"]));
    assert_eq!(demo.get("/livez").send().status, 200);
    // There is nothing to lock, and no empty file in its place that another demo would take.
    let lock = demo.post("/api/demo/lock").json(&json!({"seconds": 1}));
    lock.send().problem(500);
    assert!(!demo.database().exists());
}
