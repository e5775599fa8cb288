//! The nonce of a response: made when somebody reads it, shared by every layer of one request.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Extensions;

use super::csp::WIDTH;
use crate::rand;

/// The handle by which a handler gets the nonce of its response.
///
/// A layer whose policy has [`Source::Nonce`](super::Source::Nonce) puts it into the extensions of
/// every request; nested layers share it. The value is made on the first [`get`](Self::get), so a
/// response whose handler never reads it costs no randomness, and goes out under the same policy
/// without the nonce.
///
/// In axum a handler takes `Extension<CspNonce>`; a 500 that says this extension is missing means that no policy
/// around it has `Source::Nonce`.
///
/// Read it before the response's head is made: a body that streams reads it too late, and its
/// scripts would not run.
///
/// ```
/// use bartizan::security_headers::CspNonce;
/// use http::{Request, Response};
///
/// async fn page(request: Request<String>) -> Response<String> {
///     let nonce = match request.extensions().get::<CspNonce>() {
///         Some(handle) => handle.get().to_string(),
///         None => String::new(), // no layer above has a nonce in its policy
///     };
///     Response::new(format!("<script nonce=\"{nonce}\">start()</script>"))
/// }
/// ```
#[derive(Clone)]
pub struct CspNonce {
    value: Arc<OnceLock<Nonce>>,
}

impl CspNonce {
    /// The nonce of this response, always the same.
    #[must_use]
    pub fn get(&self) -> Nonce {
        *self.value.get_or_init(Nonce::random)
    }

    /// The nonce, if anybody has read it.
    pub(super) fn read(&self) -> Option<Nonce> {
        self.value.get().copied()
    }

    /// The handle in `extensions`, put there if this is the outermost layer.
    pub(super) fn shared(extensions: &mut Extensions) -> Self {
        if let Some(handle) = extensions.get::<Self>() {
            return handle.clone();
        }
        let spare = SPARE.try_with(Cell::take);
        let handle = Self {
            value: spare.ok().flatten().unwrap_or_default(),
        };
        extensions.insert(handle.clone());
        handle
    }

    /// Keeps the allocation for the thread's next request, if nobody else holds this handle any more.
    pub(super) fn retire(mut self) {
        // Whoever still holds it, a page that streams or a layer further out, keeps its nonce.
        let Some(value) = Arc::get_mut(&mut self.value) else {
            return;
        };
        value.take();
        // While a thread ends there may be no place for it any more.
        let _ = SPARE.try_with(|spare| spare.set(Some(self.value)));
    }
}

impl fmt::Debug for CspNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CspNonce").finish_non_exhaustive()
    }
}

/// 144 random bits as 24 characters of base64url, which need no escaping in an attribute.
///
/// `Display` writes it; `Debug` never does, so that it does not end in a log.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Nonce([u8; WIDTH]);

impl Nonce {
    /// The value, for the attribute `nonce`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64 is ASCII")
    }

    pub(super) const fn as_bytes(&self) -> &[u8; WIDTH] {
        &self.0
    }

    fn random() -> Self {
        let mut text = [0; WIDTH];
        URL_SAFE_NO_PAD
            .encode_slice(rand::bytes::<BYTES>(), &mut text)
            .expect("three bytes fill four characters");
        Self(text)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

thread_local! {
    /// A handle without a value that nobody holds. One is enough: a response that ends makes room
    /// for the next request.
    static SPARE: Cell<Option<Arc<OnceLock<Nonce>>>> = const { Cell::new(None) };
}

/// Random bytes in a nonce.
const BYTES: usize = WIDTH / 4 * 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_needs_no_escaping() {
        let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        for _ in 0..1_000 {
            assert!(Nonce::random().as_str().bytes().all(alphabet));
        }
    }

    #[test]
    fn a_handle_makes_its_nonce_once_and_debug_never_tells_it() {
        let mut extensions = Extensions::new();
        let outer = CspNonce::shared(&mut extensions);
        assert_eq!(outer.read(), None);
        let nonce = CspNonce::shared(&mut extensions).get();
        assert_eq!(outer.read(), Some(nonce));
        assert_eq!(outer.get(), nonce);
        let debug = format!("{outer:?} {nonce:?} {extensions:?}");
        assert!(!debug.contains(nonce.as_str()), "{debug}");
        assert_eq!(nonce.to_string(), nonce.as_str());
    }

    #[test]
    fn a_handle_is_used_again_without_its_nonce_and_only_when_nobody_holds_it() {
        let handle = || CspNonce::shared(&mut Extensions::new());
        let (first, held) = (handle(), handle());
        let (retired, kept) = (first.get(), held.get());
        let place = Arc::as_ptr(&first.value);
        first.retire();
        held.clone().retire();

        let (again, other) = (handle(), handle());
        assert_eq!(Arc::as_ptr(&again.value), place);
        assert_eq!(again.read(), None);
        assert_ne!(again.get(), retired);
        assert!(!Arc::ptr_eq(&other.value, &held.value));
        assert_eq!(other.read(), None);
        assert_eq!(held.get(), kept);
    }
}
