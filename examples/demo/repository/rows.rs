//! What is kept and told, whichever database keeps it.

use std::time::SystemTime;

use bartizan::clock::Clock;
use bartizan::event_stream::NewEvent;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A transaction, as the API and the event `transaction.created` show it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub(crate) struct Transaction {
    /// Rises with each transaction.
    pub(crate) id: i64,
    /// Whose it is.
    pub(crate) user: String,
    /// Any finite number.
    pub(crate) amount: f64,
    /// What the user wrote beside it.
    pub(crate) memo: Option<String>,
    /// When it was written: RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub(crate) at: String,
}

/// An announcement, as the API and the event `announcement` show it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub(crate) struct Announcement {
    /// What is announced.
    pub(crate) text: String,
    /// When it was written: RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub(crate) at: String,
}

impl Transaction {
    /// The event that tells of it.
    pub(super) fn created(&self) -> NewEvent {
        event("transaction.created", self).for_user(self.user.as_str())
    }
}

impl Announcement {
    pub(super) fn now(text: String) -> Self {
        let at = rfc3339(Clock::new().wall());
        Self { text, at }
    }

    /// The event that tells of it.
    pub(super) fn made(&self) -> NewEvent {
        event("announcement", self)
    }
}

/// The event that tells of a change of health.
pub(super) fn changed(change: impl Serialize, at: SystemTime) -> NewEvent {
    #[derive(Serialize)]
    struct Dated<T> {
        #[serde(flatten)]
        change: T,
        at: String,
    }
    let at = rfc3339(at);
    event("health.changed", &Dated { change, at })
}

/// The balance after `amount`. Any finite amount is accepted, so a balance stops at the largest
/// number rather than becoming infinite.
pub(super) fn carry(balance: f64, amount: f64) -> f64 {
    (balance + amount).clamp(f64::MIN, f64::MAX)
}

fn event(kind: &str, data: &impl Serialize) -> NewEvent {
    NewEvent::json(kind, data).expect("rows are plain data")
}

fn rfc3339(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
