//! The way of a request: what is known here, the server, and what is chosen for an outage.

use std::time::Duration;

use futures::future::join_all;
use redis::Cmd;
use redis::aio::ConnectionLike;
use smallvec::SmallVec;

use super::asked::{Asked, Group};
use super::front::{Asking, Turn};
use super::known::{Order, Reply, Step, Verdicts, passed};
use super::outage::{Outage, Unreachable};
use super::store::Shared;
use crate::backend::{Call, Deadline};
use crate::rate_limit::decision::{Decision, Verdict};
use crate::rate_limit::store::{Answer, Check, LocalStore, MemoryStore, Store};
use crate::trace::emit;

/// What comes of a request without asking.
#[derive(Debug)]
pub(super) enum AtOnce {
    Decided(Decision),
    /// What is known of each group, where the server has to be asked about one.
    Ask(FoundList),
}

/// What has become of each group of a request.
pub(super) type FoundList = SmallVec<[Found; 2]>;

/// What has become of one group.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing yet: the server is to be asked.
    Open,
    /// It passes on cells that were held here.
    Held(Verdicts),
    /// It passes on cells that were taken at the server.
    Taken(Verdicts, Reply),
    /// It does not pass, and nothing was taken.
    Refused(Verdicts),
    /// The server cannot be reached.
    Unreached,
    /// It passes as an outage is to be met.
    Waived(Verdicts),
}

impl Found {
    fn verdicts(&self) -> Option<&Verdicts> {
        match self {
            Self::Open | Self::Unreached => None,
            Self::Held(verdicts)
            | Self::Taken(verdicts, _)
            | Self::Refused(verdicts)
            | Self::Waived(verdicts) => Some(verdicts),
        }
    }
}

impl<C> Shared<C> {
    /// Decides without asking, if that can be done.
    pub(super) fn at_once(&self, asked: &Asked) -> AtOnce {
        let now = self.now();
        let found = |group: &Group| {
            if group.too_costly {
                return Found::Refused(self.front.levels(group.tag, &group.order, now.as_nanos()));
            }
            match self.front.step(group.tag, &group.order, now.as_nanos()) {
                Step::Pass(verdicts) => Found::Held(verdicts),
                Step::Refuse(verdicts) => Found::Refused(verdicts),
                Step::Ask => Found::Open,
            }
        };
        let mut found: FoundList = asked.groups.iter().map(found).collect();
        let open = |found: &Found| matches!(found, Found::Open);
        if is_refused(asked, &found) || !found.iter().any(open) {
            self.meters.known.add(1);
        } else if self.circuit.pause(now).is_none() {
            return AtOnce::Ask(found);
        } else {
            for found in found.iter_mut().filter(|found| open(found)) {
                *found = Found::Unreached;
            }
            self.meet_outage(asked, &mut found, true);
        }
        self.give_back(asked, &mut found);
        AtOnce::Decided(self.conclude(asked, &found))
    }

