//! The questions as the server understands them: two scripts, their arguments and their answers.

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind};
use smallvec::SmallVec;

use super::known::{Order, Reply};
use crate::rate_limit::quota::Quota;

/// The scripts, and the hashes by which the server knows them.
#[derive(Debug)]
pub(super) struct Scripts {
    take: Script,
    undo: Script,
}

#[derive(Debug)]
struct Script {
    text: &'static str,
    hash: String,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            take: Script::new(include_str!("take.lua")),
            undo: Script::new(include_str!("undo.lua")),
        }
    }

    /// Takes the cells of `order`, and more for others, in all windows or in none. An order of no cells
    /// looks and takes nothing.
    pub(super) async fn take<C: ConnectionLike>(
        &self,
        connection: &mut C,
        key: &str,
        order: &Order,
        [further, advance]: [u64; 2],
    ) -> RedisResult<Reply> {
        let cells = [order.cells, further, advance].map(whole);
        let answer = self.ask(connection, key, order, cells).await?;
        reply(&answer, order.quotas.len())
    }

    /// Puts `cells` back into all windows, up to full.
    pub(super) async fn put_back<C: ConnectionLike>(
        &self,
        connection: &mut C,
        key: &str,
        order: &Order,
        cells: u64,
    ) -> RedisResult<()> {
        self.ask(connection, key, order, [-whole(cells), 0, 0])
            .await
            .map(drop)
    }

    /// Takes back what `order` was given by `reply`, if nobody has touched the bucket since. What was
    /// taken for others stays.
    pub(super) async fn undo<C: ConnectionLike>(
        &self,
        connection: &mut C,
        key: &str,
        order: &Order,
        reply: &Reply,
    ) -> RedisResult<()> {
        let left = micros(reply.times.iter().copied());
        let before = order.quotas.iter().zip(&reply.times);
        let before = micros(before.map(|(quota, time)| time - quota.span(order.cells).min(*time)));
        let latest = before.iter().copied().max().unwrap_or(0);
        let lengths: SmallVec<[u64; 2]> = order.quotas.iter().map(|q| length(*q) as u64).collect();
        let arguments = |command: &mut Cmd| {
            let [left, before] = [&left, &before].map(|times| bucket(times, &lengths));
            command.arg(left).arg(before).arg(latest);
        };
        self.undo
            .run::<i64>(connection, key, arguments)
            .await
            .map(drop)
    }

    async fn ask<C: ConnectionLike>(
        &self,
        connection: &mut C,
        key: &str,
        order: &Order,
        cells: [i64; 3],
    ) -> RedisResult<Vec<i64>> {
        let arguments = |command: &mut Cmd| {
            for cells in cells {
                command.arg(cells);
            }
            for quota in &order.quotas {
                command
                    .arg(whole(quota.span(1) / NANOS))
                    .arg(length(*quota));
            }
        };
        self.take.run(connection, key, arguments).await
    }
}

impl Script {
    fn new(text: &'static str) -> Self {
        let hash = redis::Script::new(text).get_hash().to_owned();
        Self { text, hash }
    }

    /// By its hash; if the server does not know that, by its text, from which it then does.
    async fn run<T: redis::FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
        key: &str,
        arguments: impl Fn(&mut Cmd),
    ) -> RedisResult<T> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(1).arg(key);
            arguments(&mut command);
            command
        };
        let first = command("EVALSHA", &self.hash);
        match first.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let again = command("EVAL", self.text);
                again.query_async(connection).await
            }
            answer => answer,
        }
    }
}

/// Reads `enough, further, advance, now, time, ..`.
fn reply(answer: &[i64], windows: usize) -> RedisResult<Reply> {
    let unreadable = || RedisError::from((ErrorKind::UnexpectedReturnType, "not a bucket's state"));
    let number = |value: &i64| u64::try_from(*value).map_err(|_| unreadable());
    let numbers: SmallVec<[u64; 6]> = answer.iter().map(number).collect::<Result<_, _>>()?;
    match &*numbers {
        [enough, further, advance, now, times @ ..] if times.len() == windows => Ok(Reply {
            enough: *enough == 1,
            further: *further,
            advance: *advance,
            now: now.saturating_mul(NANOS),
            times: (times.iter())
                .map(|time| time.saturating_mul(NANOS))
                .collect(),
        }),
        _ => Err(unreadable()),
    }
}

fn micros(times: impl Iterator<Item = u64>) -> SmallVec<[u64; 2]> {
    times.map(|time| time / NANOS).collect()
}

/// The bucket as the scripts write it.
fn bucket(times: &[u64], lengths: &[u64]) -> String {
    let numbers = times.iter().chain(lengths);
    let texts: Vec<_> = numbers.map(u64::to_string).collect();
    texts.join(":")
}

/// Of a window, in microseconds.
fn length(quota: Quota) -> i64 {
    whole(quota.span(quota.cells()) / NANOS)
}

/// What a script can compute with exactly. All that is larger is over a hundred years of microseconds.
fn whole(number: u64) -> i64 {
    number.min(LARGEST) as i64
}

/// Of a window as the server counts it: rounded up, so that no rate is exceeded.
pub(super) const fn in_micros(quota: Quota) -> Quota {
    quota.in_steps_of(NANOS)
}

/// Nanoseconds of a microsecond.
const NANOS: u64 = 1000;
const LARGEST: u64 = 1 << 52;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_no_state_of_this_bucket_is_an_error() {
        let good = [1, 2, 3, 1_000, 2_000, 3_000];
        let read = reply(&good, 2).expect("it is one of two windows");
        assert_eq!((read.enough, read.further, read.advance), (true, 2, 3));
        assert_eq!(
            (read.now, &*read.times),
            (1_000_000, &[2_000_000, 3_000_000][..])
        );
        for windows in [0, 1, 3] {
            assert!(reply(&good, windows).is_err(), "{windows}");
        }
        for bad in [
            &[][..],
            &[1],
            &[1, 0, 0],
            &[1, 0, 0, 5, -1],
            &[-1, 0, 0, 5, 1],
        ] {
            assert!(reply(bad, 1).is_err(), "{bad:?}");
        }
        let far = [1, 0, 0, i64::MAX, i64::MAX];
        assert_eq!(reply(&far, 1).expect("it saturates").now, u64::MAX);
    }

    #[test]
    fn a_rate_is_rounded_down_and_a_burst_stays() {
        let quota = in_micros(Quota::per_second(300).burst(7));
        assert_eq!((quota.span(1), quota.cells()), (3_334_000, 7));
        let exact = Quota::per_second(50);
        assert_eq!(in_micros(exact), exact);
    }

    #[test]
    fn numbers_stay_where_a_script_computes_exactly() {
        assert_eq!(whole(7), 7);
        assert!(whole(u64::MAX) < 1 << 53);
        assert_eq!(
            bucket(&[1, 1_800_000_000_000_000], &[5, 60]),
            "1:1800000000000000:5:60"
        );
    }
}
