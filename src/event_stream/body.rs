//! The body of a stream: carries out what the hub decides for one connection.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::timeout;

use super::authorize::{DynAuthorize, Filter, Grant, Verdict};
use super::encode;
use super::hub::{Came, Closing, Connection, Frames, From, Question, Step};
use super::id::EventId;
use super::selector::Selector;
use crate::rand;

/// The body of an event stream over a hub. It ends when the hub ends it; its error never happens.
///
/// It holds no task, no timer and no queue: a place in the hub, and one boxed future while it reads
/// the store. Not polled, it costs the hub a few hundred bytes however much is published.
#[derive(Debug)]
pub struct EventBody {
    phase: Phase,
    connection: Connection,
    /// What it does beside waiting for news: nothing, most of the time.
    errand: Option<Box<Errand>>,
    /// What to recheck, when somebody authorised the stream.
    watch: Option<Box<Watch>>,
}

/// A stream that reads the store or asks the host. Apart, as every connection that waits would keep
/// room for it.
#[derive(Debug, Default)]
struct Errand {
    work: Option<Work>,
    /// Frames that were not sent yet.
    frames: Frames,
    /// Reads in a row that failed or brought nothing.
    fruitless: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Nothing was sent.
    Opening,
    Open,
    Ended(Closing),
}

/// What the hub asked for, under way.
struct Work {
    done: Pin<Box<dyn Future<Output = Done> + Send>>,
    /// Nothing may be written before it is done.
    quiet: bool,
}

enum Done {
    Read(From, Came),
    /// And how many revocations there had been when it was asked for.
    Verdict(Box<Watch>, Option<Verdict>, u64),
}

/// What a recheck needs: who decides, what was granted, what was asked for.
#[derive(Debug)]
pub(super) struct Watch {
    authorize: Arc<dyn DynAuthorize>,
    grant: Grant,
    /// Most ask for no less than they may have.
    asked: Option<Box<Filter>>,
}

impl Watch {
    pub(super) fn new(authorize: Arc<dyn DynAuthorize>, grant: Grant, asked: Filter) -> Self {
        Self {
            authorize,
            grant,
            asked: (asked != Filter::NONE).then(|| Box::new(asked)),
        }
    }

    /// What was asked for, under another grant.
    fn select(&self, grant: &Grant) -> Option<Selector> {
        grant.select(self.asked.as_deref().unwrap_or(&Filter::NONE))
    }
}

impl EventBody {
    pub(super) fn new(connection: Connection, watch: Option<Box<Watch>>) -> Self {
        Self {
            phase: Phase::Opening,
            connection,
            errand: None,
            watch,
        }
    }

    /// Whether it waits for the store or the host rather than for news.
    pub(super) fn is_busy(&self) -> bool {
        self.errand.as_ref().is_some_and(|it| it.work.is_some())
    }

    /// Why it has ended, if it has.
    #[allow(dead_code, reason = "only a WebSocket tells it apart")]
    pub(super) fn ended(&self) -> Option<Closing> {
        match self.phase {
            Phase::Ended(why) => Some(why),
            Phase::Opening | Phase::Open => None,
        }
    }

    /// How often it says something.
    #[allow(dead_code, reason = "only a WebSocket listens for an answer")]
    pub(super) fn keep_alive(&self) -> Duration {
        self.connection.hub.settings.keep_alive
    }

