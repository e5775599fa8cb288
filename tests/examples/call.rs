//! A client without any cleverness.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::example::Example;

/// What must come, comes within this.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// One request over a connection of its own.
pub(crate) async fn send(example: &Example, method: Method, path: &str) -> Response<Incoming> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", example.url))
        .body(Full::<Bytes>::default())
        .unwrap();
    timeout(DEADLINE, client.request(request))
        .await
        .unwrap()
        .unwrap()
}

pub(crate) async fn get(example: &Example, path: &str) -> Response<Incoming> {
    send(example, Method::GET, path).await
}

pub(crate) fn header<'a>(response: &'a Response<Incoming>, name: &str) -> &'a str {
    let value = response.headers().get(name);
    let value = value.unwrap_or_else(|| panic!("no {name} in {response:?}"));
    value.to_str().unwrap()
}

/// Reads on until `part` has come.
pub(crate) async fn read_until(response: &mut Response<Incoming>, part: &str) -> String {
    let mut text = String::new();
    while !text.contains(part) {
        let frame = timeout(DEADLINE, response.frame()).await.unwrap();
        let frame = frame
            .unwrap_or_else(|| panic!("ended after {text:?}"))
            .unwrap();
        text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
    }
    text
}
