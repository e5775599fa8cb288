//! What was logged.
#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

use std::future::Future;
use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Subscriber};

/// The lines that were logged on this thread while `during` ran.
pub(crate) async fn logged(during: impl Future<Output = ()>) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = on_this_thread(subscriber);
    during.await;
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Has `subscriber` listen to this thread.
pub(crate) fn on_this_thread(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    /// Where a process has one subscriber alone, whoever reaches an event first decides for all whether
    /// anybody listens: another test's thread, to which nobody does.
    static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
    LazyLock::force(&ANOTHER);
    tracing::subscriber::set_default(subscriber)
}