    /// The next frame, or `None` when the stream has ended.
    #[inline]
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.connection.naps(cx.waker()) {
            true => Poll::Pending,
            false => self.go_on(cx),
        }
    }

    fn go_on(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.phase {
            Phase::Open => {}
            Phase::Ended(_) => return Poll::Ready(None),
            Phase::Opening => {
                self.phase = Phase::Open;
                return Poll::Ready(Some(encode::opening(self.connection.hub.retry())));
            }
        }
        loop {
            let step = match &mut self.errand {
                None => self.connection.poll(cx.waker()),
                Some(errand) => {
                    // A stream that was revoked, or is being rechecked, does not send what it still holds.
                    let quiet = errand.work.as_ref().is_some_and(|work| work.quiet);
                    let sends = !errand.frames.is_empty() && !quiet;
                    if sends && !self.connection.with(|shard, slot| shard.holds_back(slot)) {
                        let frame = errand.frames.next();
                        self.rest();
                        return Poll::Ready(frame);
                    }
                    match errand.work.as_mut().map(|work| work.done.as_mut().poll(cx)) {
                        None => self.connection.poll(cx.waker()),
                        Some(Poll::Ready(done)) => {
                            errand.work = None;
                            self.take_in(done);
                            continue;
                        }
                        Some(Poll::Pending) => self
                            .connection
                            .with(|shard, slot| shard.poll_waiting(slot, cx.waker(), quiet)),
                    }
                }
            };
            match step {
                Step::Send(frame) => return Poll::Ready(Some(frame)),
                Step::Last(frame, replaced) => {
                    drop(replaced);
                    self.wait();
                    return Poll::Ready(Some(frame));
                }
                Step::Park(replaced) => {
                    drop(replaced);
                    self.wait();
                    return Poll::Pending;
                }
                Step::Read(question) => self.begin(self.read(*question)),
                Step::Recheck => {
                    if let Some(work) = self.recheck() {
                        self.begin(work);
                    }
                }
                Step::Close(why, cursor) => {
                    self.phase = Phase::Ended(why);
                    return Poll::Ready(Some(self.farewell(why, cursor)));
                }
            }
        }
    }

    /// Asks the store at once where only the store knows whether its log goes on from where the
    /// client stands. Answers whether it was asked: [`look`](Self::look) waits for what it says.
    pub(super) fn looks(&mut self) -> bool {
        let first = self.connection.with(|shard, slot| shard.first_read(slot));
        if let Some(question) = first {
            self.begin(self.read(question));
        }
        self.is_busy()
    }

    /// Why the client has to load its state anew, once the store has said that it has to.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped the stream goes on with the read, and tells what comes of it.
    pub(super) async fn look(&mut self) -> Option<&'static str> {
        let errand = self.errand.as_mut()?;
        let done = errand.work.as_mut()?.done.as_mut().await;
        errand.work = None;
        self.take_in(done)
    }

    /// Hands what came to the hub. Answers why the client has to load its state anew, if it has to.
    fn take_in(&mut self, done: Done) -> Option<&'static str> {
        let mut reset = None;
        let errand = self.errand.get_or_insert_default();
        match done {
            Done::Read(from, Came::Page(page, frames)) => {
                // A store that leads back is not asked as fast as it answers, either.
                let fruitless =
                    matches!(from, From::After(at) if page.next().position() <= at.position());
                errand.fruitless = if fruitless { errand.fruitless + 1 } else { 0 };
                errand.frames = frames;
                self.connection
                    .with(|shard, slot| shard.arrived(slot, &page));
            }
            Done::Read(_, Came::Gone(bounds)) => {
                // A store that says so of its own head is not asked as fast as it answers.
                errand.fruitless += 1;
                let gone = self
                    .connection
                    .with(|shard, slot| shard.gone(slot, &bounds));
                errand.frames = Frames::of([encode::reset(gone, bounds.head())].into_iter());
                reset = Some(gone);
            }
            Done::Read(_, Came::Failed) => errand.fruitless += 1,
            Done::Verdict(watch, verdict, revocations) => self.judge(watch, verdict, revocations),
        }
        self.rest();
        reset
    }

    fn begin(&mut self, work: Work) {
        self.errand.get_or_insert_default().work = Some(work);
    }

    /// Waits for news: whatever was read in vain before that is no reason to be slow afterwards.
    fn wait(&mut self) {
        if let Some(errand) = &mut self.errand {
            if errand.work.is_none() {
                errand.fruitless = 0;
                self.rest();
            }
        }
    }

    /// Keeps no room for an errand that is over.
    fn rest(&mut self) {
        self.errand = self.errand.take().filter(|errand| !errand.is_over());
    }

    /// Whether it holds frames of a page that were not sent.
    fn holds_frames(&self) -> bool {
        self.errand.as_ref().is_some_and(|it| !it.frames.is_empty())
    }

    fn read(&self, question: Question) -> Work {
        let (hub, pause) = (Arc::clone(&self.connection.hub), self.pause());
        Work::new(async move {
            let from = question.from;
            Done::Read(from, hub.reads.answer(question, pause).await)
        })
    }

    fn recheck(&mut self) -> Option<Work> {
        let watch = self.watch.take()?;
        let revocations = self.connection.hub.revocations.count();
        let mut work = Work::new(async move {
            let verdict = timeout(RECHECK, watch.authorize.recheck(&watch.grant)).await;
            Done::Verdict(watch, verdict.ok(), revocations)
        });
        work.quiet = true;
        Some(work)
    }

    /// Carries out what the host said of the stream.
    fn judge(&mut self, mut watch: Box<Watch>, verdict: Option<Verdict>, revocations: u64) {
        let replaced = match verdict {
            Some(Verdict::Keep) => {
                self.watch = Some(watch);
                return;
            }
            // What it still holds was read under the former grant: its client comes back for it.
            Some(Verdict::Replace(_)) if self.holds_frames() => return self.end(Closing::Age),
            Some(Verdict::Replace(grant)) => watch.select(&grant).map(|to| (grant, to)),
            Some(Verdict::End) => None,
            // No answer in time is no yes; nor is it a no, which would be asked for no more.
            None => return self.end(Closing::Age),
        };
        match replaced {
            Some((grant, selector)) => {
                let expires = self.connection.hub.expires(grant.lifetime());
                let who = grant.who().cloned();
                let hub = &self.connection.hub;
                let ended = self
                    .connection
                    .with(|shard, slot| shard.reselect(slot, selector, who, expires));
                drop(ended);
                let who = grant.who();
                if who.is_some_and(|who| hub.revocations.came_since(revocations, who)) {
                    self.end(Closing::Age);
                }
                watch.grant = grant;
                self.watch = Some(watch);
            }
            None => self.end(Closing::Revoked),
        }
    }

    fn end(&self, why: Closing) {
        drop(self.connection.with(|shard, slot| shard.end_one(slot, why)));
    }

    fn farewell(&self, why: Closing, cursor: Option<EventId>) -> Bytes {
        let hub = &self.connection.hub;
        let retry = match why {
            Closing::Drain | Closing::Stale => {
                rand::between(Duration::from_millis(500), hub.settings.drain_over)
            }
            Closing::Age | Closing::Revoked | Closing::Stalled | Closing::Superseded => hub.retry(),
        };
        // Frames that were not sent are behind the cursor: the client stands before them.
        let cursor = cursor.filter(|_| !self.holds_frames());
        match why {
            Closing::Superseded => encode::superseded(cursor, retry),
            _ => encode::farewell(cursor, retry),
        }
    }

    /// How long to wait before the store is asked again, after asking in vain.
    fn pause(&self) -> Duration {
        match self.errand.as_ref().map_or(0, |errand| errand.fruitless) {
            0 => Duration::ZERO,
            times => rand::jitter(FIRST_PAUSE * (1 << (times - 1).min(6)), 20),
        }
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = ready!(self.poll_next(cx));
        Poll::Ready(frame.map(|frame| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }
}

impl Errand {
    fn is_over(&self) -> bool {
        self.work.is_none() && self.frames.is_empty() && self.fruitless == 0
    }
}

impl Work {
    fn new(done: impl Future<Output = Done> + Send + 'static) -> Self {
        Self {
            done: Box::pin(done),
            quiet: false,
        }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

/// The first pause after the store was asked in vain; it doubles up to 64 times this.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How long a recheck may take.
const RECHECK: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::ResponseBody;

    #[test]
    fn a_stream_that_waits_keeps_no_room_for_what_it_does_not_do() {
        assert!(size_of::<Option<ResponseBody<EventBody>>>() <= 88);
        assert!(size_of::<Watch>() <= 112);
        assert!(size_of::<Step>() <= 64);
    }
}
