//! A client as small as can be: one connection per request, nothing between a test and the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::server::DEADLINE;

/// A request to be.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    address: SocketAddr,
    method: &'static str,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    framed: bool,
}

impl Call {
    pub(crate) fn new(address: SocketAddr, method: &'static str, path: &str) -> Self {
        Self {
            address,
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            framed: false,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A body whose framing the headers already tell.
    pub(crate) fn raw_body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self.framed = true;
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn method(&self) -> &'static str {
        self.method
    }

    /// With the query.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn has_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// Sends it and reads the whole answer.
    pub(crate) fn send(self) -> Answer {
        let (mut answer, mut rest) = self.begin();
        rest.read_to_end(&mut answer.body)
            .expect("the body ends well");
        answer
    }

    /// Sends it and reads the head; the body is read by the caller as it comes.
    pub(crate) fn begin(self) -> (Answer, Box<dyn Read + Send>) {
        let mut socket = self.connect();
        socket.write_all(&self.head()).unwrap();
        // A server that refuses early may stop reading; what it said is what counts.
        let _ = socket.write_all(&self.body);
        self.answered(socket)
    }

    /// Sends all of the head but its end.
    pub(crate) fn begin_slowly(self) -> Slow {
        let mut socket = self.connect();
        let head = self.head();
        socket.write_all(&head[..head.len() - 2]).unwrap();
        Slow { call: self, socket }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).expect("the demo listens");
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    fn head(&self) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.method, self.path, self.address
        )
        .into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        if !self.body.is_empty() && !self.framed {
            head.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    fn answered(&self, socket: TcpStream) -> (Answer, Box<dyn Read + Send>) {
        let mut reader = BufReader::new(socket);
        let answer = Answer::read_head(&mut reader);
        let body: Box<dyn Read + Send> = match (self.method, answer.status) {
            ("HEAD", _) | (_, 204 | 304) => Box::new(std::io::empty()),
            _ if answer.header("transfer-encoding") == Some("chunked") => Box::new(Chunked {
                reader,
                left: 0,
                ended: false,
            }),
            _ => match answer.header("content-length") {
                Some(length) => Box::new(reader.take(length.parse().unwrap())),
                None => Box::new(reader),
            },
        };
        (answer, body)
    }
}

/// A request whose head has not ended.
#[derive(Debug)]
pub(crate) struct Slow {
    call: Call,
    socket: TcpStream,
}

impl Slow {
    /// Ends the head, and sends the body.
    pub(crate) fn end(&mut self) {
        self.socket.write_all(b"\r\n").unwrap();
        self.socket.write_all(&self.call.body).unwrap();
    }

    /// Whether something came back.
    pub(crate) fn is_answered(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let some = self.socket.peek(&mut [0]).is_ok_and(|read| read > 0);
        self.socket.set_nonblocking(false).unwrap();
        some
    }

    /// Reads the whole answer.
    pub(crate) fn finish(self) -> Answer {
        let (mut answer, mut rest) = self.call.answered(self.socket);
        rest.read_to_end(&mut answer.body)
            .expect("the body ends well");
        answer
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn read_head(reader: &mut impl BufRead) -> Self {
        let mut lines = std::iter::from_fn(|| {
            let mut line = String::new();
            reader
                .read_line(&mut line)
                .expect("an answer within the deadline");
            let line = line.trim_end();
            (!line.is_empty()).then(|| line.to_owned())
        });
        let status = lines.next().expect("a status line");
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').expect("a header line");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        Self {
            status: status.expect("a status"),
            headers: headers.collect(),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that this is a problem document of this status, and returns it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status, "{self:?}");
        problem
    }
}

/// The body of a chunked answer.
struct Chunked<R> {
    reader: R,
    left: usize,
    ended: bool,
}

impl<R: BufRead> Read for Chunked<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.ended || out.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            let mut size = String::new();
            self.reader.read_line(&mut size)?;
            self.left = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            if self.left == 0 {
                self.ended = true;
                return Ok(0);
            }
        }
        let most = out.len().min(self.left);
        let read = self.reader.read(&mut out[..most])?;
        self.left -= read;
        if self.left == 0 {
            self.reader.read_exact(&mut [0; 2])?;
        }
        Ok(read)
    }
}
