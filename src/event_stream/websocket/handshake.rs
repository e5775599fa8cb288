//! The opening handshake, [RFC 6455, 4.2]. Pure.
//!
//! [RFC 6455, 4.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use sha1::{Digest, Sha1};

use crate::problem::Problem;

/// A handshake that is as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Handshake {
    accept: HeaderValue,
}

/// What is wrong with a handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// `Connection` does not name `upgrade`.
    Connection,
    /// The version is not 13, the only one there is.
    Version,
    /// The key is not one key of 16 bytes.
    Key,
}

impl Handshake {
    /// Reads a request; `None` for one that asks for no WebSocket. One of HTTP/1.0 cannot ask for
    /// it (RFC 9110, 7.8), nor one of HTTP/2, which has no `Upgrade`.
    pub(super) fn read(request: &Parts) -> Option<Result<Self, Fault>> {
        let asks = request.method == Method::GET
            && request.version == Version::HTTP_11
            && names(&request.headers, &UPGRADE, "websocket");
        asks.then(|| Self::check(&request.headers))
    }

    fn check(headers: &HeaderMap) -> Result<Self, Fault> {
        if only(headers, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Fault::Version);
        }
        if !names(headers, &CONNECTION, "upgrade") {
            return Err(Fault::Connection);
        }
        let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(Fault::Key)?;
        if key.len() != 24 || !STANDARD.decode(key).is_ok_and(|key| key.len() == 16) {
            return Err(Fault::Key);
        }
        let digest = Sha1::new()
            .chain_update(key.as_bytes())
            .chain_update(SALT)
            .finalize();
        let accept = HeaderValue::try_from(STANDARD.encode(digest)).map_err(|_| Fault::Key)?;
        Ok(Self { accept })
    }

    /// 101: from here on the connection speaks frames.
    pub(super) fn answer(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        response
    }
}

impl Fault {
    /// 400, or 426 with the version that would work.
    pub(super) fn answer(self) -> Response<Bytes> {
        let (status, detail) = match self {
            Self::Connection => (
                StatusCode::BAD_REQUEST,
                "a WebSocket handshake has `Connection: upgrade`; a proxy may have dropped it",
            ),
            Self::Version => (
                StatusCode::UPGRADE_REQUIRED,
                "version 13 of the WebSocket protocol is the one that is spoken here",
            ),
            Self::Key => (
                StatusCode::BAD_REQUEST,
                "a WebSocket handshake has one `Sec-WebSocket-Key`: 16 bytes in base64",
            ),
        };
        let mut response = Problem::new(status).detail(detail).into_response();
        if self == Self::Version {
            let headers = response.headers_mut();
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        response
    }
}

/// Whether the list in a header has `token`.
fn names(headers: &HeaderMap, header: &HeaderName, token: &str) -> bool {
    let lines = headers.get_all(header).iter().map(HeaderValue::as_bytes);
    lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .any(|entry| entry.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The value of a header that is there once.
pub(super) fn only<'a>(headers: &'a HeaderMap, header: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(header).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// What the server shows to have understood (RFC 6455, 1.3).
const SALT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// The handshake of RFC 6455, 1.2, with some headers replaced; an empty value leaves one out.
    fn read(replaced: &[(&str, &str)]) -> Option<Result<Handshake, Fault>> {
        let mut request = Request::get("/chat")
            .header("host", "server.example.com")
            .header("upgrade", "websocket")
            .header("connection", "Upgrade")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        for (name, value) in replaced {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().remove(&name);
            for value in value.split('|').filter(|value| !value.is_empty()) {
                let value = value.parse().unwrap();
                request.headers_mut().append(&name, value);
            }
        }
        Handshake::read(&request.into_parts().0)
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        let response = read(&[]).unwrap().unwrap().answer();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["upgrade"], "websocket");
        assert_eq!(response.headers()["connection"], "upgrade");
        assert_eq!(
            response.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        for good in [
            ("upgrade", "h2c, WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("connection", "keep-alive|upgrade"),
        ] {
            assert!(matches!(read(&[good]), Some(Ok(_))), "{good:?}");
        }
    }

    #[test]
    fn what_asks_for_no_websocket_is_left_alone() {
        for upgrade in ["", "h2c", "websockets", "web socket"] {
            assert_eq!(read(&[("upgrade", upgrade)]), None, "{upgrade}");
        }
        let mut old = Request::get("/").header("upgrade", "websocket");
        old = old.version(Version::HTTP_10);
        assert_eq!(Handshake::read(&old.body(()).unwrap().into_parts().0), None);
        let post = Request::post("/").header("upgrade", "websocket");
        assert_eq!(
            Handshake::read(&post.body(()).unwrap().into_parts().0),
            None
        );
    }

    #[test]
    fn a_broken_handshake_is_told_what_is_wrong_with_it() {
        for (name, value, fault) in [
            ("connection", "", Fault::Connection),
            ("connection", "keep-alive", Fault::Connection),
            ("sec-websocket-version", "", Fault::Version),
            ("sec-websocket-version", "8", Fault::Version),
            ("sec-websocket-version", "13|13", Fault::Version),
            ("sec-websocket-version", "13, 8", Fault::Version),
            ("sec-websocket-key", "", Fault::Key),
            (
                "sec-websocket-key",
                "AAAAAAAAAAAAAAAAAAAAAA==|x",
                Fault::Key,
            ),
            ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAAA=", Fault::Key),
            ("sec-websocket-key", "!!!!!!!!!!!!!!!!!!!!!!==", Fault::Key),
            ("sec-websocket-key", "\u{e9}", Fault::Key),
        ] {
            let found = read(&[(name, value)]).unwrap();
            assert_eq!(found, Err(fault), "{name}: {value}");
            let response = fault.answer();
            let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(problem["status"], response.status().as_u16());
        }
        let outdated = Fault::Version.answer();
        assert_eq!(outdated.status(), 426);
        assert_eq!(outdated.headers()["sec-websocket-version"], "13");
        assert_eq!(outdated.headers()["upgrade"], "websocket");
    }
}
