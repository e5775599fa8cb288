//! Whether a neighbour answers a GET.

use std::{fmt, io};

use http::{StatusCode, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::Reason;
use super::contract::Probe;
use super::error::ProbeError;
use super::observation::Observation;
use crate::config::ConfigError;

/// Makes a probe that sends a GET over plain HTTP/1.1 and passes on any 2xx: for a sidecar, a
/// neighbour in the same network, a service mesh that adds TLS by itself.
///
/// 1. Each run has a connection of its own, closed as soon as the status is known: the body is not
///    read and no redirection is followed.
/// 2. 401, 403 and 407 fail as `auth`, 408 and 504 as `timeout`, everything else that is not 2xx as
///    `failed`; viewers of details are told the number.
/// 3. There is no TLS here: for `https` URLs write a closure around the client that the host has
///    anyway, which knows its certificates and proxies too.
///
/// ```
/// use bartizan::health::{Dependency, probe};
///
/// # fn main() -> Result<(), bartizan::config::ConfigError> {
/// let proxy = Dependency::local("proxy", probe::http("http://127.0.0.1:15021/healthz/ready")?);
///
/// let refused = probe::http("https://example.com/").unwrap_err();
/// assert_eq!(refused.field(), "URL of an HTTP probe");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When `url` is no absolute `http` URL with a host, its port is not one from 1 to 65535, or it holds a user and a password.
pub fn http(url: &str) -> Result<Http, ConfigError> {
    let refuse = |fix: &'static str| {
        // One that cannot be read may hold a password anywhere before an `@`.
        let shown = if url.contains('@') { "(withheld)" } else { url };
        Err(ConfigError::new("URL of an HTTP probe", shown, fix))
    };
    let Ok(uri) = url.parse::<Uri>() else {
        return refuse("use an absolute URL, such as http://127.0.0.1:8080/healthz");
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return refuse("use an absolute URL, such as http://127.0.0.1:8080/healthz");
    };
    if authority.as_str().contains('@') {
        return refuse("leave user and password out: they would be sent in the clear");
    }
    if scheme != "http" {
        return refuse("use http, or a closure around a client that speaks TLS");
    }
    // One that is too large for a port, `http` reads as none; and 0 is where nobody listens.
    let port = match authority.as_str().rsplit_once(':') {
        Some((_, port)) if !port.is_empty() && !port.ends_with(']') => authority.port_u16(),
        _ => Some(80),
    };
    // An IPv6 address has brackets in a URL, and none where it is connected to.
    let host = authority.host().trim_matches(['[', ']']);
    let Some(port) = port.filter(|port| *port > 0 && !host.is_empty()) else {
        return refuse("name a host, and a port from 1 to 65535");
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok(Http {
        host: host.to_owned(),
        port,
        request: format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: bartizan-health\r\n\
             Accept: */*\r\nConnection: close\r\n\r\n"
        ),
    })
}

/// The probe of [`http()`].
#[derive(Clone)]
pub struct Http {
    host: String,
    port: u16,
    request: String,
}

impl Probe for Http {
    async fn check(&self) -> Result<Observation, ProbeError> {
        let mut stream = TcpStream::connect((&*self.host, self.port)).await?;
        stream.write_all(self.request.as_bytes()).await?;
        let mut seen = Vec::with_capacity(MAX_HEAD);
        loop {
            match status(&seen) {
                Head::Status(status) => return judge(status),
                Head::Unfinished if seen.len() < MAX_HEAD => {}
                Head::Unfinished | Head::Foreign => return Err(ProbeError::new(Reason::Failed)),
            }
            let room = (MAX_HEAD - seen.len()) as u64;
            if (&mut stream).take(room).read_buf(&mut seen).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

impl fmt::Debug for Http {
    /// A path may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// What the bytes that have come so far say.
#[derive(Debug, PartialEq)]
enum Head {
    Status(StatusCode),
    Unfinished,
    Foreign,
}

/// Reads the status of the first answer that is final: RFC 9110 section 15.2 lets any number of
/// interim ones come first.
fn status(mut bytes: &[u8]) -> Head {
    loop {
        let version = &bytes[..bytes.len().min(VERSION.len())];
        if !VERSION.starts_with(version) {
            return Head::Foreign;
        }
        // `HTTP/1.x NNN`, and one byte more: four digits are no status.
        let Some(line) = bytes.get(VERSION.len()..VERSION.len() + 6) else {
            return Head::Unfinished;
        };
        let [b'0'..=b'9', b' ', code @ .., b' ' | b'\r' | b'\n'] = line else {
            return Head::Foreign;
        };
        let Ok(status) = StatusCode::from_bytes(code) else {
            return Head::Foreign;
        };
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Head::Status(status);
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Head::Unfinished;
        };
        bytes = &bytes[end + 4..];
    }
}

fn judge(status: StatusCode) -> Result<Observation, ProbeError> {
    if status.is_success() {
        return Ok(Observation::new());
    }
    let reason = match status.as_u16() {
        401 | 403 | 407 => Reason::Auth,
        408 | 504 => Reason::Timeout,
        _ => Reason::Failed,
    };
    Err(ProbeError::new(reason).public(format!("answered {}", status.as_u16())))
}

const VERSION: &[u8] = b"HTTP/1.";

/// What is read before giving up: far more than a status line and a few interim answers.
const MAX_HEAD: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_the_first_final_answer_however_it_is_cut() {
        let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.0 204 None\r\n";
        let wanted = Head::Status(StatusCode::NO_CONTENT);
        let told = hints.len() - " None\r\n".len();
        for cut in 0..hints.len() {
            let seen = status(&hints[..cut]);
            assert_eq!(seen == wanted, cut > told, "{cut}: {seen:?}");
            assert_ne!(seen, Head::Foreign, "{cut}");
        }
        assert_eq!(
            status(b"HTTP/1.1 503\r\n"),
            Head::Status(StatusCode::SERVICE_UNAVAILABLE)
        );
    }

    #[test]
    fn what_is_not_http_is_told_from_what_has_not_come_yet() {
        for other in [
            &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
            b"-ERR unknown command\r\n",
            b"HTTP/2.0 200 OK\r\n",
            b"HTTP/1.1 2000 OK\r\n",
            b"HTTP/1.1  200 OK\r\n",
            b"HTTP/1.1 099 OK\r\n",
            b"\xff",
        ] {
            assert_eq!(status(other), Head::Foreign, "{other:?}");
        }
        assert_eq!(status(b""), Head::Unfinished);
        assert_eq!(status(b"HTT"), Head::Unfinished);
    }

    #[test]
    fn what_is_no_success_is_told_by_its_number_alone() {
        for (code, reason) in [
            (301, Reason::Failed),
            (401, Reason::Auth),
            (504, Reason::Timeout),
            (503, Reason::Failed),
        ] {
            let error = judge(StatusCode::from_u16(code).unwrap()).unwrap_err();
            assert_eq!(error.reason(), reason, "{code}");
            assert_eq!(
                error.public_text().unwrap().as_ref(),
                format!("answered {code}")
            );
        }
        assert!(judge(StatusCode::NO_CONTENT).is_ok());
    }

    #[test]
    fn a_url_becomes_a_request_or_is_refused_without_repeating_its_password() {
        let probe = http("http://[::1]:8080/ready?full=1").unwrap();
        assert_eq!((&*probe.host, probe.port), ("::1", 8080));
        assert!(
            probe
                .request
                .starts_with("GET /ready?full=1 HTTP/1.1\r\nHost: [::1]:8080\r\n")
        );
        let probe = http("http://neighbour").unwrap();
        assert_eq!((&*probe.host, probe.port), ("neighbour", 80));
        assert!(
            probe
                .request
                .starts_with("GET / HTTP/1.1\r\nHost: neighbour\r\n")
        );

        for url in [
            "",
            "/ready",
            "neighbour:80",
            "https://a/",
            "ftp://a/",
            "http://a:99999/",
            "http://a:0/",
            "http://:80/",
            "http://[]/",
            "http://a/\r\nx: y",
        ] {
            assert!(http(url).is_err(), "{url}");
        }
        for url in [
            "http://user:hunter2@a/",
            "https://user:hunter2@a/",
            "http://user:hunter2@a b/",
            "user:hunter2@a",
        ] {
            let refused = http(url).unwrap_err();
            assert!(
                !format!("{refused:?} {refused}").contains("hunter2"),
                "{url}"
            );
        }
    }
}
