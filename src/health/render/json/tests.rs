//! The documents against their documented members, and against hostile texts.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

use crate::health::probe::outcome::{Limits, Outcome};
use crate::health::report::Scope;
use crate::health::report::tests::report;
use crate::health::{Observation, ProbeError, Reason};

fn parsed(bytes: Vec<u8>) -> Value {
    serde_json::from_slice(&bytes).unwrap()
}

/// `database` is down, `ledger` is blocked by it, `cache` is above its limit.
fn troubled() -> Report {
    let mut report = report(&[
        (Scope::Shared, Status::Fail, Some(Reason::Refused)),
        (Scope::Local, Status::Fail, Some(Reason::Blocked)),
        (Scope::Local, Status::Warn, Some(Reason::Limit)),
    ]);
    let latency = Duration::from_micros(41_700);
    let limits = Limits::default();
    let failed = ProbeError::caused_by("db.internal:5432: password for admin refused")
        .with_reason(Reason::Refused)
        .public("the primary is away");
    let outcomes = [
        Outcome::judge(Err(failed), latency, limits),
        Outcome::failed(Reason::Refused, None),
        Outcome::judge(
            Ok(Observation::new().value(93.5, "percent").measurement("a:b")),
            latency,
            limits,
        ),
    ];
    for ((check, name), outcome) in (report.checks.iter_mut())
        .zip(["database", "ledger", "cache"])
        .zip(outcomes)
    {
        check.name = name.into();
        check.last = Some((
            outcome,
            SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_387_000_999),
        ));
    }
    report.checks[0].failures = 4;
    report.checks[0].since = Some(SystemTime::UNIX_EPOCH);
    report.checks[1].depends_on = ["database".into()].into();
    report.checks[1].blocked_by = vec!["database".into()];
    report
}

#[test]
fn the_health_document_has_the_members_of_the_draft() {
    assert_eq!(
        parsed(health(&troubled(), Viewer::Details)),
        json!({
            "status": "warn",
            "version": "1.4.2",
            "releaseId": "1.4.2+3f9c2ab",
            "commit": "3f9c2ab81e",
            "serviceId": "orders",
            "reasons": ["refused", "limit"],
            "rootCauses": ["database"],
            "checks": {
                "database:responseTime": [{
                    "componentId": "database", "componentType": "component", "scope": "shared",
                    "observedValue": 41.7, "observedUnit": "ms",
                    "status": "fail", "reason": "refused", "output": "the primary is away",
                    "consecutiveFailures": 4,
                    "since": "1970-01-01T00:00:00Z", "time": "2026-11-22T22:36:40Z",
                }],
                "ledger:responseTime": [{
                    "componentId": "ledger", "componentType": "component", "scope": "local",
                    "status": "fail", "reason": "blocked", "blockedBy": ["database"],
                    "time": "2026-11-22T22:36:40Z",
                }],
                "cache:a_b": [{
                    "componentId": "cache", "componentType": "component", "scope": "local",
                    "observedValue": 93.5, "observedUnit": "percent",
                    "status": "warn", "reason": "limit", "time": "2026-11-22T22:36:40Z",
                }],
                "uptime": [{
                    "componentType": "system", "observedValue": 1.5, "observedUnit": "s",
                    "status": "pass", "time": "1970-01-01T00:00:00Z",
                }],
            },
        })
    );
}

#[test]
fn the_status_document_says_what_runs_since_when_and_on_what() {
    let document = parsed(status(&troubled(), Viewer::Details));
    assert_eq!(document["service"], "orders");
    assert_eq!(document["version"], "1.4.2");
    assert_eq!(document["release"], "1.4.2+3f9c2ab");
    assert_eq!(document["commit"], "3f9c2ab81e");
    assert_eq!(document["uptimeSeconds"], 1.5);
    assert_eq!(document["rootCauses"], json!(["database"]));
    assert_eq!(
        document["dependencies"][0],
        json!({
            "name": "database", "scope": "shared", "status": "fail", "reason": "refused",
            "latencyMs": 41.7, "output": "the primary is away",
            "since": "1970-01-01T00:00:00Z", "time": "2026-11-22T22:36:40Z",
        })
    );
    let ledger = &document["dependencies"][1];
    assert_eq!(ledger["dependsOn"], json!(["database"]));
    assert_eq!(ledger["blockedBy"], json!(["database"]));
    assert_eq!(document["dependencies"][2]["observedValue"], 93.5);
}

