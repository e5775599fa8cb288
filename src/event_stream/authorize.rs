//! Who may see what: the host's decision, when a stream opens and while it is open.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;

use super::selector::{Names, Selector, Users};

/// Decides what a stream may see. Any `Fn(&Parts) -> Result<Grant, Denied>` is one.
///
/// # Contract
///
/// - [`open`](Self::open) is asked once for each request, before anything is sent. It may wait; it
///   may be dropped when the client goes away. It sees the request's head, so a session that an
///   outer layer put into the extensions is there.
/// - [`recheck`](Self::recheck) is asked on every keep-alive tick of every open stream, before
///   anything more is written; nothing goes out until it answers, and an answer that takes longer
///   than 10 s ends the stream. Cache what is expensive.
/// - What an attacker gains when it errs: a grant that is too wide shows private events, live and
///   from the past. Replayed events obey the same grant as live ones.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide who may see which events",
    note = "implement `Authorize`, or pass a closure `|request: &http::request::Parts| -> \
            Result<Grant, Denied>`; name the argument's type in the closure"
)]
pub trait Authorize: Send + Sync + 'static {
    /// What the sender of `request` may see.
    ///
    /// # Errors
    ///
    /// [`Denied`] turns the request away.
    fn open(&self, request: &Parts) -> impl Future<Output = Result<Grant, Denied>> + Send;

    /// Whether `grant`, given when the stream was opened or last rechecked, still holds. It does
    /// unless this is overridden.
    fn recheck(&self, grant: &Grant) -> impl Future<Output = Verdict> + Send {
        let _ = grant;
        ready(Verdict::Keep)
    }
}

impl<F> Authorize for F
where
    F: Fn(&Parts) -> Result<Grant, Denied> + Send + Sync + 'static,
{
    fn open(&self, request: &Parts) -> impl Future<Output = Result<Grant, Denied>> + Send {
        ready(self(request))
    }
}

/// What a stream may see, and for how long.
///
/// ```
/// use std::time::Duration;
/// use bartizan::event_stream::Grant;
///
/// // Public events and u1's own, for as long as the token lasts.
/// let grant = Grant::user("u1").expires_in(Duration::from_secs(600));
/// # let _ = grant;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Grant {
    who: Option<Arc<str>>,
    within: Selector,
    lifetime: Option<Duration>,
}

impl Grant {
    /// Public events only.
    pub fn public() -> Self {
        Self {
            who: None,
            within: Selector::public(),
            lifetime: None,
        }
    }

    /// Public events and those of `user`, whom [`EventHub::revoke`](super::EventHub::revoke) names.
    pub fn user(user: impl Into<Arc<str>>) -> Self {
        let user = user.into();
        Self {
            within: Selector::public().only_users([Arc::clone(&user)]),
            who: Some(user),
            lifetime: None,
        }
    }

    /// Everything, the private events of all users included: for operators.
    pub fn everything() -> Self {
        Self {
            within: Selector::everything(),
            ..Self::public()
        }
    }

    /// Adds the private events of further users: a team's, a household's.
    pub fn and_users<T: Into<Arc<str>>>(mut self, users: impl IntoIterator<Item = T>) -> Self {
        if let Users::These(known) = &self.within.users {
            let all = known
                .iter()
                .cloned()
                .chain(users.into_iter().map(Into::into));
            self.within = self.within.clone().only_users(all);
        }
        self
    }

    /// Limits the grant to `types`.
    pub fn only_types<T: Into<Arc<str>>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.within = self.within.only_types(types);
        self
    }

    /// Limits the grant to events under `topics`.
    pub fn only_topics<T: Into<Arc<str>>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.within = self.within.only_topics(topics);
        self
    }

    /// Ends the stream after `lifetime`: when the token that opened it expires. The client
    /// reconnects, and is asked again. With nothing left it shows nothing; better is to deny it.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    pub(super) fn who(&self) -> Option<&Arc<str>> {
        self.who.as_ref()
    }

    pub(super) fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// What was asked for, within what is granted; `None` when more was asked for.
    ///
    /// Asking for a user leaves public events out; asking for none means all that is granted.
    pub(super) fn select(&self, asked: &Filter) -> Option<Selector> {
        let users = match &asked.users.0 {
            None => self.within.users.clone(),
            Some(users) if users.iter().all(|user| self.within.users.contains(user)) => {
                Users::These(Arc::clone(users))
            }
            Some(_) => return None,
        };
        Some(Selector {
            types: narrow(&self.within.types, &asked.types)?,
            topics: narrow(&self.within.topics, &asked.topics)?,
            public: self.within.public && asked.users.0.is_none(),
            users,
        })
    }
}

