//! The endpoint: reads a request, asks who it is, opens a stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::time::timeout;
use tower_service::Service;

use super::authorize::{Again, Authorize, Denied, DynAuthorize, Grant};
use super::batch::Batch;
use super::body::{EventBody, Watch};
use super::future::ResponseFuture;
use super::head;
use super::hub::{Address, EventHub, Opening, Unavailable};
use super::id::EventId;
use super::long_poll;
use super::request::{Asked, Form, Refusal, Start};
use super::upgrade::{Switch, Upgrade};
use crate::body::ResponseBody;
use crate::problem::Problem;
use crate::rand;
use crate::request::{self, Read};
use crate::shed;

/// A tower [`Service`] that answers a request with a stream of events, or with the first of them
/// when it asks for JSON, whatever its body.
///
/// See the [module](super) for what it answers.
#[derive(Clone, Debug)]
#[must_use = "a service does nothing until it is mounted"]
pub struct EventStream {
    /// One pointer, since a server keeps a clone of the service for every connection.
    endpoint: Arc<Endpoint>,
}

#[derive(Clone, Debug)]
struct Endpoint {
    hub: EventHub,
    authorize: Option<Arc<dyn DynAuthorize>>,
    /// What a request may switch to instead of a stream.
    upgrade: Option<Arc<dyn Upgrade>>,
}

impl EventStream {
    /// Streams the public events of `hub` to everyone.
    pub fn new(hub: EventHub) -> Self {
        Self {
            endpoint: Arc::new(Endpoint {
                hub,
                authorize: None,
                upgrade: None,
            }),
        }
    }

    /// Lets `authorize` decide what each request may see, private events included.
    pub fn authorize<A: Authorize>(mut self, authorize: A) -> Self {
        Arc::make_mut(&mut self.endpoint).authorize = Some(Arc::new(authorize));
        self
    }

    /// Answers requests that ask for it by another protocol.
    #[allow(dead_code, reason = "only WebSockets are one")]
    pub(super) fn upgrade(mut self, upgrade: impl Upgrade + 'static) -> Self {
        Arc::make_mut(&mut self.endpoint).upgrade = Some(Arc::new(upgrade));
        self
    }
}

impl Endpoint {
    /// What the sender of `request` may see. The request is dropped with the question, not with the
    /// stream.
    async fn grant(&self, request: Parts) -> Result<Grant, Denied> {
        match &self.authorize {
            Some(authorize) => authorize.open(&request).await,
            None => Ok(Grant::public()),
        }
    }

    /// Opens the stream that was granted, or says why not.
    fn open(
        &self,
        caller: Caller,
        asked: Asked,
        switch: Option<Switch>,
        grant: Grant,
        revocations: u64,
    ) -> ResponseFuture {
        let Some(selector) = grant.select(&asked.filter) else {
            let detail = "the query asks for events that are not granted to the caller";
            let problem = Problem::new(StatusCode::FORBIDDEN).detail(detail);
            return ResponseFuture::ready(local(problem.into_response()));
        };
        let shared = &self.hub.shared;
        let reset = reset_of(asked.start, self.hub.head());
        if caller.head_only {
            let head = match asked.form {
                Form::Stream => head::stream(Bytes::new()),
                Form::LongPoll(_) => head::json(Bytes::new()),
            };
            return ResponseFuture::ready(local(told(head, reset)));
        }
        let opening = Opening {
            selector,
            start: asked.start,
            who: grant.who().cloned(),
            rechecks: self.authorize.is_some(),
            ages: shared.ages(),
            expires: shared.expires(grant.lifetime()),
        };
        match shared.open(opening, caller.address, revocations) {
            Ok(connection) => {
                let watch = self.authorize.as_ref().map(|authorize| {
                    let authorize = Arc::clone(authorize);
                    Box::new(Watch::new(authorize, grant, asked.filter))
                });
                let mut body = EventBody::new(connection, watch);
                let answer = |body, switch: Option<Switch>, reset| match switch {
                    Some(switch) => local(told(switch(body), reset)),
                    None => told(head::stream(ResponseBody::inner(body)), reset),
                };
                match asked.form {
                    Form::LongPoll(wait) if switch.is_none() => {
                        let batch = long_poll::gather(body, asked.start.cursor(), wait);
                        let retry = shared.settings.retry;
                        ResponseFuture::asking(async move {
                            local(document(&caller, &batch.await, retry))
                        })
                    }
                    _ if reset.is_none() && body.looks() => ResponseFuture::asking(async move {
                        let reset = timeout(LOOK, body.look()).await.ok().flatten();
                        answer(body, switch, reset)
                    }),
                    _ => ResponseFuture::ready(answer(body, switch, reset)),
                }
            }
            Err(why) => {
                let settings = &shared.settings;
                let wait = match why {
                    Unavailable::Full | Unavailable::Crowded => settings.retry * 4,
                    Unavailable::Draining => settings.drain_over,
                    Unavailable::Stale | Unavailable::Revoked => settings.retry,
                };
                ResponseFuture::ready(local(come_back(&caller, wait, why.name())))
            }
        }
    }
}

