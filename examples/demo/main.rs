//! A small payments API on hyper and axum, with all four guards in place.
//!
//! `cargo run --example demo` serves it; the README beside this file says what to look at.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use bartizan::client::ClientSource;
use bartizan::config::ConfigError;
use bartizan::event_stream::{EventHub, EventStream, WebSockets};
use bartizan::health::{Health, build_info};
use bartizan::security_headers::MemorySink;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use self::api::App;
use self::args::{Args, BadFlag, Command};
use self::session::Sessions;

mod api;
mod args;
mod changes;
#[cfg(feature = "redis")]
mod fleet;
mod guards;
mod limits;
mod open;
mod page;
mod repository;
mod serve;
mod session;

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Command::from_process() {
        Ok(Command::Run(args)) => args,
        Ok(Command::Help) => {
            let _ = writeln!(std::io::stdout(), "{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(bad) => return refuse(&bad),
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // A line that cannot be written, to a full disk for one, is lost. Told, it would be a panic.
        .log_internal_errors(false)
        .init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Flag(bad)) => refuse(&bad),
        Err(Failure::Other(error)) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn refuse(bad: &BadFlag) -> ExitCode {
    say(bad);
    ExitCode::from(2)
}

/// The last word, to whoever still reads it.
fn say(what: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "demo: {what}");
}

async fn run(args: Args) -> Result<(), Failure> {
    let mut asked_to_stop = pin!(asked_to_stop().map_err(Failure::other)?);
    let cannot_listen = |error: std::io::Error| {
        let address = args.listen.to_string();
        BadFlag::new(args::LISTEN, Some(&address), &error.to_string())
    };
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let repository = tokio::select! {
        opened = open::open(&args) => opened?,
        // Whoever waits for a server to answer can be told to stop as well.
        () = &mut asked_to_stop => return Ok(()),
    };
    #[cfg(feature = "redis")]
    let client = args.redis_url.as_deref().map(fleet::client).transpose()?;
    let clients = match &args.trusted_proxies {
        Some(proxies) => ClientSource::peer().behind(proxies.clone()),
        None => ClientSource::peer(),
    };
    let sessions = Sessions::new(repository.session_key());

    // Who has no session sees what is public; who has one, their own events as well.
    let mut builder = EventHub::builder(repository.log()).retry(Duration::from_secs(1));
    if let Some(most) = args.streams_per_user {
        builder = builder.max_per_user(most.get());
    }
    let (hub, tailer) = builder.build();
    let authorize = guards::own_events(sessions.clone());
    // Pages of this site alone may open sockets; `clients` knows its scheme.
    let websockets = WebSockets::driven_by(tokio::spawn).client(&clients);
    let events = EventStream::new(hub.clone())
        .authorize(authorize)
        .websockets(websockets);

    let build = build_info!().name("bartizan-demo");
    let mut health = Health::for_build(build);
    for dependency in repository.dependencies().map_err(Failure::other)? {
        health = health.dependency(dependency);
    }
    #[cfg(feature = "redis")]
    if let Some(client) = client {
        health = health.dependency(fleet::dependency(client));
    }
    // Everybody may see names, states and latencies. Error texts nobody sees: they are only logged.
    let (health, driver) = health.details_for(|_| true).build()?;
    tokio::spawn(tailer);
    tokio::spawn(driver);
    tokio::spawn(changes::tell(health.clone(), repository.clone()));

    let app = App {
        repository,
        sessions,
        clients: clients.clone(),
        findings: guards::headers().lint().into(),
        reports: MemorySink::new(20),
    };
    let app = guards::around(api::router(app, events), &args, &clients, &health)?;

    let stop = async {
        asked_to_stop.await;
        tracing::info!("stopping: not ready from now on");
        health.drain();
        // Still serving, until load balancers have asked again and send us nothing more.
        tokio::time::sleep(NOTICE).await;
        hub.drain();
    };
    let announce = async {
        health.started().await;
        log_is_read(&hub).await;
        // Whoever started us may have closed the pipe: that is no reason to stop.
        let _ = writeln!(std::io::stdout(), "listening on http://{address}");
    };
    tokio::join!(
        serve::serve(listener, app, stop, SILENCE, PATIENCE),
        announce
    );
    // The server does not wait for the connections that became WebSockets.
    let _ = tokio::time::timeout(GOODBYES, hub.closed()).await;
    Ok(())
}

/// SIGTERM from whoever runs us, or SIGINT from a terminal. Signals count from the call on.
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Waits until the hub knows where the log ends, so that a stream which begins there misses nothing;
/// but not for ever: health tells what is wrong.
async fn log_is_read(hub: &EventHub) {
    let read = async {
        while hub.head().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
}

/// Why it does not run.
enum Failure {
    /// The value of a flag cannot be used here.
    Flag(BadFlag),
    /// Anything else.
    Other(Box<dyn std::error::Error>),
}

impl Failure {
    fn other(error: impl std::error::Error + 'static) -> Self {
        Self::Other(Box::new(error))
    }
}

impl From<BadFlag> for Failure {
    fn from(bad: BadFlag) -> Self {
        Self::Flag(bad)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::other(error)
    }
}

/// Between readiness and the end of service: the interval at which a load balancer asks, at least.
const NOTICE: Duration = Duration::from_secs(1);

/// Time to send the head of a request, to keep a connection open without one, and to take something of
/// an answer.
const SILENCE: Duration = Duration::from_secs(30);

/// How long requests in flight may take once no more are accepted.
const PATIENCE: Duration = Duration::from_secs(6);

/// How long the clients of sockets may take to say good-bye.
const GOODBYES: Duration = Duration::from_secs(1);
