//! Thousands of files, most of them wrong somewhere: what can be read can be built.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::rate_limit::{MemoryStore, RateLimitLayer};

/// A field, and what somebody might write there.
fn change() -> impl Strategy<Value = (&'static str, Value)> {
    let likely = prop::sample::select(vec![
        ("name", json!("app")),
        ("quota", json!({ "count": 3, "per": "15m" })),
        ("quota", json!({ "count": 300, "per": "day", "burst": 2 })),
        (
            "windows",
            json!([{ "name": "w", "quota": { "count": 4, "per": "day" } }]),
        ),
        ("on", json!(["GET /{id}", "/a/{id}/b"])),
        ("on", json!("POST")),
        ("by", json!("client_ip")),
        ("by", json!({ "path_param": "id", "missing": "skip" })),
        ("by", json!([{ "header": "x-a" }, { "key": "user" }])),
        ("cost", json!(3)),
        ("unit", json!("cells")),
        ("mode", json!("shadow")),
    ]);
    let field = prop::sample::select(vec![
        "name", "quota", "windows", "on", "by", "cost", "unit", "mode", "other",
    ]);
    prop_oneof![likely, (field, value())]
}

/// Something that is likely to be wrong in an interesting way.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u64..20).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z/{}*: ]{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "second", "0s", "shadow", "constant", "/{id}", "skip", "api"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let names = prop::sample::select(vec![
            "count",
            "per",
            "burst",
            "name",
            "quota",
            "header",
            "path_param",
            "client_prefix",
            "key",
            "missing",
            "other",
        ]);
        let table = prop::collection::hash_map(names.prop_map(str::to_owned), inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
            table.prop_map(|table| Value::Object(table.into_iter().collect())),
        ]
    })
}

#[test]
fn whatever_can_be_read_can_be_built_and_nothing_panics() {
    let (built, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(3000));
    runner
        .run(&prop::collection::vec(change(), 1..4), |changes| {
            let mut changed = limit("mode", json!("enforce"));
            for (field, value) in changes {
                changed[field] = value;
            }
            let config = match read_limits(&[changed]) {
                Ok(config) => config
                    .client(&ClientSource::peer())
                    .key("user", key::constant()),
                Err(error) => {
                    refused.set(refused.get() + 1);
                    prop_assert!(error.starts_with("limits[0]"), "{error}");
                    return Ok(());
                }
            };
            match config.policies() {
                Ok(policies) => {
                    built.set(built.get() + 1);
                    let layer = RateLimitLayer::builder()
                        .store(MemoryStore::with_capacity(4))
                        .policies(policies);
                    prop_assert!(layer.build().is_ok());
                }
                // A key that the program does not have.
                Err(error) => prop_assert_eq!(error.field(), "limits[0].by"),
            }
            Ok(())
        })
        .unwrap();
    let met = (built.get(), refused.get());
    assert!(met.0 > 300 && met.1 > 300, "built and refused: {met:?}");
}