impl<B> Service<Request<B>> for EventStream {
    type Response = Response<ResponseBody<EventBody>>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let endpoint = &self.endpoint;
        let address = endpoint.hub.shared.address(&request);
        let (mut parts, _) = request.into_parts();
        let head_only = match Read::of(&parts.method) {
            Read::Get => false,
            Read::Head => true,
            Read::Options => return ResponseFuture::ready(local(request::options(ALLOW))),
            Read::Refused => {
                return ResponseFuture::ready(local(request::method_not_allowed(ALLOW)));
            }
        };
        let upgrade = endpoint.upgrade.as_ref();
        let switch = match upgrade.and_then(|it| it.read(&mut parts)).transpose() {
            Ok(switch) => switch,
            Err(refusal) => return ResponseFuture::ready(local(refusal)),
        };
        let caller = Caller {
            head_only,
            event_source: shed::is_event_source(&parts.method, &parts.headers),
            address,
        };
        let asked = match Asked::read(&parts) {
            Ok(asked) => asked,
            Err(refusal) => return ResponseFuture::ready(local(refused(&caller, refusal))),
        };
        if endpoint.authorize.is_none() {
            return endpoint.open(caller, asked, switch, Grant::public(), 0);
        }
        let endpoint = Arc::clone(endpoint);
        ResponseFuture::asking(async move {
            let revocations = endpoint.hub.shared.revocations.count();
            match endpoint.grant(parts).await {
                Ok(grant) => {
                    let opened = endpoint.open(caller, asked, switch, grant, revocations);
                    let Ok(answer) = opened.await;
                    answer
                }
                Err(denied) => local(turn_away(&caller, &denied)),
            }
        })
    }
}

/// What of a request decides the form of the answer.
#[derive(Clone, Copy, Debug)]
struct Caller {
    head_only: bool,
    event_source: bool,
    /// Whom the stream is counted under.
    address: Option<Address>,
}

/// Says in the head that the client has to load its state anew.
fn told<B>(mut response: Response<B>, reset: Option<&str>) -> Response<B> {
    if let Some(reason) = reset {
        head::reset(&mut response, reason);
    }
    response
}

/// The answer to a long-poll. Without a cursor the client could not go on: the log was never read.
fn document(caller: &Caller, batch: &Batch, retry: Duration) -> Response<Bytes> {
    if !batch.is_settled() {
        return come_back(caller, retry, "unavailable");
    }
    told(head::json(batch.to_json().into()), batch.reset())
}

/// Why the stream will start with a reset, as far as it is known without reading the store.
fn reset_of(start: Start, head: Option<EventId>) -> Option<&'static str> {
    match (start, head) {
        (Start::Unreadable, _) => Some("unreadable"),
        (Start::After(id), Some(head)) if id.epoch() != head.epoch() => Some("epoch"),
        _ => None,
    }
}

fn refused(caller: &Caller, refusal: Refusal) -> Response<Bytes> {
    match refusal {
        Refusal::Parameter(bad) => Problem::new(StatusCode::BAD_REQUEST)
            .detail(format!(
                "query parameter `{}`: expected {}",
                bad.name, bad.fix
            ))
            .member("parameter", bad.name)
            .into_response(),
        Refusal::Superseded if caller.event_source => shed::never_come_back(),
        Refusal::Superseded => Problem::new(StatusCode::CONFLICT)
            .detail(
                "a newer stream of the same user took this one's place; \
                 `cursor` of the event `superseded` is where a new one goes on",
            )
            .member("reason", "superseded")
            .into_response(),
    }
}

fn turn_away(caller: &Caller, denied: &Denied) -> Response<Bytes> {
    match denied.again {
        Again::Never if caller.event_source => shed::never_come_back(),
        Again::After(wait) => come_back(caller, wait, "unavailable"),
        Again::Never | Again::Status => Problem::new(denied.status).into_response(),
    }
}

/// Not now: in the form that the caller honours.
fn come_back(caller: &Caller, wait: Duration, reason: &'static str) -> Response<Bytes> {
    if caller.event_source {
        return shed::come_back_after(wait);
    }
    let seconds = rand::between(wait, wait.saturating_mul(2)).as_secs().max(1);
    let mut response = Problem::new(StatusCode::SERVICE_UNAVAILABLE)
        .member("reason", reason)
        .into_response();
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn local(response: Response<Bytes>) -> Response<ResponseBody<EventBody>> {
    response.map(ResponseBody::local)
}

/// How long the head of a stream may wait for what the store says of the client's cursor.
const LOOK: Duration = Duration::from_secs(1);

const ALLOW: &str = "GET, HEAD, OPTIONS";