/// The samples in the documentation of the room.
fn documented() -> Vec<Value> {
    let docs = include_str!("../../mod.rs").lines();
    let docs: Vec<_> = docs.map_while(|line| line.strip_prefix("//!")).collect();
    let samples = docs.join("\n");
    let samples = samples.split("```json").skip(1);
    let samples = samples.map(|rest| rest.split("```").next().unwrap());
    samples
        .map(|text| serde_json::from_str(text).unwrap())
        .collect()
}

/// The names of all members, keys of checks aside.
fn members(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::Object(object) => {
            for (name, value) in object {
                if !name.contains(':') && name != "uptime" {
                    found.insert(name.clone());
                }
                members(value, found);
            }
        }
        Value::Array(array) => array.iter().for_each(|value| members(value, found)),
        _ => {}
    }
}

#[test]
fn the_documentation_names_every_member_and_no_other() {
    let samples = documented();
    let rendered = [
        health(&troubled(), Viewer::Details),
        status(&troubled(), Viewer::Details),
    ];
    assert_eq!(samples.len(), rendered.len());
    for (sample, document) in samples.iter().zip(rendered.map(parsed)) {
        let (mut promised, mut kept) = (BTreeSet::new(), BTreeSet::new());
        members(sample, &mut promised);
        members(&document, &mut kept);
        assert_eq!(promised, kept);
    }
}

#[test]
fn the_public_sees_the_status_and_the_reasons_only() {
    let brief = json!({ "status": "warn", "reasons": ["refused", "limit"] });
    assert_eq!(parsed(health(&troubled(), Viewer::Public)), brief);
    assert_eq!(parsed(status(&troubled(), Viewer::Public)), brief);
    assert_eq!(
        parsed(check(&troubled().checks[0], Viewer::Public)),
        json!({ "status": "fail", "reasons": ["refused"] })
    );
    assert_eq!(
        parsed(health(&report(&[]), Viewer::Public)),
        json!({ "status": "pass" })
    );
}

#[test]
fn a_wall_clock_outside_of_rfc_3339_is_left_out() {
    let mut report = report(&[]);
    report.time = SystemTime::UNIX_EPOCH - Duration::from_secs(86_400);
    assert_eq!(parsed(status(&report, Viewer::Details)).get("time"), None);
    report.time = SystemTime::UNIX_EPOCH + Duration::from_secs(u32::MAX.into()) * 100;
    assert_eq!(parsed(status(&report, Viewer::Details)).get("time"), None);
}

/// Text that hurts terminals, logs, HTML and naive JSON, in error and in public text.
fn hostile() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "postgres://admin:hunter2@db.internal:5432/orders",
        "</script><script>alert(1)</script>",
        "\u{1b}[31m",
        "\r\nSet-Cookie: a=b",
        "\"}],\"status\":\"pass\"",
        "\u{0}\u{7f}\u{2028}\u{202e}",
        "\\",
    ]);
    prop::collection::vec(prop_oneof![nasty.prop_map(str::to_owned), ".{0,40}"], 1..20)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn an_errors_text_is_in_no_document_and_every_document_is_json(
        secret in hostile(),
        public in hostile(),
        value in any::<f64>(),
    ) {
        let marked = format!("SECRET{secret}SECRET");
        let error = ProbeError::caused_by(marked).public(&public);
        let outcomes = [
            Outcome::judge(Err(error), Duration::ZERO, Limits::default()),
            Outcome::judge(Ok(Observation::new().value(value, "x").warn(&public)), Duration::ZERO, Limits::default()),
        ];
        let mut report = report(&[(Scope::Local, Status::Fail, None), (Scope::Local, Status::Warn, None)]);
        for (check, outcome) in report.checks.iter_mut().zip(outcomes) {
            check.last = Some((outcome, SystemTime::UNIX_EPOCH));
        }
        for viewer in Viewer::ALL {
            let mut documents = vec![health(&report, viewer), status(&report, viewer)];
            documents.push(check(&report.checks[0], viewer));
            for document in documents {
                prop_assert!(document.len() < 8 * 1024);
                let text = String::from_utf8(document).unwrap();
                prop_assert!(!text.contains("SECRET"));
                prop_assert!(!text.chars().any(char::is_control));
                let document: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(&document["status"], "fail");
                prop_assert_eq!(document.get("version").is_some() && viewer == Viewer::Public, false);
            }
        }
    }
}