    /// Puts what stands for an outage in the place of what could not be reached; where that is a share of
    /// this process's own, it is charged only if asked for.
    fn meet_outage(&self, asked: &Asked, found: &mut FoundList, charge: bool) {
        let unreached = |found: &Found| matches!(found, Found::Unreached);
        if !found.iter().any(unreached) {
            return;
        }
        self.meters.outage.add(1);
        // Nothing is to be charged for a request that does not pass.
        let charge = charge && !is_refused(asked, found);
        let mut local = match (self.outage, &self.local) {
            (Outage::Local(share), Some(store)) => {
                let checks: SmallVec<[Check<'_>; 4]> = (asked.groups.iter().zip(&*found))
                    .filter(|(_, found)| unreached(found))
                    .flat_map(|(group, _)| &asked.checks[group.windows.clone()])
                    .map(|check| Check {
                        quota: check.quota.share(share.parts(), check.cost),
                        elastic: true,
                        ..*check
                    })
                    .collect();
                self.local(store, &checks, charge)
            }
            _ => SmallVec::new(),
        }
        .into_iter();
        let pause = self.circuit.pause(self.now()).unwrap_or_default();
        let wait = pause.max(MIN_WAIT);
        let groups = asked.groups.iter().zip(found.iter_mut());
        for (group, found) in groups.filter(|(_, found)| unreached(found)) {
            let verdicts = match self.outage {
                Outage::Deny if !group.shadow => {
                    *found = Found::Refused(group.all(|cells| Verdict::unavailable(cells, wait)));
                    continue;
                }
                Outage::Deny | Outage::Allow => group.all(|cells| Verdict::passed(cells, cells)),
                Outage::Local(_) => local.by_ref().take(group.windows.len()).collect(),
            };
            *found = match passed(&verdicts) {
                true => Found::Waived(verdicts),
                false => Found::Refused(verdicts),
            };
        }
    }

    /// What this process's own buckets say.
    fn local(
        &self,
        store: &MemoryStore,
        checks: &[Check<'_>],
        charge: bool,
    ) -> SmallVec<[Verdict; 4]> {
        let decision = match charge {
            false => store.peek(checks, &self.clock),
            true => match store.check(checks, &self.clock) {
                Answer::Now(decision) => decision,
                Answer::Later(never) => match never {},
            },
        };
        decision.verdicts().iter().copied().collect()
    }

    /// If the request does not pass, puts back the cells that were held here.
    fn give_back(&self, asked: &Asked, found: &mut FoundList) {
        if !is_refused(asked, found) {
            return;
        }
        let now = self.now().as_nanos();
        for (group, found) in asked.groups.iter().zip(found) {
            if matches!(found, Found::Held(_)) {
                let order = &group.order;
                self.front.give_back(group.tag, order.cells, now);
                *found = Found::Held(self.front.levels(group.tag, order, now));
            }
        }
    }

    fn conclude(&self, asked: &Asked, found: &FoundList) -> Decision {
        let now = self.now().as_nanos();
        let verdicts: SmallVec<[Verdicts; 2]> = (asked.groups.iter().zip(found))
            .map(|(group, found)| match found.verdicts() {
                Some(verdicts) => verdicts.clone(),
                None => self.front.levels(group.tag, &group.order, now),
            })
            .collect();
        asked.decision(verdicts.iter())
    }
}

impl<C> Shared<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// Asks the server about all groups that are open, and decides.
    pub(super) async fn decide(&self, asked: &Asked, mut found: FoundList) -> Decision {
        let deadline = Deadline::after(self.limit);
        let open = (asked.groups.iter().zip(&mut found))
            .filter(|(_, found)| matches!(found, Found::Open))
            .map(|(group, found)| async move { *found = self.find(group, deadline).await });
        // Together, so that they are one trip.
        join_all(open).await;
        self.meet_outage(asked, &mut found, true);
        self.give_back(asked, &mut found);
        if is_refused(asked, &found) {
            let taken = (asked.groups.iter().zip(&mut found))
                .map(|(group, found)| self.undo(group, found, deadline));
            join_all(taken).await;
        }
        self.conclude(asked, &found)
    }

    /// What it would decide, as far as the server tells, with nothing taken anywhere.
    pub(super) async fn peek(&self, asked: &Asked) -> Decision {
        let deadline = Deadline::after(self.limit);
        let looks = asked.groups.iter().map(|group| async move {
            match self
                .trip(group, &group.order.of_none(), [0, 0], deadline)
                .await
            {
                Some(reply) => Found::Waived(reply.levels(&group.order)),
                None => Found::Unreached,
            }
        });
        let mut found = join_all(looks).await.into_iter().collect();
        self.meet_outage(asked, &mut found, false);
        self.conclude(asked, &found)
    }

    /// Fills the buckets of all groups.
    pub(super) async fn reset(&self, asked: &Asked) -> Result<(), Unreachable> {
        let deadline = Deadline::after(self.limit);
        for group in &asked.groups {
            let mut connection = self.connection();
            let command = Cmd::del(group.name(&self.prefix));
            let told = deadline.bound(command.exec_async(&mut connection)).await;
            self.front.forget(group.tag);
            Unreachable::unless(told)?;
        }
        Ok(())
    }

    /// Puts `cells` back into the buckets of all groups.
    pub(super) async fn refund(&self, asked: &Asked, cells: u64) -> Result<(), Unreachable> {
        let deadline = Deadline::after(self.limit);
        for group in &asked.groups {
            let mut connection = self.connection();
            let name = group.name(&self.prefix);
            let order = &group.order;
            let told = (self.scripts).put_back(&mut connection, &name, order, cells);
            let told = deadline.bound(told).await;
            self.front.forget(group.tag);
            Unreachable::unless(told)?;
        }
        Ok(())
    }

    /// What the server says about one group, or what others have learnt from it meanwhile.
    async fn find(&self, group: &Group, deadline: Deadline) -> Found {
        if group.order.cells == 0 {
            return match self.trip(group, &group.order, [0, 0], deadline).await {
                Some(reply) => Found::Waived(reply.verdicts(&group.order)),
                None => Found::Unreached,
            };
        }
        let mut again = false;
        loop {
            let now = self.now().as_nanos();
            match self.front.turn(group.tag, &group.order, now, again) {
                Turn::Pass(verdicts) => return Found::Held(verdicts),
                Turn::Refuse(verdicts) => return Found::Refused(verdicts),
                Turn::Wait(landed) => {
                    if deadline.bound(landed).await.is_none() {
                        return Found::Unreached;
                    }
                    again = true;
                }
                Turn::Ask(asking) => return self.ask(group, asking, deadline).await,
            }
        }
    }

    async fn ask(&self, group: &Group, asking: Asking<'_>, deadline: Deadline) -> Found {
        let sent = self.now().as_nanos();
        let others = [asking.further, asking.advance];
        let Some(reply) = self.trip(group, &group.order, others, deadline).await else {
            return Found::Unreached;
        };
        asking.answered(&reply, sent, self.now().as_nanos());
        let verdicts = reply.verdicts(&group.order);
        match reply.enough {
            true => Found::Taken(verdicts, reply),
            false => Found::Refused(verdicts),
        }
    }

    /// One round trip; `None` if there is no answer in time, or none can be hoped for. `others` are the
    /// cells for others who wait, and those to take in advance.
    async fn trip(
        &self,
        group: &Group,
        order: &Order,
        others: [u64; 2],
        deadline: Deadline,
    ) -> Option<Reply> {
        let call = self.circuit.ask(self.now())?;
        let mut connection = self.connection();
        let name = group.name(&self.prefix);
        let answer = (self.scripts).take(&mut connection, &name, order, others);
        match deadline.bound(answer).await {
            Some(Ok(reply)) => {
                self.meters.answered.add(1);
                call.answered(self.now());
                Some(reply)
            }
            Some(Err(error)) => {
                self.meters.failed.add(1);
                self.failed(call);
                let kind = format!("{:?}", error.kind());
                emit!(debug, { kind = kind }, "no answer from Redis about a limit");
                None
            }
            None => {
                self.meters.late.add(1);
                self.failed(call);
                emit!(debug, {}, "Redis is too late with its answer about a limit");
                None
            }
        }
    }

    fn failed(&self, call: Call<'_>) {
        if let Some(trials) = call.failed(self.now()) {
            self.reconnect(trials);
        }
    }

    /// Takes back what a request that does not pass was given at the server. What is not undone in
    /// time stays charged.
    async fn undo(&self, group: &Group, found: &mut Found, deadline: Deadline) {
        let Found::Taken(verdicts, reply) = found else {
            return;
        };
        let order = &group.order;
        // What is known may only be too low.
        self.front.lower(group.tag, order);
        let mut connection = self.connection();
        let name = group.name(&self.prefix);
        let undone = self.scripts.undo(&mut connection, &name, order, reply);
        let _ = deadline.bound(undone).await;
        *verdicts = reply.without(order).verdicts(order);
    }
}

/// Whether an enforced group is known not to pass.
fn is_refused(asked: &Asked, found: &FoundList) -> bool {
    (asked.groups.iter().zip(found))
        .any(|(group, found)| !group.shadow && matches!(found, Found::Refused(_)))
}

/// The least that a client waits who is refused because of an outage.
const MIN_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
