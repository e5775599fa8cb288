//! Who writes through two demos without a pause, and what each was answered.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use super::process::{Client, status};

/// Two at each demo: one of transactions, and one of announcements.
pub(super) const WRITERS: usize = 4;

/// One request to write.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) name: String,
    pub(super) is_transaction: bool,
    /// Which of the demos was asked.
    pub(super) through: usize,
    /// When it was sent and when it came to its end, in the order of all that happens.
    pub(super) sent: u64,
    pub(super) ended: u64,
    pub(super) fate: Fate,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// 201.
    Acknowledged,
    /// 429.
    Refused,
    /// Any other answer.
    Failed,
    /// The demo ended before it had answered.
    Unanswered,
}

/// What all of them have asked for, and the order in which that was.
#[derive(Debug, Default)]
pub(super) struct Record {
    writes: Mutex<Vec<Write>>,
    order: AtomicU64,
    is_over: AtomicBool,
}

impl Record {
    /// All writes up to now.
    pub(super) fn writes(&self) -> MutexGuard<'_, Vec<Write>> {
        self.writes.lock().expect("no writer panics")
    }

    /// When this is, in the order of all that happens.
    pub(super) fn now(&self) -> u64 {
        self.order.fetch_add(1, Ordering::SeqCst)
    }
}

/// Writers at work, who stop on drop.
pub(super) struct Writers {
    record: Arc<Record>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    /// Starts them. `clients` are two people, each at both demos, their own first.
    pub(super) fn start(clients: &[[Client; 2]; 2]) -> Self {
        let record = Arc::<Record>::default();
        let threads = (0..WRITERS).map(|n| {
            let (own, is_transaction) = (n % 2, n / 2 == 0);
            let (record, clients) = (Arc::clone(&record), clients[own].clone());
            spawn(move || {
                let mut sent = 0;
                while !record.is_over.load(Ordering::SeqCst) {
                    let name = format!("{n}.{sent}");
                    sent += 1;
                    // The other demo is asked while the own one is away.
                    let asked = clients.iter().zip([own, 1 - own]);
                    let written = asked.into_iter().find_map(|(client, through)| {
                        write(&record, client, &name, is_transaction, through)
                    });
                    // Still many times as often as the limit lets pass.
                    if written != Some(Fate::Acknowledged) {
                        sleep(Duration::from_millis(5));
                    }
                }
            })
        });
        let threads = threads.collect();
        Self { record, threads }
    }

    pub(super) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Lets each finish what it is at, and answers all that was written.
    pub(super) fn stop(mut self) -> Vec<Write> {
        self.record.is_over.store(true, Ordering::SeqCst);
        for writer in self.threads.drain(..) {
            writer.join().expect("no writer panics");
        }
        self.record.writes().clone()
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.record.is_over.store(true, Ordering::SeqCst);
    }
}

/// Writes once; `None` if nobody listens there.
fn write(
    record: &Record,
    client: &Client,
    name: &str,
    is_transaction: bool,
    through: usize,
) -> Option<Fate> {
    let (path, body) = match is_transaction {
        true => (
            "/api/transactions",
            format!(r#"{{"amount":1.0,"memo":"{name}"}}"#),
        ),
        false => ("/api/announcements", format!(r#"{{"text":"{name}"}}"#)),
    };
    let sent = record.now();
    let fate = match client.ask("POST", path, &body) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return None,
        Err(_) => Fate::Unanswered,
        Ok(answer) => match status(&answer) {
            Some(201) => Fate::Acknowledged,
            Some(429) => Fate::Refused,
            Some(_) => Fate::Failed,
            None => Fate::Unanswered,
        },
    };
    record.writes().push(Write {
        name: name.to_owned(),
        is_transaction,
        through,
        sent,
        ended: record.now(),
        fate,
    });
    Some(fate)
}