/// The filter of a request: each list is what it names, or nothing was said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Filter {
    pub(super) types: Names,
    pub(super) topics: Names,
    pub(super) users: Names,
}

impl Filter {
    /// Asks for all that is granted.
    pub(super) const NONE: Self = Self {
        types: Names::ANY,
        topics: Names::ANY,
        users: Names::ANY,
    };
}

fn narrow(granted: &Names, asked: &Names) -> Option<Names> {
    match &asked.0 {
        None => Some(granted.clone()),
        Some(names) if names.iter().all(|name| granted.contains(Some(name))) => Some(asked.clone()),
        Some(_) => None,
    }
}

/// Why a request gets no stream.
#[derive(Clone, Debug)]
#[must_use]
pub struct Denied {
    pub(super) status: StatusCode,
    pub(super) again: Again,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Again {
    /// The status, to everyone. A browser's `EventSource` gives up on it and fires `error`.
    Status,
    /// 204 to an `EventSource`, which then never comes back.
    Never,
    /// A stream that says when to come back and ends, to an `EventSource`.
    After(Duration),
}

impl Denied {
    /// 401: nobody is logged in.
    pub fn unauthorized() -> Self {
        Self::with(StatusCode::UNAUTHORIZED, Again::Status)
    }

    /// 403: who is logged in may not have this.
    pub fn forbidden() -> Self {
        Self::with(StatusCode::FORBIDDEN, Again::Status)
    }

    /// 204 for a browser's `EventSource`, which takes it as: never come back. 403 for others.
    pub fn for_good() -> Self {
        Self::with(StatusCode::FORBIDDEN, Again::Never)
    }

    /// Not now, as when the session store is down: an `EventSource` comes back after `wait`, others
    /// get a 503.
    pub fn for_now(wait: Duration) -> Self {
        Self::with(StatusCode::SERVICE_UNAVAILABLE, Again::After(wait))
    }

    fn with(status: StatusCode, again: Again) -> Self {
        Self { status, again }
    }
}

/// What a recheck says of an open stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes on as it is.
    Keep,
    /// It goes on under another grant, narrower or wider, from the next event on; a stream that still
    /// holds what was read under the former one ends instead, and its client comes back for that. What the
    /// request asked for stays; if that is more than the new grant allows, the stream ends as revoked.
    Replace(Grant),
    /// It ends. A client that reconnects is asked again.
    End,
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Authorize`], erased: a box when a stream opens and one on each keep-alive tick.
pub(super) trait DynAuthorize: Send + Sync {
    fn open<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Grant, Denied>>;
    fn recheck<'a>(&'a self, grant: &'a Grant) -> BoxFuture<'a, Verdict>;
}

impl<A: Authorize> DynAuthorize for A {
    fn open<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Grant, Denied>> {
        Box::pin(Authorize::open(self, request))
    }

    fn recheck<'a>(&'a self, grant: &'a Grant) -> BoxFuture<'a, Verdict> {
        Box::pin(Authorize::recheck(self, grant))
    }
}

impl fmt::Debug for dyn DynAuthorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(types: Option<&[&str]>, users: Option<&[&str]>) -> Filter {
        let names = |list: Option<&[&str]>| {
            list.map_or(Names::ANY, |names| Names::only(names.iter().copied()))
        };
        Filter {
            types: names(types),
            topics: Names::ANY,
            users: names(users),
        }
    }

    #[test]
    fn nobody_gets_more_than_was_granted() {
        let grant = Grant::user("u1").only_types(["a", "b"]);
        let all = grant.select(&asked(None, None)).unwrap();
        assert_eq!(all.types().map(<[_]>::len), Some(2));
        assert!(all.includes_public());
        assert!(grant.select(&asked(Some(&["a"]), None)).is_some());
        assert!(grant.select(&asked(Some(&["a", "c"]), None)).is_none());
        assert!(grant.select(&asked(None, Some(&["u2"]))).is_none());
        assert!(grant.select(&asked(None, Some(&["u1", "u2"]))).is_none());
        assert!(
            Grant::public()
                .select(&asked(None, Some(&["u1"])))
                .is_none()
        );
    }

    #[test]
    fn asking_for_a_user_leaves_public_events_out() {
        let own = Grant::user("u1")
            .select(&asked(None, Some(&["u1"])))
            .unwrap();
        assert!(!own.includes_public());
        let team = Grant::user("u1").and_users(["u2"]);
        assert!(team.select(&asked(None, Some(&["u2"]))).is_some());
        let operator = Grant::everything();
        assert!(operator.select(&asked(None, Some(&["anyone"]))).is_some());
    }
}
