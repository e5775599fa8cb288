//! The model's world: processes with a shard and a tailer each, one store, clients, and the steps
//! that any of them can take next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use super::client::{Awake, Client, Connection, Work};
use super::process::{Process, Tail, wake};
use super::seen::Seen;
use super::store::{Fault, Store};
use crate::event_stream::encode::{self, Encoded};
use crate::event_stream::event::NewEvent;
use crate::event_stream::hub::nap::Nap;
use crate::event_stream::hub::replay::{HandOver, deliverable, scanned};
use crate::event_stream::hub::ring::{Entry, Ring};
use crate::event_stream::hub::shard::Step;
use crate::event_stream::hub::slot::Opening;
use crate::event_stream::hub::stats::Counts;
use crate::event_stream::hub::{Frames, From, Question};
use crate::event_stream::id::EventId;
use crate::event_stream::request::Start;
use crate::event_stream::selector::Selector;
use crate::event_stream::store::Read;

/// Small numbers that only depend on the seed.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

#[derive(Debug)]
pub(super) struct World<H> {
    dice: Dice,
    pub(super) store: Store,
    processes: Vec<Process<H>>,
    pub(super) clients: Vec<Client>,
    pending: Vec<u64>,
    made: u64,
    pub(super) seen: Seen,
}

impl<H: HandOver> World<H> {
    pub(super) fn new(seed: u64, fault: Fault) -> Self {
        let mut dice = Dice(seed);
        let processes = (0..2).map(|_| Process::new(&mut dice)).collect();
        let wants = [
            Selector::public(),
            Selector::public().only_types(["a"]).only_users(["u"]),
            Selector::everything().only_topics(["t"]),
            Selector::public().only_types(["c"]),
            // As the first: the two share what they read.
            Selector::public(),
        ];
        Self {
            dice,
            store: Store::new(fault),
            processes,
            clients: wants.into_iter().map(Client::new).collect(),
            pending: Vec::new(),
            made: 0,
            seen: Seen::default(),
        }
    }

    /// One step of somebody.
    pub(super) fn step(&mut self) -> Result<(), String> {
        let client = self.dice.roll(self.clients.len() as u64) as usize;
        let process = self.dice.roll(self.processes.len() as u64) as usize;
        match self.dice.roll(100) {
            0..16 => {
                let position = self.begin();
                self.store.commit(position);
            }
            16..24 => {
                let position = self.begin();
                self.pending.push(position);
            }
            24..34 => self.finish_one(),
            34..36 => {
                self.seen.trims += 1;
                self.overtake();
                let share = self.dice.roll(5);
                self.store.trim(share);
            }
            36 => {
                self.seen.epochs += 1;
                self.overtake();
                self.pending.clear();
                self.store.replace();
            }
            37 => self.restart(process),
            38..58 => self.tail(process),
            58..62 => {
                let process = &mut self.processes[process];
                process.tick += 1;
                let mut wakers = Vec::new();
                process.shard.tick(process.tick, &mut wakers);
                wake(&process.turns, wakers);
            }
            62..66 => self.disconnect(client),
            66..84 => self.poll(client),
            _ => return self.clients[client].read(&self.store),
        }
        Ok(())
    }

