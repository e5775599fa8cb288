//! What a file says is what a builder is told, and what is wrong is named.

use serde::de::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::client::ClientSource;
use crate::load::Node;
use crate::rate_limit::{Key, Policy, Quota, Route, key};

mod random;

fn read(text: &str) -> Result<RateLimitConfig, String> {
    toml::from_str(text).map_err(|error| error.message().to_owned())
}

/// One limit that is valid, with this in the place of its field, or beside its fields.
fn limit(field: &str, value: Value) -> Value {
    let mut limit = json!({
        "name": "api",
        "quota": { "count": 10, "per": "minute" },
        "on": ["/users/{id}"],
        "by": ["constant", { "path_param": "id" }],
    });
    limit[field] = value;
    limit
}

fn read_limits(limits: &[Value]) -> Result<RateLimitConfig, String> {
    let node = Node::deserialize(json!({ "limits": limits })).expect("this is data");
    RateLimitConfig::read(&node).map_err(|error| error.to_string())
}

#[test]
fn every_field_is_what_the_builder_calls_by_the_same_name() {
    let file = r#"
        [[limits]]
        name = "api"
        quota = { count = 50, per = "second", burst = 100 }
        by = "client_ip"
        windows = [{ name = "daily", quota = { count = 9, per = "day" } }]
        mode = "enforce"

        [[limits]]
        name = "login"
        quota = { count = 5, per = "1500ms" }
        on = ["POST /login", "/tokens/{kind}", "PUT"]
        by = [{ client_prefix = 48 }, { header = "x-account", missing = "reject" }]
        mode = "shadow"

        [[limits]]
        name = "user"
        quota = { count = 3, per = "2h", burst = 1 }
        on = "GET /users/{id}"
        by = [{ path_param = "id" }, "constant", { key = "user", missing = "skip" }, { key = "user" }]
    "#;
    let client = ClientSource::peer();
    let user = || key::from_fn(|head| Some(head.path().len())).or_reject();
    let config = read(file).unwrap().client(&client).key("user", user());
    let wide = crate::client::Ipv6Prefix::new(48).unwrap();
    let expected = [
        Policy::new("api", Quota::per_second(50).burst(100))
            .and("daily", Quota::per_day(9))
            .by(key::client_ip(&client)),
        Policy::new(
            "login",
            Quota::per(5, std::time::Duration::from_millis(1500)),
        )
        .on(Route::post("/login"))
        .on(Route::any("/tokens/{kind}"))
        .on(Route::method(http::Method::PUT))
        .by((
            key::client_prefix(&client, wide),
            key::header("x-account").or_reject(),
        ))
        .shadow(),
        Policy::new(
            "user",
            Quota::per(3, std::time::Duration::from_secs(7200)).burst(1),
        )
        .on(Route::get("/users/{id}"))
        .by(Key::of_all(vec![
            key::path_param("id"),
            key::constant(),
            user().or_skip(),
            user(),
        ])),
    ];
    let policies = config.policies().unwrap();
    assert_eq!(format!("{policies:#?}"), format!("{expected:#?}"));

    let json: Value = toml::from_str(file).unwrap();
    let from_json: RateLimitConfig = serde_json::from_str(&json.to_string()).unwrap();
    let from_json = from_json.client(&client).key("user", user());
    assert_eq!(
        format!("{:#?}", from_json.policies().unwrap()),
        format!("{expected:#?}")
    );
}

