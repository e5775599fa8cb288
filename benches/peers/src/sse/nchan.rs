//! nginx with nchan, to which events are posted, as there is no other way in.
//!
//! The process that starts it hands the orders on. What it takes to post them is not counted; what it
//! takes nginx to be told of them is.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::recipe::KEEP_ALIVE;
use super::server::{Order, data};

// Where Debian has them.
const NGINX: &str = "/usr/sbin/nginx";
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const PACKAGE: &str = "libnginx-mod-nchan";

pub fn missing() -> Option<&'static str> {
    let there = [NGINX, MODULE].iter().all(|path| Path::new(path).exists());
    (!there).then_some("nginx with nchan (Debian's package libnginx-mod-nchan)")
}

/// Which nginx and which nchan are installed.
pub fn versions() -> [(&'static str, Option<String>); 2] {
    let nginx = Command::new(NGINX).arg("-v").output().ok();
    let nginx = nginx.and_then(|output| String::from_utf8(output.stderr).ok());
    let nginx = nginx.and_then(|text| Some(text.trim().split_once('/')?.1.to_owned()));
    let mut package = Command::new("dpkg-query");
    package.args(["--show", "--showformat", "${Version}", PACKAGE]);
    let nchan = package.output().ok();
    let nchan = nchan.and_then(|output| String::from_utf8(output.stdout).ok());
    let nchan = nchan.and_then(|text| Some(upstream(&text)?.to_owned()));
    [("nginx", nginx), ("nchan", nchan)]
}

/// A package's version, without what Debian puts before and behind it.
fn upstream(version: &str) -> Option<&str> {
    let version = version.rsplit(':').next()?;
    let version = version.split(['+', '-']).next()?;
    (!version.is_empty()).then_some(version)
}

/// Starts nginx, whose subscribers listen to `channels`, says its port, and posts what is ordered.
pub fn relay(channels: &str, orders: impl Iterator<Item = Order>) {
    let nginx = Nginx::start(channels);
    let mut publisher = nginx.publisher();
    // Once this is answered it has its worker, and all memory that it begins with.
    publisher.post("nobody", 1);
    println!("{}", nginx.port);
    for order in orders {
        match order {
            Order::One(user) => publisher.post(&user.to_string(), 1),
            Order::All(count) => publisher.post("all", count),
        }
    }
}

/// A master, one worker, and the directory that is theirs; they end with this.
struct Nginx {
    master: Child,
    directory: PathBuf,
    port: u16,
}

impl Nginx {
    fn start(channels: &str) -> Self {
        let name = format!("bartizan-peers-{}", process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).expect("a directory of its own");
        // It cannot say which port it was given, so it is given one that was free just now.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("a port").port();
        let config = config(&directory, port, channels);
        fs::write(directory.join("nginx.conf"), config).expect("a file");
        let master = nginx(&directory).spawn().expect("nginx starts");
        Self {
            master,
            directory,
            port,
        }
    }

    fn publisher(&self) -> Publisher {
        let path = self.directory.join("publish");
        let mut socket = UnixStream::connect(&path);
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            if socket.is_ok() {
                break;
            }
            thread::sleep(PAUSE);
            socket = UnixStream::connect(&path);
        }
        Publisher(BufReader::new(socket.expect("nginx listens")))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed, the master would leave its worker behind.
        let mut stop = nginx(&self.directory);
        // It would tell that it sends a signal.
        let stopped = stop.args(["-s", "stop"]).stderr(Stdio::null()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.master.kill();
        }
        let _ = self.master.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn nginx(directory: &Path) -> Command {
    let mut command = Command::new(NGINX);
    command
        .arg("-p")
        .arg(directory)
        .args(["-c", "nginx.conf", "-e", "stderr"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// Paths in it are those of `directory`.
fn config(directory: &Path, port: u16, channels: &str) -> String {
    format!(
        "load_module {MODULE};
daemon off;
pid nginx.pid;
error_log stderr error;
worker_processes 1;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        location = /events {{
            nchan_subscriber eventsource;
            nchan_channel_id {channels};
            nchan_subscriber_first_message newest;
            nchan_eventsource_ping_interval {keep_alive};
        }}
    }}
    server {{
        listen unix:{directory}/publish;
        keepalive_requests 1000000000;
        location = /publish {{
            nchan_publisher http;
            nchan_channel_id $arg_to;
            nchan_message_buffer_length 16384;
        }}
    }}
}}
",
        keep_alive = KEEP_ALIVE.as_secs(),
        directory = directory.display(),
    )
}

/// A connection that stays open.
struct Publisher(BufReader<UnixStream>);

impl Publisher {
    /// Posts `count` events one behind the other, and then waits for the answers, which together fit
    /// into a socket's buffer.
    fn post(&mut self, channel: &str, count: usize) {
        let data = data();
        let request = format!(
            "POST /publish?to={channel} HTTP/1.1\r\nhost: x\r\nx-eventsource-event: tick\r\ncontent-length: {}\r\n\r\n{data}",
            data.len()
        );
        let requests = request.repeat(count);
        let sent = self.0.get_mut().write_all(requests.as_bytes());
        sent.expect("nginx reads");
        for _ in 0..count {
            self.expect_created();
        }
    }

    fn expect_created(&mut self) {
        let status = self.line();
        // 201, or 202 where nobody listens.
        assert!(status.starts_with("HTTP/1.1 20"), "nginx: {status}");
        let mut length = 0;
        loop {
            let line = self.line().to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => length = value.parse().expect("a length"),
                Some(_) => {}
                None => break,
            }
        }
        let read = self.0.read_exact(&mut vec![0; length]);
        read.expect("nginx says as much as it says");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("nginx answers");
        line.trim_end().to_owned()
    }
}

/// Until it listens.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_as_its_author_does() {
        assert_eq!(upstream("1:1.3.6+dfsg-2"), Some("1.3.6"));
        assert_eq!(upstream("1.22.1-9"), Some("1.22.1"));
        assert_eq!(upstream(""), None);
    }

    /// A publisher that has been answered before it asks, and who answered.
    fn answered(answers: &str) -> (Publisher, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(answers.as_bytes()).unwrap();
        (Publisher(BufReader::new(ours)), theirs)
    }

    #[test]
    fn each_event_has_an_answer() {
        let answers = "HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\n1\r\n\
                       HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\nmore";
        let (mut publisher, mut nginx) = answered(answers);
        publisher.post("7", 2);
        assert_eq!(publisher.0.buffer(), b"more");
        drop(publisher);
        let mut asked = String::new();
        nginx.read_to_string(&mut asked).unwrap();
        assert_eq!(asked.matches("POST /publish?to=7 HTTP/1.1\r\n").count(), 2);
        assert_eq!(asked.matches(&data()).count(), 2);
    }

    #[test]
    #[should_panic(expected = "nginx: HTTP/1.1 403 Forbidden")]
    fn a_refusal_is_no_answer() {
        let (mut publisher, _nginx) = answered("HTTP/1.1 403 Forbidden\r\n\r\n");
        publisher.post("7", 1);
    }
}
