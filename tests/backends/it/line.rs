//! An address that does not stay with its server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A port of loopback that leads to another one. What is connected stays connected.
pub(crate) struct Line {
    port: u16,
    to: Arc<AtomicU16>,
    dead: watch::Sender<()>,
}

impl Line {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Self {
            port: listener.local_addr().unwrap().port(),
            to: Arc::new(AtomicU16::new(port)),
            dead: watch::Sender::new(()),
        };
        let (to, dead) = (Arc::clone(&line.to), line.dead.clone());
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (port, mut dead) = (to.load(Ordering::Relaxed), dead.subscribe());
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        // Neither end learns anything.
                        Ok(()) = dead.changed() => std::future::pending().await,
                    }
                });
            }
        });
        line
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Leads to `port` whoever connects from now on.
    pub(crate) fn leads_to(&self, port: u16) {
        self.to.store(port, Ordering::Relaxed);
    }

    /// What is connected now carries nothing any more, and nobody closes it.
    pub(crate) fn drop_silently(&self) {
        self.dead.send_replace(());
    }
}
