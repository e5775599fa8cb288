//! Randomness: jitter, nonce bytes, keyed digests.
#![allow(dead_code, reason = "each room can be built alone and uses its part")]

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use rand::{Rng, RngExt};

/// `base`, moved by up to `percent` per cent in either direction.
///
/// Whatever many processes or clients would do at the same moment is spread by this: probes,
/// reconnections, the ends of long connections.
pub(crate) fn jitter(base: Duration, percent: u32) -> Duration {
    let percent = f64::from(percent.min(100)) / 100.0;
    scale(
        base,
        rand::rng().random_range(1.0 - percent..=1.0 + percent),
    )
}

/// A uniformly random duration from `low` to `high`, both included.
pub(crate) fn between(low: Duration, high: Duration) -> Duration {
    let spread = high.saturating_sub(low);
    low.saturating_add(scale(spread, rand::rng().random_range(0.0..=1.0)))
}

/// `Duration::mul_f64` panics where this saturates: "never" is often written as `Duration::MAX`.
fn scale(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// Bytes of a CSPRNG that reseeds itself from the operating system.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// The key of a digest that never leaves this process: random, so that nobody outside can choose
/// inputs that collide.
///
/// Whoever sends the inputs may also see which of them share a place, by a quota that shrinks under two
/// names. So this is the standard library's hash, SipHash keyed by the operating system, which holds
/// against who asks and learns; the faster ones (foldhash, ahash, xxh3) say that they do not.
#[derive(Clone, Debug, Default)]
pub(crate) struct DigestKey(RandomState);

impl DigestKey {
    /// A hasher whose `finish` is the 64-bit digest of what was written to it.
    pub(crate) fn hasher(&self) -> impl Hasher + use<> {
        self.0.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_bounds_and_does_spread() {
        let base = Duration::from_secs(10);
        let drawn: Vec<_> = (0..200).map(|_| jitter(base, 10)).collect();
        assert!(
            drawn
                .iter()
                .all(|d| (9.0..=11.0).contains(&d.as_secs_f64()))
        );
        assert!(drawn.iter().any(|d| *d < base) && drawn.iter().any(|d| *d > base));
        assert_eq!(jitter(base, 0), base);
    }

    #[test]
    fn between_includes_an_empty_range() {
        let one = Duration::from_secs(1);
        assert_eq!(between(one, one), one);
        assert_eq!(between(one, Duration::ZERO), one);
    }

    #[test]
    fn never_is_jittered_without_a_panic() {
        for _ in 0..100 {
            assert!(jitter(Duration::MAX, 10) > Duration::MAX / 2);
            assert!(between(Duration::ZERO, Duration::MAX) <= Duration::MAX);
            assert_eq!(between(Duration::MAX, Duration::MAX), Duration::MAX);
        }
        assert!(jitter(Duration::from_secs(1), u32::MAX) <= Duration::from_secs(2));
    }

    #[test]
    fn two_processes_worth_of_keys_disagree() {
        let digest = |key: &DigestKey| {
            let mut hasher = key.hasher();
            hasher.write(b"198.51.100.7");
            hasher.finish()
        };
        let (a, b) = (DigestKey::default(), DigestKey::default());
        assert_eq!(digest(&a), digest(&a.clone()));
        assert_ne!(digest(&a), digest(&b));
        assert_ne!(bytes::<18>(), bytes::<18>());
    }
}