#[test]
fn what_is_wrong_is_told_with_its_path_its_value_and_the_fix() {
    let quota = |quota| limit("quota", quota);
    for (wrong, message) in [
        (limit("name", json!("")), r#"name: "": use 1 to 64"#),
        (
            limit("name", json!("a\r\nb")),
            r#"name: "a\r\nb": use 1 to 64"#,
        ),
        (limit("name", json!(7)), r#"name: "7": write a text"#),
        (
            limit("name", Value::Null),
            r#"name: "none": give it a name"#,
        ),
        (
            limit("label", json!("x")),
            r#"label: "x": there is no such field: use `name`"#,
        ),
        (
            limit("quota", json!("50/s")),
            r#"quota: "50/s": write a table of `count`, `per`, `burst`"#,
        ),
        (
            quota(json!({ "count": 5 })),
            r#"quota.per: "none": say in what time"#,
        ),
        (
            quota(json!({ "per": "day" })),
            r#"quota.count: "none": say how many"#,
        ),
        (
            quota(json!({ "count": 0, "per": "day" })),
            r#"quota.count: "0": a quota of zero"#,
        ),
        (
            quota(json!({ "count": -1, "per": "day" })),
            r#"quota.count: "-1": write a whole number"#,
        ),
        (
            quota(json!({ "count": 1.5, "per": "day" })),
            r#"quota.count: "1.5": write a whole"#,
        ),
        (
            quota(json!({ "count": 2_000_000_000, "per": "second" })),
            r#"quota.count: "2000000000": the finest rate"#,
        ),
        (
            quota(json!({ "count": 1, "per": "0s" })),
            r#"quota.per: "0s": a window of no time"#,
        ),
        (
            quota(json!({ "count": 1, "per": "99999d" })),
            r#"quota.per: "99999d": it takes over 100 years"#,
        ),
        (
            quota(json!({ "count": 1, "per": "99999999999999999999d" })),
            r#"quota.per: "99999999999999999999d": write "#,
        ),
        (
            quota(json!({ "count": 1, "per": "fortnight" })),
            r#"quota.per: "fortnight": write "second""#,
        ),
        (
            quota(json!({ "count": 1, "per": "s" })),
            r#"quota.per: "s": write "second""#,
        ),
        (
            quota(json!({ "count": 1, "per": "day", "burst": 0 })),
            r#"quota.burst: "0": a quota of zero"#,
        ),
        (
            quota(json!({ "count": 1, "per": "day", "burst": u64::MAX })),
            r#"quota.burst: "18446744073709551615": it takes over"#,
        ),
        (
            quota(json!({ "count": 1, "per": "day", "brust": 2 })),
            r#"quota.brust: "2": there is no such field: use `count`, `per`, `burst`"#,
        ),
        (
            limit("on", json!(["/a/{id}", "login"])),
            r#"on[1]: "login": write a method in capitals"#,
        ),
        (
            limit("on", json!("P0ST /users/{id}")),
            r#"on: "P0ST /users/{id}": write a method"#,
        ),
        (
            limit("on", json!("get /users/{id}")),
            r#"on: "get /users/{id}": write a method"#,
        ),
        (
            limit("on", json!("GET users/{id}")),
            r#"on: "users/{id}": start it with a slash"#,
        ),
        (
            limit("on", json!("/users/:id")),
            r#"on: "/users/:id": write `{id}`"#,
        ),
        (limit("on", json!([])), r#"on: "an empty list": put one in"#),
        (
            limit("by", Value::Null),
            r#"by: "none": say what it counts by"#,
        ),
        (limit("by", json!([])), r#"by: "an empty list": put one in"#),
        (
            limit("by", json!("client")),
            r#"by: "client": write one of "client_ip", "constant""#,
        ),
        (
            limit("by", json!({ "header": "x api" })),
            r#"by: "x api": it is no header name"#,
        ),
        (
            limit("by", json!(["client_ip", { "header": "" }])),
            r#"by[1]: "": it is no header name"#,
        ),
        (
            limit("by", json!({ "path_param": "user" })),
            r#"by: "user": put the policy `.on` routes"#,
        ),
        (
            limit("by", json!({ "client_prefix": 16 })),
            r#"by.client_prefix: "16": choose 32 to 128"#,
        ),
        (
            limit("by", json!({ "client_prefix": 320 })),
            r#"by.client_prefix: "255": choose 32 to 128"#,
        ),
        (
            limit("by", json!({ "missing": "skip" })),
            r#"by: "a table": a part of a key has one of"#,
        ),
        (
            limit("by", json!({ "header": "a", "key": "b" })),
            r#"by: "a table": a part of a key has one of"#,
        ),
        (
            limit("by", json!({ "header": "a", "missing": "allow" })),
            r#"by.missing: "allow": write one of "shared", "reject", "skip""#,
        ),
        (
            limit("by", json!({ "cookie": "a" })),
            r#"by.cookie: "a": there is no such field"#,
        ),
        (
            limit("cost", json!(11)),
            r#"cost: "11": `api` holds 10 at most"#,
        ),
        (limit("unit", json!("a\"b")), r#"unit: "a\"b": use 1 to 64"#),
        (
            limit("mode", json!("off")),
            r#"mode: "off": write one of "enforce", "shadow""#,
        ),
        (
            limit(
                "windows",
                json!([{ "name": "api", "quota": { "count": 1, "per": "day" } }]),
            ),
            r#"windows[0].name: "api": it is taken"#,
        ),
        (
            limit("windows", json!([{ "name": "b" }])),
            r#"windows[0].quota: "none": say how much"#,
        ),
        (
            limit("windows", json!([{ "name": "b", "by": "constant" }])),
            r#"windows[0].by: "constant": there is no such field"#,
        ),
        (
            limit("windows", json!({ "name": "b" })),
            r#"windows: "a table": write a list"#,
        ),
    ] {
        let valid =
            json!({ "name": "first", "quota": { "count": 1, "per": "day" }, "by": "constant" });
        let error = read_limits(&[valid, wrong]).unwrap_err();
        let message = format!("limits[1].{message}");
        assert!(error.starts_with(&message), "{error}\nnot {message}");
    }
    let twice = read_limits(&[limit("mode", json!("shadow")), limit("cost", json!(1))]);
    assert!(
        twice
            .unwrap_err()
            .starts_with(r#"limits[1].name: "api": it is taken"#)
    );
}

#[test]
fn a_file_without_limits_or_with_more_is_refused() {
    for (file, message) in [
        ("", r#"limits: "none": list at least one"#),
        ("limits = []", r#"limits: "an empty list""#),
        ("limits = 3", r#"limits: "3": write a list"#),
        (
            "limit = []",
            r#"limit: "a list": there is no such field: use `limits`"#,
        ),
        ("limits = [5]", r#"limits[0]: "5": write a table of `name`"#),
    ] {
        let error = read(file).unwrap_err();
        assert!(error.starts_with(message), "{file}: {error}");
    }
    let error = serde_json::from_str::<RateLimitConfig>("[]").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(r#"configuration: "a list": write a table of `limits`"#)
    );
}

#[test]
fn a_field_that_is_there_twice_and_a_tree_that_has_no_end_are_refused() {
    let twice = r#"{ "limits": [{ "name": "a", "name": "b" }] }"#;
    let error = serde_json::from_str::<RateLimitConfig>(twice).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`name` is there twice at line 1"),
        "{error}"
    );
    // As some formats would hand it over, which do not count for themselves.
    let mut deep = Value::Null;
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let error = RateLimitConfig::deserialize(deep).unwrap_err();
    assert!(error.to_string().contains("nested so deeply"), "{error}");
}

#[test]
fn a_quota_and_a_route_can_be_read_by_themselves() {
    let quota: Quota = serde_json::from_str(r#"{ "count": 5, "per": "2s", "burst": 9 }"#).unwrap();
    assert_eq!(
        quota,
        Quota::per(5, std::time::Duration::from_secs(2)).burst(9)
    );
    let error = serde_json::from_str::<Quota>(r#"{ "count": 5, "per": "2s", "burst": 0 }"#);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .starts_with(r#"burst: "0": a quota of zero"#)
    );
    let route: Route = serde_json::from_str(r#""DELETE  /users/{id} ""#).unwrap();
    assert_eq!(route, Route::delete("/users/{id}"));
    let error = serde_json::from_str::<Route>("7").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(r#"configuration: "7": write a text"#)
    );
}

#[test]
fn what_the_program_has_to_give_and_has_not_is_named() {
    let by = |by: Value| read_limits(&[limit("by", by)]).unwrap();
    let error = by(json!("client_ip")).policies().unwrap_err();
    assert_eq!(
        (error.field(), error.value()),
        ("limits[0].by", "client_ip")
    );
    let config = by(json!({ "key": "usr" })).key("user", key::constant());
    let error = config.policies().unwrap_err();
    assert_eq!((error.field(), error.value()), ("limits[0].by", "usr"));
    assert!(error.fix().ends_with("[user]"), "{error}");
}

#[test]
fn only_quotas_change_under_a_running_layer() {
    let config = |limits: &[Value]| read_limits(limits).unwrap();
    let wide = limit("quota", json!({ "count": 20, "per": "hour", "burst": 3 }));
    let before = config(&[limit("cost", json!(1))]);
    let after = config(&[{
        let mut wide = wide.clone();
        wide["cost"] = json!(1);
        wide
    }]);
    assert_eq!(
        before.reloaded(&after),
        Ok(vec![("api", Quota::per_hour(20).burst(3))])
    );
    for (next, field) in [
        (vec![limit("name", json!("app"))], "limits[0].name"),
        (
            vec![limit(
                "windows",
                json!([{ "name": "b", "quota": { "count": 1, "per": "day" } }]),
            )],
            "limits[0].windows",
        ),
        (vec![limit("on", json!("/v2/{id}"))], "limits[0].on"),
        (vec![limit("by", json!("constant"))], "limits[0].by"),
        (vec![limit("cost", json!(2))], "limits[0].cost"),
        (vec![limit("unit", json!("cells"))], "limits[0].unit"),
        (vec![limit("mode", json!("shadow"))], "limits[0].mode"),
        (vec![wide, limit("name", json!("b"))], "limits"),
    ] {
        let before = config(&[limit("cost", Value::Null)]);
        let error = before.reloaded(&config(&next)).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
    }
}
