//! A crowd of clients on the demo's event stream, and somebody who publishes: does each hear everything?
//!
//! `crowd ADDRESS PID CLIENTS PER_SECOND SECONDS` connects, publishes for a while, asks the demo to stop
//! by SIGTERM and publishes on. Whoever runs this starts the demo again on its data; the clients come
//! back when they were told to, from where they were. It ends once everyone is back and has heard the last event,
//! prints one line, and exits with 1 if an event that was acknowledged did not arrive, or one arrived twice.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{interval, sleep, timeout};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let told = LocalSet::new().run_until(run(&args)).await;
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("crowd: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all went well.
async fn run(args: &[String]) -> Result<bool, Failure> {
    let [_, address, pid, clients, per_second, seconds] = args else {
        return Err("usage: crowd ADDRESS PID CLIENTS PER_SECOND SECONDS".into());
    };
    let demo = Pid::from_raw(pid.parse()?).ok_or("0 is no process")?;
    let crowd = Rc::new(Crowd {
        address: address.clone(),
        door: Semaphore::new(100),
        clients: (0..clients.parse()?).map(|_| Client::default()).collect(),
    });
    for number in 0..crowd.clients.len() {
        let crowd = Rc::clone(&crowd);
        spawn_local(async move { crowd.clients[number].stay(&crowd).await });
    }
    crowd
        .all("connected", |client| client.opened.get() > 0)
        .await?;

    let mut publisher = Publisher::new(address, per_second.parse()?);
    publisher.publish_for(seconds.parse()?).await;
    kill_process(demo, Signal::TERM)?;
    // It takes requests for a while, then none until it is back.
    let everyone_is_back = crowd.all("back", |client| client.opened.get() > 1);
    tokio::select! {
        back = everyone_is_back => back?,
        () = publisher.publish() => {}
    }
    publisher.publish_for(1).await;

    let last = publisher
        .acknowledged
        .last()
        .copied()
        .ok_or("nothing was published")?;
    // Who does not hear it counts as having lost it.
    let _ = crowd
        .all("heard the last", |client| client.next.get() > last)
        .await;
    Ok(tell(&crowd, &publisher.acknowledged))
}

fn tell(crowd: &Crowd, acknowledged: &[u64]) -> bool {
    let sum = |of: &dyn Fn(&Client) -> usize| crowd.clients.iter().map(of).sum::<usize>();
    let delivered = sum(&|client| client.heard.get());
    let twice = sum(&|client| client.twice.get());
    let cut = sum(&|client| client.cut.get());
    let lost = sum(&|client| {
        let missed = client.missed.borrow();
        let lost = |number: &&u64| **number >= client.next.get() || missed.contains(number);
        acknowledged.iter().filter(lost).count()
    });
    println!(
        "{} clients, {} events, {delivered} deliveries: {lost} lost, {twice} twice, {cut} streams cut",
        crowd.clients.len(),
        acknowledged.len(),
    );
    lost == 0 && twice == 0 && cut == 0
}

/// Everyone who listens.
struct Crowd {
    address: String,
    /// A listener's queue is short: so many connect at once.
    door: Semaphore,
    clients: Vec<Client>,
}

impl Crowd {
    async fn all(&self, what: &str, done: impl Fn(&Client) -> bool) -> Result<(), Failure> {
        let all = self.clients.len();
        let count = || self.clients.iter().filter(|client| done(client)).count();
        let waited = timeout(PATIENCE, async {
            while count() < all {
                sleep(Duration::from_millis(20)).await;
            }
        });
        let told = |_| format!("after {PATIENCE:?} only {} of {all} are {what}", count());
        Ok(waited.await.map_err(told)?)
    }
}

/// What one of them has heard.
#[derive(Default)]
struct Client {
    /// Streams, one after the other.
    opened: Cell<usize>,
    /// Those that broke rather than ended.
    cut: Cell<usize>,
    heard: Cell<usize>,
    twice: Cell<usize>,
    /// The number after the last that was heard, and those before it that were not.
    next: Cell<u64>,
    missed: RefCell<Vec<u64>>,
    cursor: RefCell<Option<String>>,
    retry: Cell<Duration>,
}

impl Client {
    /// As an `EventSource` does: listens, and comes back when and from where it was told to.
    async fn stay(&self, crowd: &Crowd) {
        loop {
            if let Ok(stream) = self.open(crowd).await {
                self.opened.set(self.opened.get() + 1);
                if self.listen(stream).await.is_err() {
                    self.cut.set(self.cut.get() + 1);
                }
            }
            sleep(self.retry.get().max(Duration::from_millis(200))).await;
        }
    }

    async fn open(&self, crowd: &Crowd) -> Result<hyper::body::Incoming, Failure> {
        let _turn = crowd.door.acquire().await?;
        let mut request = Request::get("/api/events?type=announcement")
            .header("host", &crowd.address)
            .header("accept", "text/event-stream");
        if let Some(cursor) = &*self.cursor.borrow() {
            request = request.header("last-event-id", cursor);
        }
        let request = request.body(Full::default())?;
        let response = connect(&crowd.address).await?.send_request(request).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(format!("a stream was answered {status}").into()),
        }
    }

    async fn listen(&self, mut stream: hyper::body::Incoming) -> Result<(), Failure> {
        let mut text = String::new();
        while let Some(frame) = stream.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            text.push_str(std::str::from_utf8(&data)?);
            while let Some(end) = text.find("\n\n") {
                text[..end].lines().for_each(|line| self.take(line));
                text.drain(..end + 2);
            }
        }
        Ok(())
    }

    fn take(&self, line: &str) {
        if let Some(cursor) = line.strip_prefix("id: ") {
            *self.cursor.borrow_mut() = Some(cursor.to_owned());
        } else if let Some(Ok(retry)) = line.strip_prefix("retry: ").map(str::parse) {
            self.retry.set(Duration::from_millis(retry));
        } else if let Some(number) = line.strip_prefix("data: ").and_then(number_in) {
            let next = self.next.get();
            if number < next {
                self.twice.set(self.twice.get() + 1);
                return;
            }
            self.missed.borrow_mut().extend(next..number);
            self.next.set(number + 1);
            self.heard.set(self.heard.get() + 1);
        }
    }
}

