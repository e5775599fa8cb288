//! Whether a Redis server answers a PING.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind};

use super::super::Reason;
use super::contract::Probe;
use super::error::ProbeError;
use super::observation::Observation;
use crate::clock::Clock;

/// Makes a probe that sends PING to a Redis server over a connection of its own.
///
/// 1. The connection is made by the first run and kept while it works; a run that fails or is
///    dropped closes it, and the next one connects again. So the server may be down when the service
///    starts, and what hangs holds one connection.
/// 2. The time limits of the client are set aside: the dependency's deadlines hold.
/// 3. What is observed is the time of the PING alone (`pingTime`, in ms), and the dependency's limits
///    apply to that; the latency of the run includes connecting, where that was needed.
/// 4. A refused password or a missing right fails as `auth`, a server that still loads its data as
///    `refused`, one that takes no more clients as `reset`.
///
/// TLS is used as the client's address says if a feature of the redis crate for it is on, which is
/// the host's choice.
///
/// ```
/// use bartizan::health::{Dependency, probe};
///
/// # fn main() -> redis::RedisResult<()> {
/// let client = redis::Client::open("redis://cache.internal/")?;
/// let cache = Dependency::shared("cache", probe::redis(client)).warn_above(25.0);
/// # Ok(())
/// # }
/// ```
pub fn redis(client: Client) -> Redis {
    Redis {
        client,
        kept: Mutex::new(None),
        clock: Clock::new(),
    }
}

/// The probe of [`redis()`].
pub struct Redis {
    client: Client,
    /// Nothing while a run has it in its hands.
    kept: Mutex<Option<MultiplexedConnection>>,
    clock: Clock,
}

impl Redis {
    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        self.client
            .get_multiplexed_async_connection_with_config(&patient)
            .await
    }

    fn kept(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe for Redis {
    async fn check(&self) -> Result<Observation, ProbeError> {
        let kept = self.kept().take();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await.map_err(told)?,
        };
        let begun = self.clock.now();
        redis::cmd("PING")
            .query_async::<()>(&mut connection)
            .await
            .map_err(told)?;
        let took = self.clock.now().since(begun);
        *self.kept() = Some(connection);
        Ok(Observation::new()
            .value(took.as_secs_f64() * 1000.0, "ms")
            .measurement("pingTime"))
    }
}

impl fmt::Debug for Redis {
    /// A client holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}

/// The crate hides an `io::Error` from the chain of sources, so it is asked first.
fn told(error: RedisError) -> ProbeError {
    let reason = match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            Reason::Auth
        }
        ErrorKind::Server(ServerErrorKind::BusyLoading) => Reason::Refused,
        _ if error.is_connection_refusal() => Reason::Refused,
        _ if error.is_timeout() => Reason::Timeout,
        _ if error.is_connection_dropped() => Reason::Reset,
        _ => return ProbeError::from(error),
    };
    ProbeError::because(reason, error)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn errors_of_the_client_become_codes() {
        let io = |kind: io::ErrorKind| RedisError::from(io::Error::from(kind));
        let said = |kind, text| RedisError::from((kind, text));
        for (error, reason) in [
            (io(io::ErrorKind::ConnectionRefused), Reason::Refused),
            (io(io::ErrorKind::TimedOut), Reason::Timeout),
            (io(io::ErrorKind::BrokenPipe), Reason::Reset),
            (said(ErrorKind::AuthenticationFailed, "no"), Reason::Auth),
            (
                said(ErrorKind::Server(ServerErrorKind::BusyLoading), "x"),
                Reason::Refused,
            ),
            (said(ErrorKind::Extension, "something else"), Reason::Failed),
        ] {
            let text = error.to_string();
            assert_eq!(told(error).reason(), reason, "{text}");
        }
    }

    #[test]
    fn a_password_is_not_in_what_debug_shows() {
        let client = Client::open("redis://:hunter2@127.0.0.1/").unwrap();
        assert!(!format!("{:?}", redis(client)).contains("hunter2"));
    }
}
