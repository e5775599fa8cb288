//! Whether a port accepts connections.

use tokio::net::TcpStream;

use super::contract::Probe;
use super::error::ProbeError;
use super::observation::Observation;

/// Makes a probe that opens a TCP connection to `host` and `port`, and closes it again.
///
/// It says that something listens there, not that it works: the kernel goes on accepting for a
/// program that hangs. Where the protocol is known, ask in it.
///
/// `host` is a name, which is resolved for every run, or an address. The resolver of the system
/// works on a thread of the runtime's blocking pool, which a deadline does not free.
/// Of several addresses each is tried in turn, within the one deadline: where the first of them swallows
/// connections, this fails although a client that races them gets through.
///
/// ```
/// use bartizan::health::{Dependency, probe};
///
/// let mail = Dependency::shared("mail", probe::tcp("smtp.example.com", 587));
/// ```
pub fn tcp(host: impl Into<String>, port: u16) -> Tcp {
    Tcp {
        host: host.into(),
        port,
    }
}

/// The probe of [`tcp`].
#[derive(Clone, Debug)]
pub struct Tcp {
    host: String,
    port: u16,
}

impl Probe for Tcp {
    async fn check(&self) -> Result<Observation, ProbeError> {
        TcpStream::connect((&*self.host, self.port)).await?;
        Ok(Observation::new())
    }
}