/// Whoever publishes announcements, each with the next number for its text.
struct Publisher {
    address: String,
    every: Duration,
    connection: Option<SendRequest<Full<Bytes>>>,
    next: u64,
    acknowledged: Vec<u64>,
}

impl Publisher {
    fn new(address: &str, per_second: u32) -> Self {
        Self {
            address: address.to_owned(),
            every: Duration::from_secs(1) / per_second,
            connection: None,
            next: 0,
            acknowledged: Vec::new(),
        }
    }

    async fn publish_for(&mut self, seconds: u64) {
        let _ = timeout(Duration::from_secs(seconds), self.publish()).await;
    }

    /// A number that is not acknowledged is used no more: nobody knows whether it was written.
    async fn publish(&mut self) {
        let mut beat = interval(self.every);
        loop {
            beat.tick().await;
            let number = self.next;
            self.next += 1;
            match self.say(number).await {
                Ok(()) => self.acknowledged.push(number),
                Err(_) => self.connection = None,
            }
        }
    }

    async fn say(&mut self, number: u64) -> Result<(), Failure> {
        // Out of its place, so that a call which is given up leaves no connection that is half used.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.address).await?,
        };
        connection.ready().await?;
        let request = Request::post("/api/announcements")
            .header("host", &self.address)
            .header("content-type", "application/json")
            .body(Full::from(format!("{{\"text\":\"{number}\"}}")))?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        if status != StatusCode::CREATED {
            return Err(format!("an announcement was answered {status}").into());
        }
        self.connection = Some(connection);
        Ok(())
    }
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(socket)).await?;
    spawn_local(connection);
    Ok(sender)
}

/// The number that is the text of an announcement.
fn number_in(data: &str) -> Option<u64> {
    let (_, text) = data.split_once("\"text\":\"")?;
    text.split_once('"')?.0.parse().ok()
}

type Failure = Box<dyn Error>;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
