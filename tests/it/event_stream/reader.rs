//! A client: reads a stream block by block, as the specification has it.
#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bartizan::body::ResponseBody;
use bartizan::event_stream::{EventBody, EventStream};
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tower::ServiceExt;

pub(super) type Answer = Response<ResponseBody<EventBody>>;

/// One block of a stream, its fields in the order of the wire.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Block {
    pub(super) id: Option<String>,
    pub(super) event: Option<String>,
    pub(super) data: Option<String>,
    pub(super) retry: Option<u64>,
}

impl Block {
    fn parse(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.lines() {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            let value = value.to_owned();
            match name {
                "id" => block.id = Some(value),
                "event" => block.event = Some(value),
                "data" => match &mut block.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(&value);
                    }
                    None => block.data = Some(value),
                },
                "retry" => block.retry = Some(value.parse().unwrap()),
                ":" => {}
                _ => panic!("an unknown field: {line:?}"),
            }
        }
        block
    }

    /// Whether it fires an event of this type.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.data.is_some() && self.event.as_deref().unwrap_or("message") == kind
    }
}

/// An open stream.
pub(super) struct Reader {
    pub(super) headers: HeaderMap,
    body: Pin<Box<ResponseBody<EventBody>>>,
    text: String,
    /// The client's last event id.
    pub(super) id: String,
    /// The largest frame so far.
    pub(super) largest: usize,
}

impl Reader {
    /// Opens a stream, which must be one.
    pub(super) async fn open(events: &EventStream, uri: &str) -> Self {
        Self::resume(events, uri, "").await
    }

    /// Opens a stream with a last event id.
    pub(super) async fn resume(events: &EventStream, uri: &str, id: &str) -> Self {
        Self::over(ask(events, uri, &[("last-event-id", id)]).await)
    }

    /// Reads a response, which must be a stream.
    pub(super) fn over(answer: Answer) -> Self {
        assert_eq!(answer.status(), 200);
        let (parts, body) = answer.into_parts();
        Self {
            headers: parts.headers,
            body: Box::pin(body),
            text: String::new(),
            id: String::new(),
            largest: 0,
        }
    }

    /// The next block, or `None` when the stream has ended.
    pub(super) async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some(block) = self.take() {
                return Some(block);
            }
            let frame = self.body.frame().await?;
            self.put(frame);
        }
    }

    /// The next block that is there without waiting.
    pub(super) fn ready(&mut self) -> Option<Block> {
        loop {
            if let Some(block) = self.take() {
                return Some(block);
            }
            match self.poll(Waker::noop()) {
                Poll::Ready(true) => {}
                _ => return None,
            }
        }
    }

    /// Polls the body once; `true` when it had something, `false` when it has ended.
    pub(super) fn poll(&mut self, waker: &Waker) -> Poll<bool> {
        let polled = self
            .body
            .as_mut()
            .poll_frame(&mut Context::from_waker(waker));
        polled.map(|frame| frame.map(|frame| self.put(frame)).is_some())
    }

    /// The next event that is fired.
    pub(super) async fn event(&mut self) -> Block {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if block.data.is_some() {
                return block;
            }
        }
    }

    /// Data of all events up to `caught-up`.
    pub(super) async fn replay(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            let event = self.event().await;
            if event.is("caught-up") {
                return found;
            }
            found.extend(event.data);
        }
    }

    /// Reads up to the end, and answers the last block.
    pub(super) async fn end(&mut self) -> Block {
        let mut last = Block::default();
        while let Some(block) = self.block().await {
            last = block;
        }
        last
    }

    fn put(&mut self, frame: Result<http_body::Frame<bytes::Bytes>, Infallible>) {
        let bytes = frame.unwrap().into_data().expect("no trailers");
        self.largest = self.largest.max(bytes.len());
        self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        assert!(self.text.ends_with("\n\n"), "a frame holds whole blocks");
    }

    fn take(&mut self) -> Option<Block> {
        let end = self.text.find("\n\n")?;
        let block = Block::parse(&self.text[..end]);
        self.text.drain(..end + 2);
        if let Some(id) = &block.id {
            self.id.clone_from(id);
        }
        Some(block)
    }
}

/// Sends a GET.
pub(super) async fn ask(events: &EventStream, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let Ok(answer) = events.clone().oneshot(request.body(()).unwrap()).await;
    answer
}

/// Status and body of an answer that is not a stream.
pub(super) async fn read(answer: Answer) -> (u16, String) {
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
