//! Hash sources: `'sha256-…'`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The hash of one inline script or style, which is then allowed without a nonce.
///
/// ```
/// use bartizan::security_headers::Hash;
///
/// let hash = Hash::of("alert('Hello, world.');");
/// assert_eq!(hash.to_string(), "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='");
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Hash {
    algorithm: Algorithm,
    digest: Box<[u8]>,
}

impl Hash {
    /// The SHA-256 hash of an inline element's text: every byte between its tags, and no other.
    #[must_use]
    pub fn of(inline: impl AsRef<[u8]>) -> Self {
        Self::new(Algorithm::Sha256, &Sha256::digest(inline))
    }

    /// The SHA-384 hash of an inline element's text.
    #[must_use]
    pub fn sha384_of(inline: impl AsRef<[u8]>) -> Self {
        Self::new(Algorithm::Sha384, &Sha384::digest(inline))
    }

    /// The SHA-512 hash of an inline element's text.
    #[must_use]
    pub fn sha512_of(inline: impl AsRef<[u8]>) -> Self {
        Self::new(Algorithm::Sha512, &Sha512::digest(inline))
    }

    fn new(algorithm: Algorithm, digest: &[u8]) -> Self {
        Self {
            algorithm,
            digest: digest.into(),
        }
    }

    /// Reads `sha256-<base64>` without its quotes; `None` when it does not begin like a hash.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let (algorithm, value) = text.split_once('-')?;
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(algorithm))?;
        Some(Self::decode(algorithm, value))
    }

    fn decode(algorithm: Algorithm, value: &str) -> Result<Self, String> {
        // The grammar takes both alphabets, and says that they mean the same.
        let standard = value.replace('-', "+").replace('_', "/");
        let digest = STANDARD_NO_PAD
            .decode(standard.trim_end_matches('='))
            .map_err(|_| format!("the value of a {} hash is base64", algorithm.name()))?;
        if digest.len() == algorithm.len() {
            return Ok(Self::new(algorithm, &digest));
        }
        let meant = Algorithm::ALL
            .into_iter()
            .find(|other| other.len() == digest.len())
            .map_or(String::new(), |other| {
                format!("; this is the length of {}", other.name())
            });
        Err(format!(
            "a {} hash has {} bytes, this one has {}{meant}",
            algorithm.name(),
            algorithm.len(),
            digest.len()
        ))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = STANDARD.encode(&self.digest);
        write!(f, "'{}-{value}'", self.algorithm.name())
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}
