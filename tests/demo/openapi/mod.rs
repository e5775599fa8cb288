//! The contract, held to what happens: whatever it promises is provoked, and whatever occurs
//! meanwhile has to be in it.

use std::io::Read;
use std::sync::Mutex;

use serde_json::Value;

use self::checker::{Checker, Occurred};
use crate::http::{Answer, Call};
use crate::server::Demo;

mod checker;
mod provoke;

/// Keeps every answer that passes through it.
#[derive(Debug, Default)]
struct Record {
    answers: Mutex<Vec<Occurred>>,
    /// What was said over WebSockets.
    messages: Mutex<Vec<Value>>,
}

impl Record {
    /// Sends a call, and reads its answer to the end unless that is a stream.
    fn send(&self, call: Call) -> Answer {
        let (mut answer, mut rest) = call.clone().begin();
        let kind = answer.header("content-type");
        let whole = answer.status != 101 && kind != Some("text/event-stream");
        if whole {
            rest.read_to_end(&mut answer.body)
                .expect("the body ends well");
        }
        self.keep(&call, &answer, whole);
        answer
    }

    /// Sends a call, and leaves the body to the caller.
    fn open(&self, call: Call) -> (Answer, Box<dyn Read + Send>) {
        let (answer, rest) = call.clone().begin();
        self.keep(&call, &answer, false);
        (answer, rest)
    }

    fn keep(&self, call: &Call, answer: &Answer, whole: bool) {
        let path = call.path().split('?').next().unwrap_or_default();
        self.answers.lock().unwrap().push(Occurred {
            method: call.method().to_owned(),
            path: path.to_owned(),
            with_body: call.has_body(),
            answer: answer.clone(),
            whole,
        });
    }
}

#[test]
fn all_that_is_documented_occurs_and_all_that_occurs_is_documented() {
    let document = Demo::start().get("/openapi.json").send().json();
    let record = Record::default();
    provoke::everything(&document, &record);
    let answers = record.answers.into_inner().unwrap();
    let mut checker = Checker::new(&document);
    let mut complaints = checker.complaints(&answers);
    // But for the server's own, before any guard, and the switch of protocols.
    let guarded = |one: &&Occurred| one.path.starts_with('/') && one.answer.status != 101;
    for one in answers.iter().filter(guarded) {
        if one.answer.header("x-content-type-options").is_none() {
            let (method, path, status) = (&one.method, &one.path, one.answer.status);
            complaints.insert(format!("no security headers: {method} {path}: {status}"));
        }
    }
    let messages = record.messages.into_inner().unwrap();
    assert!(!messages.is_empty());
    for message in messages {
        let complaint = checker.complaint_of("SocketMessage", &message);
        complaints.extend(complaint.map(|complaint| format!("{message}: {complaint}")));
    }
    let complaints: Vec<_> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
