//! Private ports.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 15_000;
const COUNT: u16 = 16_000;

/// A TCP port on loopback that nothing listened on a moment ago.
///
/// It is taken from below the range that systems hand out by themselves (32,768 and up on Linux):
/// a server that is stopped and started again must find its port still free, and an outgoing
/// connection of some other test may hold any port of that range. Another program may still be
/// faster; who starts a server tries again then.
///
/// # Panics
///
/// When 16,000 ports are all taken.
#[must_use]
pub fn free_port() -> u16 {
    // Test programs that run side by side start their search at different places.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let place = std::process::id().wrapping_mul(61) % u32::from(COUNT);

    (0..COUNT)
        .map(|_| {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            FIRST + ((place + u32::from(step)) % u32::from(COUNT)) as u16
        })
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("one of 16,000 ports is free")
}
