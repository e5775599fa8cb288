//! Sessions: a signed cookie that holds the user's name and nothing else.
//!
//! Nothing is kept on the server, so a session costs no memory, does not wait for the database, and
//! outlives a restart on the same data directory, where the key is kept.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs and reads session cookies.
#[derive(Clone)]
pub(crate) struct Sessions {
    mac: Hmac<Sha256>,
}

impl Sessions {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self {
            mac: Hmac::new_from_slice(key).expect("HMAC takes a key of any length"),
        }
    }

    /// The value of `Set-Cookie` that opens a session; `Secure` where the client came over https.
    pub(crate) fn cookie(&self, user: &str, secure: bool) -> String {
        let user = URL_SAFE_NO_PAD.encode(user);
        let tag = self.mac.clone().chain_update(&user).finalize();
        let tag = URL_SAFE_NO_PAD.encode(tag.into_bytes());
        let secure = if secure { "; Secure" } else { "" };
        format!("{NAME}={user}.{tag}; HttpOnly; SameSite=Lax; Path=/{secure}")
    }

    /// Whose session the request belongs to: the first cookie of the name that we signed.
    pub(crate) fn user(&self, headers: &HeaderMap) -> Option<String> {
        let cookies = headers.get_all(header::COOKIE).iter();
        cookies
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
            // One by one: the bytes of those that others set are theirs.
            .filter_map(|cookie| std::str::from_utf8(cookie).ok())
            .filter_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='))
            .find_map(|value| self.verified(value))
    }

    fn verified(&self, value: &str) -> Option<String> {
        let (user, tag) = value.split_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        let signed = self.mac.clone().chain_update(user);
        signed.verify_slice(&tag).ok()?; // compares in constant time
        String::from_utf8(URL_SAFE_NO_PAD.decode(user).ok()?).ok()
    }
}

/// The cookie's name.
const NAME: &str = "session";

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn request(cookies: &[&str]) -> HeaderMap {
        let cookies = cookies
            .iter()
            .map(|cookie| (header::COOKIE, cookie.parse().unwrap()));
        cookies.collect()
    }

    #[test]
    fn a_cookie_that_we_signed_names_its_user_whatever_the_name() {
        let sessions = Sessions::new(&[7; 32]);
        for user in [
            "u1",
            "a; Path=/",
            "Zoë \u{1f980}",
            "\r\nset-cookie: x=y",
            "",
        ] {
            let cookie = sessions.cookie(user, false);
            assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/"));
            let pair = cookie.split(';').next().unwrap();
            let found = sessions.user(&request(&["theme=dark", &format!("a=b; {pair}; c=d")]));
            assert_eq!(found.as_deref(), Some(user));
        }
        assert!(sessions.cookie("u1", true).ends_with("; Secure"));
    }

    #[test]
    fn a_cookie_that_we_did_not_sign_names_nobody() {
        let sessions = Sessions::new(&[7; 32]);
        let forged = Sessions::new(&[8; 32]).cookie("u1", false);
        let forged = forged.split(';').next().unwrap();
        let ours = sessions.cookie("u1", false);
        let (_, tag) = ours.split(';').next().unwrap().split_once('.').unwrap();
        let grafted = format!("session={}.{tag}", URL_SAFE_NO_PAD.encode("u2"));
        for cookie in [
            forged,
            &grafted,
            "session=",
            "session=.",
            "session",
            "session=u1.%%%",
        ] {
            assert_eq!(sessions.user(&request(&[cookie])), None, "{cookie}");
        }
    }

    #[test]
    fn a_forged_cookie_does_not_hide_a_good_one() {
        let sessions = Sessions::new(&[7; 32]);
        let ours = sessions.cookie("u1", false);
        let ours = ours.split(';').next().unwrap();
        let found = sessions.user(&request(&["session=x.y", ours]));
        assert_eq!(found.as_deref(), Some("u1"));
    }

    #[test]
    fn the_bytes_of_another_cookie_do_not_hide_ours() {
        let sessions = Sessions::new(&[7; 32]);
        let ours = sessions.cookie("u1", false);
        let ours = ours.split(';').next().unwrap();
        for other in [
            &b"name=Zo\xc3\xab"[..],
            b"raw=\xff\x80",
            b"session=\xff.\xff",
        ] {
            let header = [other, b"; ", ours.as_bytes(), b"; ", other].concat();
            let header = HeaderValue::from_bytes(&header).unwrap();
            let headers = HeaderMap::from_iter([(header::COOKIE, header)]);
            assert_eq!(
                sessions.user(&headers).as_deref(),
                Some("u1"),
                "{headers:?}"
            );
        }
    }
}
