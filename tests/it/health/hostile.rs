//! Errors whose text says everything that nobody must hear.

use std::error::Error;
use std::fmt;

use bartizan::health::{Dependency, ProbeError};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

/// An error with a source, as drivers nest them.
#[derive(Clone, Debug)]
struct Nested(String, Option<Box<Self>>);

impl fmt::Display for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Nested {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

/// What stands in a text that must not be shown, and in nothing else.
const MARKS: [&str; 6] = [
    "zq9user",
    "zq9secret",
    "zq9host",
    "54321",
    "zq9path",
    "zq9detail",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("postgres://zq9user:zq9secret@zq9host:54321/zq9path".to_owned()),
        Just("\u{1b}[31m\u{7}".to_owned()),
        Just("\r\nSet-Cookie: zq9secret=1\r\n\r\n".to_owned()),
        Just("</script><script>alert('zq9detail')</script>".to_owned()),
        Just(r#""}],"status":"pass","zq9detail":""#.to_owned()),
        Just("\0\u{fffd}\u{2028}\u{202e}\\".to_owned()),
        prop::sample::select(vec![
            "timed out",
            "connection refused",
            "pool timed out",
            "WRONGPASS",
            "{}"
        ])
        .prop_map(str::to_owned),
        Just("zq9detail".repeat(20_000)),
        ".{0,40}",
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| format!("zq9detail {}", pieces.concat()))
}

/// In any form in which a probe may fail.
fn fail(kind: usize, text: String, cause: String) -> ProbeError {
    match kind {
        0 => ProbeError::caused_by(text),
        1 => ProbeError::from(std::io::Error::other(text)),
        2 => ProbeError::from(Nested(text, Some(Box::new(Nested(cause, None))))),
        _ => ProbeError::from(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            Nested(text, None),
        )),
    }
}

#[test]
fn what_an_error_says_is_in_no_answer_whoever_asks_and_however() {
    let (long, quoted) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    TestRunner::default()
        .run(
            &(hostile(), hostile(), 0_usize..4),
            |(text, cause, kind)| {
                long.set(long.get() + usize::from(text.len() > 100_000));
                quoted.set(quoted.get() + usize::from(text.contains("\"status\"")));
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build()
                    .unwrap();
                runtime.block_on(answers(move || fail(kind, text.clone(), cause.clone())))
            },
        )
        .unwrap();
    assert!(
        long.get() > 5 && quoted.get() > 5,
        "the texts were too tame"
    );
}

async fn answers(
    error: impl Fn() -> ProbeError + Send + Sync + 'static,
) -> Result<(), TestCaseError> {
    let runs = Runs::default();
    let failing = runs.of(move || std::future::ready(Err::<(), _>(error())));
    let health = run(builder().dependency(Dependency::local("database", failing))).await;
    let check = health.current();
    let check = check.dependencies().next().unwrap();
    let reason = check.reason().expect("it is not well");
    let brief = format!(
        r#"{{"status":"{}","reasons":["{reason}"]}}"#,
        check.status()
    );
    for path in Health::PATHS.map(|path| path.replace("{name}", "database")) {
        for accept in ["*/*", "application/json", "text/plain"] {
            for viewer in ["nobody", "x-operator"] {
                let request = Request::get(format!("{path}?verbose"))
                    .header("accept", accept)
                    .header(viewer, "me");
                let answer = call(health.service(), request.body(()).unwrap()).await;
                let (head, body) = (format!("{:?}", answer.headers()), answer.into_body());
                let body = String::from_utf8(body.to_vec()).expect("UTF-8");
                for mark in MARKS {
                    prop_assert!(
                        !body.contains(mark) && !head.contains(mark),
                        "{path}: {mark}"
                    );
                }
                prop_assert!(body.len() <= 10 * 1024, "{}", body.len());
                if body.starts_with('{') {
                    let document: Value = serde_json::from_str(&body).expect("JSON");
                    prop_assert_eq!(&document["status"], check.status().as_str());
                    prop_assert!(viewer == "x-operator" || body == brief, "{}", body);
                }
            }
        }
    }
    prop_assert_eq!(runs.begun(), 1);
    Ok(())
}
