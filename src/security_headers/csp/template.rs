//! A policy rendered once, with the places where the nonce of a response goes.

use bytes::Bytes;
use http::HeaderValue;

use super::policy::Value;
use super::source::NONCE;
use super::{Csp, Source};

/// The header of one policy: ready to clone, or to fill in with a nonce.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// What is sent when no nonce is.
    plain: HeaderValue,
    nonce: Option<Slots>,
}

#[derive(Clone, Debug)]
struct Slots {
    /// The policy with [`WIDTH`] placeholder bytes at each offset.
    text: Box<[u8]>,
    offsets: Box<[usize]>,
}

impl Template {
    /// Renders `csp`, which has passed its check.
    pub(crate) fn new(csp: &Csp) -> Self {
        let rendered = csp.to_string();
        if !rendered.contains(NONCE) {
            return Self {
                plain: value(rendered.into_bytes()),
                nonce: None,
            };
        }
        // Every nonce has the same width, so its places are known once and for all.
        let filled = rendered.replace(NONCE, &format!("'nonce-{}'", "A".repeat(WIDTH)));
        let widened = WIDTH - PLACEHOLDER.len();
        let offsets = rendered
            .match_indices(PLACEHOLDER)
            .enumerate()
            .map(|(earlier, (offset, _))| offset + earlier * widened)
            .collect();
        Self {
            plain: value(without_nonce(csp).to_string().into_bytes()),
            nonce: Some(Slots {
                text: filled.into_bytes().into(),
                offsets,
            }),
        }
    }

    /// Whether the policy has a nonce source.
    pub(crate) fn has_nonce(&self) -> bool {
        self.nonce.is_some()
    }

    /// The policy without its nonce source.
    pub(crate) fn plain(&self) -> &HeaderValue {
        &self.plain
    }

    /// The policy with `nonce` in every place: one allocation. Marked sensitive, so that HTTP/2
    /// does not index what never comes again, and `Debug` does not print it.
    pub(crate) fn fill(&self, nonce: &[u8; WIDTH]) -> HeaderValue {
        let Some(slots) = &self.nonce else {
            return self.plain.clone();
        };
        let mut text = slots.text.to_vec();
        for &offset in &slots.offsets {
            text[offset..offset + WIDTH].copy_from_slice(nonce);
        }
        let mut value = value(text);
        value.set_sensitive(true);
        value
    }
}

/// The policy for a response whose handler did not read the nonce.
///
/// Browsers ignore `'unsafe-inline'` beside a nonce; it is there for those that know no nonces. Left
/// alone it would allow every inline script, so it goes with the nonce: an unread nonce must never
/// mean a weaker policy.
fn without_nonce(csp: &Csp) -> Csp {
    let mut plain = csp.clone();
    for (_, value) in &mut plain.entries {
        let Value::Sources(sources) = value else {
            continue;
        };
        if sources.contains(&Source::Nonce) {
            sources.retain(|source| !matches!(source, Source::Nonce | Source::UnsafeInline));
            if sources.is_empty() {
                sources.push(Source::None);
            }
        }
    }
    plain
}

fn value(text: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .expect("a checked policy is visible ASCII and spaces")
}

/// Characters of a nonce: 18 bytes in base64.
pub(crate) const WIDTH: usize = 24;

/// What stands for the nonce between `nonce-` and the quote.
const PLACEHOLDER: &str = "{nonce}";