    /// Lets everything finish, and checks that everybody has everything.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        while !self.pending.is_empty() {
            self.finish_one();
        }
        for round in 0.. {
            let before = self.store.reads;
            for process in 0..self.processes.len() {
                // A tailer never stops asking; two questions without news are enough.
                for _ in 0..6 {
                    self.tail(process);
                }
            }
            let tailing = self.store.reads - before;
            for client in 0..self.clients.len() {
                for _ in 0..8 {
                    self.poll(client);
                    self.clients[client].read(&self.store)?;
                }
            }
            let busy = self.store.reads - before > tailing
                || self.clients.iter().any(|client| {
                    let idle = |on: &Connection| {
                        on.work.is_none() && on.frames.is_empty() && on.socket.is_empty()
                    };
                    !client.connection.as_ref().is_some_and(idle)
                });
            let behind = self.behind();
            match (busy, behind) {
                (false, None) => break,
                (_, Some(what)) if round > 60 => return Err(what),
                (true, _) if round > 60 => return Err("a reader reads for ever".to_owned()),
                _ => {}
            }
        }
        for process in 0..self.processes.len() {
            self.count(process);
        }
        for client in &self.clients {
            self.seen.delivered += client.delivered;
            self.seen.resets += client.resets;
        }
        Ok(())
    }

    /// Who has not got everything.
    fn behind(&self) -> Option<String> {
        self.clients.iter().find_map(|client| match client.last {
            Some(last) if last.epoch() == self.store.epoch() => self
                .store
                .owes(&client.wants, last, None)
                .then(|| format!("never told what came after {last}")),
            last => Some(format!("never told of the log's epoch after {last:?}")),
        })
    }

    fn begin(&mut self) -> u64 {
        self.made += 1;
        let kind = ["a", "b", "b", "c"][self.dice.roll(4) as usize];
        let mut event = NewEvent::text(kind, self.made.to_string()).unwrap();
        if self.dice.roll(3) == 0 {
            event = event.for_user(["u", "v"][self.dice.roll(2) as usize]);
        }
        if self.dice.roll(2) == 0 {
            event = event.topic("t");
        }
        let hole = self.dice.roll(3);
        self.store.begin(event, hole)
    }

    fn finish_one(&mut self) {
        if !self.pending.is_empty() {
            let at = self.dice.roll(self.pending.len() as u64) as usize;
            let position = self.pending.swap_remove(at);
            match self.dice.roll(4) {
                0 => {
                    self.seen.roll_backs += 1;
                    self.store.roll_back(position);
                }
                _ => {
                    self.seen.late_commits += u64::from(self.store.overtaken(position));
                    self.store.commit(position);
                }
            }
        }
    }

    /// Something happens to the log while pages of it are on their way.
    fn overtake(&mut self) {
        let on = self.clients.iter().flat_map(|client| &client.connection);
        let flying = on.filter(|on| matches!(on.work, Some(Work::Came(..))));
        self.seen.pages_in_flight += flying.count() as u64;
    }

    fn restart(&mut self, process: usize) {
        self.seen.restarts += 1;
        self.count(process);
        for client in 0..self.clients.len() {
            let on = self.clients[client].connection.as_ref();
            if on.is_some_and(|on| on.process == process) {
                self.clients[client].connection = None;
            }
        }
        self.processes[process] = Process::new(&mut self.dice);
    }

    fn count(&mut self, process: usize) {
        let Counts {
            demotions,
            hand_overs,
            ..
        } = self.processes[process].shard.counts;
        self.seen.demotions += demotions;
        self.seen.hand_overs += hand_overs;
    }

    /// The tailer's next step, as `tailer.rs` takes it: what a read answers is fixed when it is
    /// asked, and taken in later.
    fn tail(&mut self, process: usize) {
        let Process {
            shard,
            turns,
            tail,
            ring,
            ..
        } = &mut self.processes[process];
        let everything = Selector::everything();
        let limit = ring.events.min(4);
        let mut wakers = Vec::new();
        *tail = match std::mem::replace(tail, Tail::Start) {
            Tail::Start => Tail::Recent(self.store.find_recent(&everything, limit)),
            Tail::Recent(page) => Tail::Bounds(page, self.store.bounds()),
            Tail::Bounds(page, log) => match Ring::primed(&page, limit, &log, *ring) {
                None => Tail::Start,
                Some(ring) => {
                    let head = ring.head();
                    shard.replace(ring, &mut wakers);
                    Tail::At(head)
                }
            },
            Tail::At(head) => Tail::Came(head, self.store.read_after(head, &everything, 5)),
            Tail::Came(_, Read::Gone(_)) => {
                self.seen.gaps += 1;
                Tail::Start
            }
            Tail::Came(head, Read::Page(page)) => {
                let next = scanned(&page);
                shard.ingest(
                    page.events().iter().cloned().map(Entry::from),
                    next.position(),
                    &mut wakers,
                );
                Tail::At(head.at_least(next.position()))
            }
        };
        wake(turns, wakers);
    }

    fn disconnect(&mut self, client: usize) {
        if let Some(on) = self.clients[client].connection.take() {
            self.seen.reconnects += 1;
            self.processes[on.process].shard.close(on.slot);
        }
    }

    fn connect(&mut self, client: usize) {
        let process = self.dice.roll(self.processes.len() as u64) as usize;
        let start = match (self.clients[client].last, self.dice.roll(12)) {
            (Some(_), 0) => {
                self.clients[client].garbled = true;
                Start::Unreadable
            }
            (Some(last), _) => Start::After(last),
            (None, roll) if roll % 2 == 0 => Start::Recent(3),
            (None, _) => Start::Head,
        };
        let client = &mut self.clients[client];
        let shard = &mut self.processes[process].shard;
        let opening = Opening {
            selector: client.wants.clone(),
            ..Opening::public(start)
        };
        let slot = shard.open(opening, &mut None);
        client.connection = Some(Connection {
            process,
            slot,
            awake: Arc::new(Awake(AtomicBool::new(true))),
            nap: None,
            work: None,
            replaying: None,
            frames: Frames::default(),
            socket: VecDeque::new(),
        });
    }

    /// The body's next step, as `body.rs` takes it, unless it sleeps or its socket is full.
    fn poll(&mut self, client: usize) {
        if self.clients[client].connection.is_none() {
            self.connect(client);
        }
        let shared = self.shared(client);
        let Some(on) = &mut self.clients[client].connection else {
            return;
        };
        let Process { shard, turns, .. } = &mut self.processes[on.process];
        if on.socket.len() >= SOCKET {
            self.seen.full_sockets += 1;
            return;
        }
        if let Some(frame) = on.frames.next() {
            on.socket.push_back(frame);
            return;
        }
        let waker = Waker::from(Arc::clone(&on.awake));
        let met = (self.seen.trims, self.seen.epochs);
        let hand_overs = shard.counts.hand_overs;
        let step = match on.work.take() {
            None if !on.awake.0.swap(false, Ordering::Relaxed) => return,
            None if on.nap.is_some_and(|nap| nap.lasts::<H>(turns, &waker)) => {
                self.seen.naps += 1;
                return;
            }
            None => {
                let step = shard.poll(on.slot, &waker);
                let parks = matches!(step, Step::Park(_) | Step::Last(..));
                on.nap = parks.then(|| Nap::new(turns, &waker));
                step
            }
            Some(Work::Came(Question { from, selector }, came)) => {
                let after = match from {
                    From::After(after) => Some(after),
                    From::Newest(_) => None,
                };
                on.frames = match came {
                    Read::Page(page) => {
                        shard.arrived(on.slot, &page);
                        let events = deliverable(&page, after, &selector).map(Encoded::from);
                        Frames::of(events.map(Encoded::into_bytes))
                    }
                    Read::Gone(bounds) => {
                        let why = shard.gone(on.slot, &bounds);
                        Frames::of([encode::reset(why, bounds.head())].into_iter())
                    }
                };
                return on.awake.0.store(true, Ordering::Relaxed);
            }
            Some(Work::Asked(question)) => {
                self.seen.shared_reads += u64::from(shared.is_some());
                let came = shared.unwrap_or_else(|| match question.from {
                    From::After(after) => {
                        let limit = 1 + self.dice.roll(3) as usize;
                        self.store.read_after(after, &question.selector, limit)
                    }
                    From::Newest(limit) => {
                        Read::Page(self.store.find_recent(&question.selector, limit))
                    }
                });
                on.work = Some(Work::Came(question, came));
                shard.poll_waiting(on.slot, &waker, false)
            }
        };
        if shard.counts.hand_overs > hand_overs {
            let before = on.replaying.take().unwrap_or(met);
            self.seen.trimmed_hand_overs += u64::from(before.0 < met.0);
            self.seen.renewed_hand_overs += u64::from(before.1 < met.1);
        }
        match step {
            Step::Park(_) => {
                let head = shard.head();
                let last = self.clients[client].last;
                let ahead = |(last, head): (EventId, EventId)| last.position() > head.position();
                self.seen.ahead += u64::from(last.zip(head).is_some_and(ahead));
                return;
            }
            Step::Send(frame) | Step::Last(frame, _) => on.socket.push_back(frame),
            Step::Read(question) => {
                on.replaying.get_or_insert(met);
                on.work = Some(Work::Asked(*question));
            }
            Step::Recheck | Step::Close(..) => unreachable!("nobody ends a stream here"),
        }
        on.awake.0.store(true, Ordering::Relaxed);
    }

    /// The page that another reader of the same process has asked for in the same words. What is
    /// gone is not shared: it may have come since the other asked.
    fn shared(&self, client: usize) -> Option<Read> {
        let asker = self.clients[client].connection.as_ref()?;
        let Some(Work::Asked(question)) = &asker.work else {
            return None;
        };
        let others = self.clients.iter().flat_map(|client| &client.connection);
        let mut same = others.filter(|on| on.process == asker.process);
        same.find_map(|on| match &on.work {
            Some(Work::Came(known, Read::Page(page))) if known == question => {
                Some(Read::Page(page.clone()))
            }
            _ => None,
        })
    }
}

/// Frames that a socket takes before the body is not polled.
const SOCKET: usize = 2;
