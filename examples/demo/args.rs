//! What the command line and the environment say.
//!
//! Every flag is also an environment variable of the same name in capitals (`--data-dir` is
//! `DATA_DIR`); the flag wins. A value that cannot be used is told in one line that names it.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use bartizan::client::TrustedProxies;

/// The flags, read and checked.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) reads_per_second: NonZeroU32,
    pub(crate) writes_per_second: NonZeroU32,
    pub(crate) trusted_proxies: Option<TrustedProxies>,
    pub(crate) streams_per_user: Option<NonZeroUsize>,
    #[cfg_attr(
        not(any(feature = "redis", test)),
        expect(dead_code, reason = "a build that lacks it refuses the flag")
    )]
    pub(crate) redis_url: Option<String>,
    #[cfg_attr(
        not(any(feature = "postgres", test)),
        expect(dead_code, reason = "a build that lacks it refuses the flag")
    )]
    pub(crate) database_url: Option<String>,
}

/// What the command line asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// `--help`
    Help,
    /// Serve.
    Run(Args),
}

pub(crate) const USAGE: &str = "\
A small payments API behind the four guards of bartizan.

Usage: demo [FLAGS]      each flag is also a variable of the environment: --data-dir is DATA_DIR

  --listen ADDR              where to listen; port 0 picks a free one    [127.0.0.1:3000]
  --data-dir DIR             where the database lives; made if missing   [a directory under the system's temporary one]
  --reads-per-second N       GETs allowed per client address             [100]
  --writes-per-second N      POSTs allowed per client address            [10]
  --trusted-proxy CIDR       believe X-Forwarded-For and X-Forwarded-Proto from these peers
                             (repeatable; separated by commas in TRUSTED_PROXY)
  --streams-per-user N       event streams that one user may hold open   [no limit]
  --redis-url URL            share the limits with every demo on the same Redis, and the event log unless
                             --database-url names another place for it (needs `--features redis`)
  --database-url URL         keep transactions and events in this PostgreSQL, shared with every demo on it
                             (needs `--features postgres`)
  --help                     print this";

impl Command {
    /// Reads the arguments of this process over its environment.
    pub(crate) fn from_process() -> Result<Self, BadFlag> {
        Self::parse(env::args_os().skip(1), |name| env::var_os(name))
    }

    fn parse(
        args: impl Iterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, BadFlag> {
        let mut given: Vec<(&'static str, String)> = Vec::new();
        let mut args = args.map(text);
        while let Some(arg) = args.next() {
            let arg = arg.map_err(|arg| BadFlag::new(&arg, None, NO_TEXT))?;
            if arg == "--help" || arg == "-h" {
                return Ok(Self::Help);
            }
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            let Some(&flag) = FLAGS.iter().find(|flag| **flag == name) else {
                return Err(BadFlag::new(&arg, None, "no such flag; --help lists them"));
            };
            let Some(value) = inline.map(Ok).or_else(|| args.next()) else {
                return Err(BadFlag::new(flag, None, "needs a value"));
            };
            let value = value.map_err(|value| BadFlag::new(flag, Some(&value), NO_TEXT))?;
            if flag != TRUSTED_PROXY && given.iter().any(|(known, _)| *known == flag) {
                return Err(BadFlag::new(flag, Some(&value), "given twice"));
            }
            given.push((flag, value));
        }
        for flag in FLAGS {
            if given.iter().all(|(known, _)| known != flag) {
                if let Some(value) = variable(&variable_of(flag)).filter(|v| !v.is_empty()) {
                    let value = text(value);
                    let value = value.map_err(|value| BadFlag::new(flag, Some(&value), NO_TEXT))?;
                    match *flag {
                        TRUSTED_PROXY => given
                            .extend(value.split(',').map(|cidr| (*flag, cidr.trim().to_owned()))),
                        _ => given.push((flag, value)),
                    }
                }
            }
        }
        Args::checked(&given).map(Self::Run)
    }
}

impl Args {
    fn checked(given: &[(&'static str, String)]) -> Result<Self, BadFlag> {
        let proxies = values(given, TRUSTED_PROXY);
        Ok(Self {
            listen: value(
                given,
                LISTEN,
                "an address with a port, such as 127.0.0.1:3000",
            )?
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 3000))),
            data_dir: match values(given, DATA_DIR).pop() {
                Some("") => return Err(BadFlag::new(DATA_DIR, Some(""), "must name a directory")),
                Some(dir) => PathBuf::from(dir),
                None => env::temp_dir().join("bartizan-demo"),
            },
            reads_per_second: rate(given, READS, 100)?,
            writes_per_second: rate(given, WRITES, 10)?,
            trusted_proxies: match proxies.is_empty() {
                true => None,
                false => Some(TrustedProxies::cidrs(proxies).map_err(|error| {
                    BadFlag::new(TRUSTED_PROXY, Some(error.value()), error.fix())
                })?),
            },
            streams_per_user: value(given, STREAMS, "a whole number of at least 1")?,
            redis_url: built_in(given, REDIS_URL, "redis", cfg!(feature = "redis"))?,
            database_url: built_in(given, DATABASE_URL, "postgres", cfg!(feature = "postgres"))?,
        })
    }
}

fn rate(
    given: &[(&'static str, String)],
    flag: &'static str,
    default: u32,
) -> Result<NonZeroU32, BadFlag> {
    const HINT: &str = "a whole number from 1 to 1000000";
    let rate = value(given, flag, HINT)?.unwrap_or(NonZeroU32::MIN.saturating_add(default - 1));
    match rate.get() {
        1..=1_000_000 => Ok(rate),
        much => Err(BadFlag::new(flag, Some(&much.to_string()), HINT)),
    }
}

fn value<T: FromStr>(
    given: &[(&'static str, String)],
    flag: &'static str,
    wanted: &str,
) -> Result<Option<T>, BadFlag> {
    values(given, flag)
        .pop()
        .map(|text| {
            text.parse()
                .map_err(|_| BadFlag::new(flag, Some(text), wanted))
        })
        .transpose()
}

/// The value of a flag that needs a feature which this build may lack.
fn built_in(
    given: &[(&'static str, String)],
    flag: &'static str,
    feature: &str,
    is_there: bool,
) -> Result<Option<String>, BadFlag> {
    match values(given, flag).pop() {
        Some(url) if !is_there => {
            let wanted = format!(
                "this demo was built without it: `cargo run --example demo --features {feature}`"
            );
            Err(BadFlag::new(flag, Some(&without_password(url)), &wanted))
        }
        url => Ok(url.map(str::to_owned)),
    }
}

fn values<'a>(given: &'a [(&'static str, String)], flag: &str) -> Vec<&'a str> {
    let of_flag = given.iter().filter(|(known, _)| *known == flag);
    of_flag.map(|(_, value)| value.as_str()).collect()
}

/// UTF-8, or what of it there is.
fn text(arg: OsString) -> Result<String, String> {
    arg.into_string()
        .map_err(|arg| arg.to_string_lossy().into_owned())
}

/// A URL as it may be told: without what stands before an `@`, and without the password of its query. Where
/// it cannot be told which of them that `@` is in, no more than the scheme.
pub(crate) fn without_password(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = url.split_at(start);
    let rest = match rest.rsplit_once('@') {
        Some((before, _)) if before.contains('?') => "..",
        Some((_, rest)) => rest,
        None => rest,
    };
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut told = format!("{scheme}{address}");
    let public = |pair: &&str| !pair.starts_with("pass") && !pair.is_empty();
    for (n, pair) in query.split('&').filter(public).enumerate() {
        told.push(if n == 0 { '?' } else { '&' });
        told.push_str(pair);
    }
    told
}

fn variable_of(flag: &str) -> String {
    flag.trim_start_matches('-')
        .replace('-', "_")
        .to_uppercase()
}

/// A flag that cannot be used: which, the value it was given, and what would work.
#[derive(Debug)]
pub(crate) struct BadFlag(String);

impl BadFlag {
    pub(crate) fn new(flag: &str, value: Option<&str>, wanted: &str) -> Self {
        // Escaped, so that no value can make a second line of it.
        Self(match value {
            Some(value) => format!("{} {value:?}: {wanted}", flag.escape_debug()),
            None => format!("{}: {wanted}", flag.escape_debug()),
        })
    }
}

impl fmt::Display for BadFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) const LISTEN: &str = "--listen";
pub(crate) const DATA_DIR: &str = "--data-dir";
const NO_TEXT: &str = "is not UTF-8";
const READS: &str = "--reads-per-second";
const WRITES: &str = "--writes-per-second";
const TRUSTED_PROXY: &str = "--trusted-proxy";
const STREAMS: &str = "--streams-per-user";
pub(crate) const REDIS_URL: &str = "--redis-url";
pub(crate) const DATABASE_URL: &str = "--database-url";
const FLAGS: &[&str] = &[
    LISTEN,
    DATA_DIR,
    READS,
    WRITES,
    TRUSTED_PROXY,
    STREAMS,
    REDIS_URL,
    DATABASE_URL,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str], environment: &[(&str, &str)]) -> Result<Args, String> {
        let variable = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        match Command::parse(args.iter().map(OsString::from), variable) {
            Ok(Command::Run(args)) => Ok(args),
            Ok(Command::Help) => Err("help".to_owned()),
            Err(bad) => Err(bad.to_string()),
        }
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_both_over_the_default() {
        let args = parse(&[], &[]).unwrap();
        assert_eq!(args.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(args.reads_per_second.get(), 100);
        assert_eq!(args.writes_per_second.get(), 10);
        assert!(args.data_dir.starts_with(env::temp_dir()));
        assert!(args.trusted_proxies.is_none() && args.streams_per_user.is_none());
        assert!(args.redis_url.is_none() && args.database_url.is_none());

        let environment = [
            ("LISTEN", "[::1]:0"),
            ("READS_PER_SECOND", "7"),
            ("DATA_DIR", "/x"),
        ];
        let args = parse(
            &["--reads-per-second=9", "--streams-per-user", "2"],
            &environment,
        )
        .unwrap();
        assert_eq!(args.listen.to_string(), "[::1]:0");
        assert_eq!(args.reads_per_second.get(), 9);
        assert_eq!(args.streams_per_user.map(NonZeroUsize::get), Some(2));
        assert_eq!(args.data_dir, PathBuf::from("/x"));
    }

    #[test]
    fn proxies_repeat_as_flags_and_stand_in_a_list_in_the_environment() {
        let args = parse(
            &[
                "--trusted-proxy",
                "10.0.0.0/8",
                "--trusted-proxy",
                "::1/128",
            ],
            &[],
        );
        assert!(args.unwrap().trusted_proxies.is_some());
        let args = parse(&[], &[("TRUSTED_PROXY", "10.0.0.0/8, 127.0.0.1/32")]);
        assert!(args.unwrap().trusted_proxies.is_some());
    }

    #[test]
    fn what_cannot_be_used_is_told_in_one_line_with_flag_and_value() {
        for (args, flag, value) in [
            (&["--listen", "nowhere"][..], "--listen", "nowhere"),
            (&["--reads-per-second", "0"], "--reads-per-second", "0"),
            (
                &["--reads-per-second", "4000000000"],
                "--reads-per-second",
                "4000000000",
            ),
            (&["--writes-per-second=-1"], "--writes-per-second", "-1"),
            (
                &["--trusted-proxy", "10.0.0.0/80"],
                "--trusted-proxy",
                "10.0.0.0/80",
            ),
            (
                &["--streams-per-user", "many"],
                "--streams-per-user",
                "many",
            ),
            (&["--listen"], "--listen", "needs a value"),
            (&["--data-dir", ""], "--data-dir", "\"\""),
            (
                &["--listen=127.0.0.1:1", "--listen=127.0.0.1:2"],
                "--listen",
                "127.0.0.1:2",
            ),
            (&["--no-such\nflag"], "--no-such", "no such flag"),
            (&["stray"], "stray", "no such flag"),
        ] {
            let told = parse(args, &[]).unwrap_err();
            assert!(told.contains(flag) && told.contains(value), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
        let told = parse(&[], &[("READS_PER_SECOND", "lots")]).unwrap_err();
        assert!(
            told.contains("--reads-per-second") && told.contains("lots"),
            "{told}"
        );
    }

    #[test]
    fn what_is_no_text_is_refused_wherever_it_stands() {
        use std::os::unix::ffi::OsStringExt;

        let bad = || OsString::from_vec(b"/data/\xff".to_vec());
        let from_environment = |name: &str| (name == "DATA_DIR").then(bad);
        for told in [
            Command::parse(std::iter::empty(), from_environment),
            Command::parse(["--data-dir".into(), bad()].into_iter(), |_| None),
            Command::parse([bad()].into_iter(), |_| None),
        ] {
            let told = told.unwrap_err().to_string();
            assert!(told.contains("/data/") && told.contains("UTF-8"), "{told}");
        }
    }

    #[test]
    fn a_url_is_told_without_its_password() {
        for (url, told) in [
            ("postgres://u:hunter2@db/x?a=b", "postgres://db/x?a=b"),
            (
                "postgres:///x?host=/run&password=hunter2&user=u",
                "postgres:///x?host=/run&user=u",
            ),
            ("redis+unix:///r?pass=hunter2", "redis+unix:///r"),
            ("redis://:hunter2?hunter2@hunter2@r/", "redis://.."),
            ("postgres:///x?user=u&password=a@hunter2", "postgres://.."),
            ("no URL", "no URL"),
        ] {
            assert_eq!(without_password(url), told);
        }
    }
}
