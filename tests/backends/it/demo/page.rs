//! What a page shows of a stream.

use std::io::{self, BufRead};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

use super::process::Client;
use crate::DEADLINE;

/// A page in a browser: an `EventSource`, which reconnects by itself with the last id it has seen.
pub(super) struct Page(Receiver<Shown>);

enum Shown {
    /// The stream is open.
    Open,
    /// A transaction, or an announcement.
    Row(Row),
    /// The stream has ended, or could not be opened.
    Closed,
}

/// A transaction or an announcement, as a page shows it.
#[derive(Debug)]
pub(super) struct Row {
    /// The memo, or the text.
    pub(super) name: String,
    /// Through which of the page's demos it came.
    pub(super) via: usize,
    /// Whether the page was away when it was written.
    pub(super) is_replay: bool,
}

/// Held shut, it keeps pages that have lost their stream from coming again.
pub(super) type Door = Arc<Mutex<()>>;

impl Page {
    /// Opens it at the first of `clients`, who are one person at several demos, and waits until its
    /// stream is open. When that ends, it goes on at the next.
    #[track_caller]
    pub(super) fn open(clients: &[Client], door: &Door) -> Self {
        let (clients, door) = (clients.to_vec(), Arc::clone(door));
        let (show, shown) = channel();
        spawn(move || {
            let mut last = String::new();
            for via in (0..clients.len()).cycle() {
                let _ = follow(&clients[via], via, &mut last, &show);
                if show.send(Shown::Closed).is_err() {
                    return;
                }
                sleep(Duration::from_millis(50));
                drop(door.lock());
            }
        });
        let page = Self(shown);
        while !matches!(page.0.recv_timeout(DEADLINE), Ok(Shown::Open)) {}
        page
    }

    /// The next row that it shows.
    #[track_caller]
    pub(super) fn next(&self) -> Row {
        loop {
            if let Shown::Row(row) = self.0.recv_timeout(DEADLINE).expect("every row is shown") {
                return row;
            }
        }
    }

    /// What more it shows in the next moment.
    pub(super) fn rest(&self) -> Vec<Row> {
        sleep(Duration::from_millis(500));
        let row = |shown| match shown {
            Shown::Row(row) => Some(row),
            _ => None,
        };
        self.0.try_iter().filter_map(row).collect()
    }
}

/// Reads one stream to its end.
fn follow(client: &Client, via: usize, last: &mut String, show: &Sender<Shown>) -> io::Result<()> {
    let accept = format!("accept: text/event-stream\r\nlast-event-id: {last}\r\n");
    let mut is_replay = !last.is_empty();
    let (mut id, mut kind, mut name) = (String::new(), String::new(), None);
    for line in client.send("GET", "/api/events", &accept, "")?.lines() {
        let line = line?;
        match line.split_once(": ") {
            Some(("id", told)) => told.clone_into(&mut id),
            Some(("event", told)) => told.clone_into(&mut kind),
            Some(("data", data)) => name = name_of(&kind, data),
            // The end of a block: one that is cut off before it counts for nothing.
            None if line.is_empty() && !id.is_empty() => {
                if last.is_empty() {
                    let _ = show.send(Shown::Open);
                }
                id.clone_into(last);
                is_replay &= kind != "caught-up";
                kind.clear();
                let row = name.take().map(|name| Row {
                    name,
                    via,
                    is_replay,
                });
                let _ = row.map(|row| show.send(Shown::Row(row)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The memo of a transaction, if it has one, or the text of an announcement.
pub(super) fn name_of(kind: &str, data: &str) -> Option<String> {
    let field = match kind {
        "transaction.created" => "memo",
        "announcement" => "text",
        _ => return None,
    };
    let row: serde_json::Value = serde_json::from_str(data).ok()?;
    Some(row[field].as_str().unwrap_or_default().to_owned())
}
