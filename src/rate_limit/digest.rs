//! Keyed digests: under a key of this process, or under a secret that processes share.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::LazyLock;

use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher24 as SipHasher128};

use crate::config::ConfigError;
use crate::rand::DigestKey;

/// What the keys of callers are digested under, where processes share their buckets.
///
/// All processes of a fleet need the same one, or they do not mean the same buckets. Who knows it can
/// find out whose buckets these are, and choose values that share one; so it is kept like a password:
/// 16 random bytes or more, such as `openssl rand -hex 32` prints.
///
/// The digest is SipHash-2-4. Text, bytes, numbers and addresses have the same digest in every process
/// and on every machine. What a host hashes by its own `Hash` does if that is built of those alone; a
/// slice of numbers is not.
///
/// ```
/// use bartizan::rate_limit::Secret;
///
/// let secret = Secret::new("0c5e1b8d6e1f4e27a9d3b0f4c7281a55")?;
/// assert_eq!(format!("{secret:?}"), "Secret");
/// assert!(Secret::new("changeme").is_err());
/// # Ok::<_, bartizan::config::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Secret([u8; 16]);

impl Secret {
    /// A secret made of any 16 bytes or more.
    ///
    /// # Errors
    ///
    /// If there are fewer. The error does not repeat them.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let bytes = bytes.as_ref();
        if bytes.len() < MIN_BYTES {
            let fix = "use at least 16 random bytes, e.g. from `openssl rand -hex 32`";
            let given = format!("{} bytes", bytes.len());
            return Err(ConfigError::new("secret", given, fix));
        }
        // Of any length to that of the key; it also parts this use of the secret from others.
        let mut hasher = SipHasher128::new_with_key(PURPOSE);
        hasher.write(bytes);
        Ok(Self(hasher.finish128().as_bytes()))
    }

    /// A secret of this process alone, new at each call.
    #[must_use]
    pub fn random() -> Self {
        Self(crate::rand::bytes())
    }

    /// What tells the buckets of one window apart, for whoever may not know whose they are: 72 bits that
    /// say nothing about `key`, and nothing about the same caller's other windows.
    pub(super) fn partition(&self, scope: u64, key: u64) -> Partition {
        let mut hasher = SipHasher128::new_with_key(&self.0);
        hasher.write(b"partition");
        hasher.write(&scope.to_le_bytes());
        hasher.write(&key.to_le_bytes());
        let digest = hasher.finish128().as_bytes();
        std::array::from_fn(|at| digest[at])
    }

    fn hasher(&self) -> Portable {
        Portable(SipHasher24::new_with_key(&self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The name of a bucket in response fields.
pub(super) type Partition = [u8; 9];

/// The digest of `value`; without a secret, under the key of this process.
pub(super) fn digest<K: Hash + ?Sized>(secret: Option<&Secret>, value: &K) -> u64 {
    match secret {
        None => finish(PROCESS_KEY.hasher(), value),
        Some(secret) => finish(secret.hasher(), value),
    }
}

/// The digest of an address. How the standard library hashes one has changed, and processes that share
/// buckets need not be built alike.
pub(super) fn address(secret: Option<&Secret>, ip: IpAddr) -> u64 {
    match (secret, ip) {
        // One number each, of different lengths, which the digest takes in: this is done for every
        // request.
        (None, IpAddr::V4(v4)) => digest(None, &v4.to_bits()),
        (None, IpAddr::V6(v6)) => digest(None, &v6.to_bits()),
        (secret, IpAddr::V4(v4)) => digest(secret, &(4_u8, v4.to_bits())),
        (secret, IpAddr::V6(v6)) => digest(secret, &(6_u8, v6.to_bits())),
    }
}

fn finish<K: Hash + ?Sized>(mut hasher: impl Hasher, value: &K) -> u64 {
    value.hash(&mut hasher);
    hasher.finish()
}

/// A hasher to which a number is the same bytes on every machine.
struct Portable(SipHasher24);

impl Hasher for Portable {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn write_u16(&mut self, i: u16) {
        self.write(&i.to_le_bytes());
    }

    fn write_u32(&mut self, i: u32) {
        self.write(&i.to_le_bytes());
    }

    fn write_u64(&mut self, i: u64) {
        self.write(&i.to_le_bytes());
    }

    fn write_u128(&mut self, i: u128) {
        self.write(&i.to_le_bytes());
    }

    fn write_usize(&mut self, i: usize) {
        self.write_u64(i as u64);
    }

    fn write_isize(&mut self, i: isize) {
        self.write_u64(i as u64);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// The key of all digests of this process: unknown outside, so nobody can choose keys that collide.
static PROCESS_KEY: LazyLock<DigestKey> = LazyLock::new(DigestKey::default);

const MIN_BYTES: usize = 16;
const PURPOSE: &[u8; 16] = b"bartizan digests";

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    #[test]
    fn a_digest_under_a_secret_never_changes() {
        // From another implementation of SipHash-2-4: a fleet keeps its buckets through a release.
        let secret = secret("0123456789abcdef");
        let of = |value: &str| digest(Some(&secret), value);
        assert_eq!(of("198.51.100.7"), PINNED[0]);
        assert_eq!(digest(Some(&secret), &(7_usize, 7_u64)), PINNED[1]);
        let ip = "198.51.100.7".parse().unwrap();
        assert_eq!(address(Some(&secret), ip), PINNED[2]);
        let ip = "2001:db8::".parse().unwrap();
        assert_eq!(address(Some(&secret), ip), PINNED[3]);
    }

    #[test]
    fn a_partition_is_the_same_in_every_process_and_another_in_each_window() {
        let secret = secret("0123456789abcdef");
        assert_eq!(secret.partition(1, 2), secret.clone().partition(1, 2));
        // From another implementation of SipHash-2-4 with 128 bits.
        assert_eq!(
            secret.partition(1, 2),
            [19, 180, 84, 164, 169, 239, 72, 122, 67]
        );
        assert_ne!(secret.partition(1, 2), secret.partition(2, 2));
        assert_ne!(secret.partition(1, 2), secret.partition(1, 3));
        assert_ne!(secret.partition(1, 2), Secret::random().partition(1, 2));
    }

    #[test]
    fn two_secrets_disagree_and_so_does_the_process() {
        let (a, b) = (secret("0123456789abcdef"), secret("0123456789abcdeg"));
        let of = |secret: Option<&Secret>| digest(secret, "ann");
        assert_ne!(of(Some(&a)), of(Some(&b)));
        assert_ne!(of(Some(&a)), of(None));
        assert_eq!(of(None), of(None));
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        let error = Secret::new("hunter2hunter2!").unwrap_err();
        assert_eq!((error.field(), error.value()), ("secret", "15 bytes"));
        assert!(!format!("{error} {:?}", secret("hunter2hunter2!!")).contains("hunter"));
    }

    const PINNED: [u64; 4] = [
        9_394_017_879_905_974_196,
        15_788_998_897_633_430_185,
        2_408_569_783_788_003_076,
        2_213_045_790_433_051_252,
    ];
}
