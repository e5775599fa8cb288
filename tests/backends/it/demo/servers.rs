//! Two demos on one Redis alone; and a demo whose database is away.

use std::collections::HashSet;
use std::process::Command;
use std::slice;

use bartizan_process::{Directory, wait_until};
use server::{Postgres, Redis};

use super::page::{Door, Page};
use super::process::{Demo, binary};
use crate::DEADLINE;

#[test]
fn demos_on_one_redis_show_each_others_events_and_lose_none_that_was_acknowledged() {
    let redis = Redis::start();
    let url = redis.url();
    let start = || Demo::start(&["--redis-url", &url]);
    let (mut one, mut two) = (start(), start());
    // The session is opened at one, and good at both.
    let (here, there) = (one.client.clone(), one.client.at(&two));
    let pages = [&here, &there].map(|client| Page::open(slice::from_ref(client), &Door::default()));
    let mut acknowledged = Vec::new();
    for n in 0..40 {
        match n {
            10 => one.server.kill(),
            20 => one.server.restart(),
            25 => two.server.kill(),
            35 => two.server.restart(),
            _ => {}
        }
        // Whoever is refused asks the other, and for another row: where no answer came in time, the
        // first may have been written all the same.
        let clients = [&here, &there].into_iter().cycle().skip(n % 2).take(40);
        let written = clients.enumerate().find_map(|(attempt, client)| {
            let memo = format!("row {n}.{attempt}");
            let body = format!(r#"{{"amount":1.0,"memo":"{memo}"}}"#);
            let answer = client.ask("POST", "/api/transactions", &body);
            let is_written = answer.is_ok_and(|answer| answer.contains("201 Created"));
            is_written.then_some(memo)
        });
        acknowledged.push(written.expect("a row is acknowledged in the end"));
    }
    let pages = pages.map(|page| {
        let mut seen = Vec::new();
        while seen.last() != acknowledged.last() {
            seen.push(page.next().name);
        }
        seen.extend(page.rest().into_iter().map(|row| row.name));
        let distinct: HashSet<_> = seen.iter().collect();
        assert_eq!(
            distinct.len(),
            seen.len(),
            "nothing is shown twice: {seen:?}"
        );
        seen
    });
    assert_eq!(pages[0], pages[1], "one log");
    let [mut seen, _] = pages;
    seen.retain(|name| acknowledged.contains(name));
    assert_eq!(seen, acknowledged);
}

#[test]
fn a_database_that_is_away_is_told_takes_no_instance_out_and_comes_back() {
    let mut database = Postgres::start();
    let demo = Demo::start(&["--database-url", &database.url()]);
    let page = Page::open(slice::from_ref(&demo.client), &Door::default());
    let pay = || {
        demo.ask("POST", "/api/transactions", r#"{"amount":2.0}"#)
            .unwrap()
    };
    assert!(pay().contains("201 Created"));
    page.next();

    database.kill();
    let told = wait_until(DEADLINE, || {
        let health = demo.ask("GET", "/health", "").unwrap();
        health
            .contains(r#""rootCauses":["database"]"#)
            .then_some(health)
    });
    assert!(told.is_some(), "nobody says what is wrong");
    let refused = pay();
    assert!(refused.contains("503 Service Unavailable"), "{refused}");
    let ready = demo.ask("GET", "/readyz", "").unwrap();
    assert!(
        ready.contains("200 OK"),
        "another instance has no other database: {ready}"
    );

    database.restart();
    wait_until(DEADLINE, || pay().contains("201 Created").then_some(())).unwrap();
    page.next();
}

#[test]
fn a_database_that_cannot_be_reached_is_one_line_without_its_password_and_exit_status_2() {
    let url = "postgres://demo:hunter2@127.0.0.1:1/demo";
    let directory = Directory::new("demo");
    let refused = Command::new(binary())
        .args([
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            url,
            "--data-dir",
        ])
        .arg(directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(
        told.contains("--database-url") && told.contains("127.0.0.1:1"),
        "{told}"
    );
    assert_eq!(
        (told.lines().count(), told.contains("hunter2")),
        (1, false),
        "{told}"
    );
    assert!(told.to_ascii_lowercase().contains("refused"), "why: {told}");
}
