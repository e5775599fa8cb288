//! A proxy on loopback that stands between a browser and the demo, and in the way of some requests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it does to the requests of one transport.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Block {
    /// Answers 502.
    Refuse,
    /// Answers with the head of a stream, and keeps the body back.
    Hold,
}

/// How the requests of a transport are known: by a line of their head.
pub(crate) const EVENT_SOURCE: &str = "accept: text/event-stream";
pub(crate) const WEB_SOCKET: &str = "upgrade: websocket";
pub(crate) const LONG_POLL: &str = "accept: application/json";

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    blocked: Arc<Mutex<Vec<(&'static str, Block)>>>,
    cut: watch::Sender<()>,
}

impl Proxy {
    /// Passes everything on to `server`, until it is told otherwise.
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let blocked = Arc::<Mutex<Vec<_>>>::default();
        let cut = watch::Sender::new(());
        let (rules, cuts) = (Arc::clone(&blocked), cut.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (rules, mut cut) = (Arc::clone(&rules), cuts.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        _ = cut.changed() => {}
                        _ = pass(client, server, &rules) => {}
                    }
                });
            }
        });
        Self {
            address,
            blocked,
            cut,
        }
    }

    /// Blocks these transports and no others, and cuts every connection that there is.
    pub(crate) fn block(&self, transports: &[(&'static str, Block)]) {
        *self.blocked.lock().unwrap() = transports.to_vec();
        self.cut.send_replace(());
    }
}

async fn pass(
    mut client: TcpStream,
    server: SocketAddr,
    rules: &Mutex<Vec<(&'static str, Block)>>,
) -> std::io::Result<()> {
    let server = TcpStream::connect(server).await?;
    let (mut answers, mut requests) = server.into_split();
    let mut chunk = vec![0; 64 * 1024];
    let block = {
        let (mut from, mut to) = client.split();
        let back = async { tokio::io::copy(&mut answers, &mut to).await.map(drop) };
        let mut back = std::pin::pin!(back);
        loop {
            // The head of a request comes in one piece on loopback.
            let read = tokio::select! {
                ended = &mut back => return ended,
                read = from.read(&mut chunk) => read?,
            };
            let head = String::from_utf8_lossy(&chunk[..read]).to_ascii_lowercase();
            let rules = rules.lock().unwrap().clone();
            let rule = rules.iter().find(|(line, _)| head.contains(line));
            match rule {
                Some((_, block)) => break *block,
                None if read == 0 => return Ok(()),
                None => requests.write_all(&chunk[..read]).await?,
            }
        }
    };
    match block {
        Block::Refuse => {
            let answer =
                "HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            client.write_all(answer.as_bytes()).await
        }
        Block::Hold => {
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            client.write_all(answer.as_bytes()).await?;
            while client.read(&mut chunk).await? > 0 {}
            Ok(())
        }
    }
}
