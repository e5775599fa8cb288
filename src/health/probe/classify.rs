//! Reads a reason code from an error and its sources.
//!
//! Types decide first, since they are sure. Most drivers, though, give a pool timeout or a refused
//! password only as text; the words they use are looked for last. A wrong guess costs a less helpful
//! code, nothing else: the text itself goes no further than this file.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;

use super::super::Reason;
use super::error::sources;

/// The most telling reason that `error` or one of its sources gives.
pub(super) fn reason_of(error: &(dyn Error + 'static)) -> Reason {
    sources(error)
        .find_map(by_type)
        .or_else(|| sources(error).find_map(by_text))
        .unwrap_or(Reason::Failed)
}

fn by_type(error: &(dyn Error + 'static)) -> Option<Reason> {
    if error.is::<tokio::time::error::Elapsed>() {
        return Some(Reason::Timeout);
    }
    Some(match error.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused => Reason::Refused,
        io::ErrorKind::TimedOut => Reason::Timeout,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Reason::Reset,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Reason::Unreachable,
        io::ErrorKind::PermissionDenied => Reason::Auth,
        io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy => Reason::Locked,
        _ => return None,
    })
}

fn by_text(error: &(dyn Error + 'static)) -> Option<Reason> {
    let mut head = Head(String::new());
    // The writer stops the formatting once it has seen enough: that is no failure.
    let _ = write!(head, "{error}");
    WORDS
        .iter()
        .find(|(words, _)| words.iter().any(|word| head.0.contains(word)))
        .map(|(_, reason)| *reason)
}

/// Words of sqlx, tokio-postgres, deadpool, bb8, r2d2, redis, rusqlite, reqwest, hyper and libc, the
/// more telling first: a pool's timeout is not the server's.
const WORDS: &[(&[&str], Reason)] = &[
    (
        &[
            "pool timed out",
            "waiting for a slot",
            "timed out in bb8",
            "timed out waiting for connection",
            "pool exhausted",
            "too many clients",
            "too many connections",
        ],
        Reason::PoolExhausted,
    ),
    (
        &[
            "database is locked",
            "database table is locked",
            "lock timeout",
        ],
        Reason::Locked,
    ),
    (
        &[
            "password authentication failed",
            "access denied",
            "noauth",
            "wrongpass",
            "noperm",
            "permission denied",
            "unauthorized",
        ],
        Reason::Auth,
    ),
    (
        &[
            "failed to lookup address",
            "dns error",
            "name or service not known",
            "name resolution",
            "no such host",
        ],
        Reason::Dns,
    ),
    (&["connection refused"], Reason::Refused),
    (
        &[
            "timed out",
            "timeout",
            "deadline has elapsed",
            "deadline exceeded",
        ],
        Reason::Timeout,
    ),
    (
        &["connection reset", "broken pipe", "connection closed"],
        Reason::Reset,
    ),
    (&["unreachable", "no route to host"], Reason::Unreachable),
];

/// The first two kilobytes of a text, in lower case, whatever its length.
struct Head(String);

impl fmt::Write for Head {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            if self.0.len() >= MAX_TEXT {
                return Err(fmt::Error);
            }
            self.0.push(char.to_ascii_lowercase());
        }
        Ok(())
    }
}

const MAX_TEXT: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    /// An error with a text and a source, as drivers nest them.
    #[derive(Debug)]
    struct Nested(&'static str, Option<Box<dyn Error + Send + Sync>>);

    impl fmt::Display for Nested {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Nested {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|source| source as _)
        }
    }

    #[test]
    fn the_type_of_a_source_outweighs_the_text_around_it() {
        let io = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = Nested("timeout while connecting", Some(Box::new(io)));
        assert_eq!(reason_of(&error), Reason::Refused);
    }

    #[test]
    fn the_words_of_drivers_are_known() {
        for (text, reason) in [
            (
                "pool timed out while waiting for an open connection",
                Reason::PoolExhausted,
            ),
            (
                "Timeout occurred while waiting for a slot to become available",
                Reason::PoolExhausted,
            ),
            ("database is locked", Reason::Locked),
            (
                "FATAL: password authentication failed for user \"u\"",
                Reason::Auth,
            ),
            ("NOAUTH Authentication required.", Reason::Auth),
            (
                "failed to lookup address information: Name or service not known",
                Reason::Dns,
            ),
            (
                "error sending request: operation timed out",
                Reason::Timeout,
            ),
            ("Connection reset by peer (os error 104)", Reason::Reset),
            ("something else", Reason::Failed),
        ] {
            assert_eq!(reason_of(&Nested(text, None)), reason, "{text}");
        }
    }

    #[test]
    fn an_error_that_is_its_own_source_ends() {
        #[derive(Debug)]
        struct Loop;
        impl fmt::Display for Loop {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&"é".repeat(1_000_000))
            }
        }
        impl Error for Loop {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(self)
            }
        }
        assert_eq!(reason_of(&Loop), Reason::Failed);
    }
}
