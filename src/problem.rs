//! Errors as `application/problem+json` ([RFC 9457]).
//!
//! What a layer answers by itself is a problem document: a stable `type`, a title, the status, and
//! members of that type. It never contains anything the request said.
//!
//! ```
//! use bartizan::problem::Problem;
//! use http::StatusCode;
//!
//! let response = Problem::new(StatusCode::NOT_FOUND).detail("no such order").into_response();
//! assert_eq!(response.headers()["content-type"], "application/problem+json");
//! assert_eq!(
//!     response.body(),
//!     r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no such order"}"#
//! );
//! ```
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// A problem document in the making.
#[derive(Clone, Debug)]
#[must_use = "a problem does nothing until it is turned into a response"]
pub struct Problem {
    status: StatusCode,
    kind: Cow<'static, str>,
    title: Cow<'static, str>,
    detail: Option<Cow<'static, str>>,
    members: Vec<(&'static str, Value)>,
}

impl Problem {
    /// A problem that says no more than its status code: type `about:blank`, the code's own title.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            kind: Cow::Borrowed("about:blank"),
            title: Cow::Borrowed(status.canonical_reason().unwrap_or("Error")),
            detail: None,
            members: Vec::new(),
        }
    }

    /// The URI that identifies this kind of problem, and its fixed title.
    pub fn kind(
        mut self,
        uri: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.kind = uri.into();
        self.title = title.into();
        self
    }

    /// What happened this time, for a person. Do not repeat the request's own words here.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// A further member of the document, `instance` among them; the same name again replaces its
    /// value.
    ///
    /// The members `type`, `title`, `status` and `detail` have methods of their own, and are left
    /// out here: a JSON object that names a member twice is read differently by every parser.
    pub fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if let Some(known) = self.members.iter_mut().find(|(known, _)| *known == name) {
            known.1 = value;
        } else if !OWN_MEMBERS.contains(&name) {
            self.members.push((name, value));
        }
        self
    }

    /// The response: the status, the media type, and `Cache-Control: no-store`, since RFC 6585 and
    /// common sense forbid that a cache serves one client's refusal to another.
    #[must_use]
    pub fn into_response(self) -> Response<Bytes> {
        // A map of strings and JSON values always serialises.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("title", &self.title)?;
        map.serialize_entry("status", &self.status.as_u16())?;
        if let Some(detail) = &self.detail {
            map.serialize_entry("detail", detail)?;
        }
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The members with a method of their own.
const OWN_MEMBERS: [&str; 4] = ["type", "title", "status", "detail"];

/// The media type of a problem document.
pub const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_follow_in_the_order_they_were_added() {
        let response = Problem::new(StatusCode::TOO_MANY_REQUESTS)
            .kind("https://example.com/x", "Too much")
            .member("b", 1)
            .member("a", vec!["\"quoted\""])
            .into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(
            response.body(),
            r#"{"type":"https://example.com/x","title":"Too much","status":429,"b":1,"a":["\"quoted\""]}"#
        );
    }

    #[test]
    fn no_member_is_named_twice() {
        let response = Problem::new(StatusCode::CONFLICT)
            .member("status", 200)
            .member("instance", "/1")
            .member("instance", "/2")
            .into_response();
        assert_eq!(
            response.body(),
            r#"{"type":"about:blank","title":"Conflict","status":409,"instance":"/2"}"#
        );
    }

    #[test]
    fn a_status_without_a_name_and_a_detail_with_control_bytes_are_valid_json() {
        let status = StatusCode::from_u16(599).unwrap();
        let response = Problem::new(status)
            .detail("a\"\n\u{0}</script>")
            .into_response();
        assert_eq!(response.status(), 599);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let read: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(read["title"], "Error");
        assert_eq!(read["detail"], "a\"\n\u{0}</script>");
    }
}
