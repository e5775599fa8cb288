//! Every JSON document against the schema that `tests/schemas` keeps for it.

use std::future::ready;

use bartizan::health::{Dependency, Observation, ProbeError, Reason};
use boon::{Compiler, SchemaIndex, Schemas};

use super::*;

const FILES: [(&str, &str); 6] = [
    ("check.json", include_str!("../../schemas/check.json")),
    ("common.json", include_str!("../../schemas/common.json")),
    ("health.json", include_str!("../../schemas/health.json")),
    ("problem.json", include_str!("../../schemas/problem.json")),
    ("public.json", include_str!("../../schemas/public.json")),
    ("status.json", include_str!("../../schemas/status.json")),
];

/// The schemas, compiled.
struct Kept(Schemas, Vec<(&'static str, SchemaIndex)>);

impl Kept {
    fn new() -> Self {
        let url = |name: &str| format!("https://schemas.invalid/{name}");
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        for (name, text) in FILES {
            let schema = serde_json::from_str(text).unwrap();
            compiler.add_resource(&url(name), schema).unwrap();
        }
        let mut schemas = Schemas::new();
        let compiled = FILES.map(|(name, _)| {
            let index = compiler.compile(&url(name), &mut schemas);
            (
                name,
                index.unwrap_or_else(|error| panic!("{name}: {error:#}")),
            )
        });
        Self(schemas, compiled.into())
    }

    /// What is wrong with a document, if anything.
    fn complaint(&self, schema: &str, document: &Value) -> Option<String> {
        let (_, index) = self.1.iter().find(|(name, _)| *name == schema).unwrap();
        let verdict = self.0.validate(document, *index);
        verdict.err().map(|error| format!("{error:#}"))
    }

    #[track_caller]
    fn accept(&self, schema: &str, document: &Value) {
        if let Some(complaint) = self.complaint(schema, document) {
            panic!("{schema}: {complaint}\n{document:#}");
        }
    }
}

/// One dependency for each kind of thing that can be said of one.
fn everything() -> HealthBuilder {
    let down = || ready(Err::<(), _>(refused()));
    let told = || {
        ready(Err::<(), _>(
            ProbeError::new(Reason::Limit).public("lag\n31 s"),
        ))
    };
    let seen = |value| {
        move || {
            ready(
                Observation::new()
                    .value(value, "percent")
                    .measurement("used"),
            )
        }
    };
    let panics = || -> std::future::Ready<()> { panic!("on purpose") };
    builder()
        .dependency(Dependency::shared("database", down))
        .dependency(Dependency::shared("ledger", || ready(())).depends_on(["database"]))
        .dependency(Dependency::shared("replica", told))
        .dependency(Dependency::shared("warned", || {
            ready(Observation::new().warn("look"))
        }))
        .dependency(Dependency::local("cache", || ready(())))
        .dependency(Dependency::local("disk", seen(61.5)))
        .dependency(Dependency::local("odd", seen(f64::NAN)))
        .dependency(Dependency::shared("slow", || {
            tokio::time::sleep(millis(700))
        }))
        .dependency(Dependency::shared("hung", std::future::pending::<()>))
        .dependency(Dependency::shared("panics", panics))
}

/// Reads every document that a service has, as the public and as a viewer of details, and returns
/// how many there were.
async fn check_all(kept: &Kept, health: &Health) -> usize {
    let mut checked = 0;
    let names: Vec<_> = health
        .current()
        .dependencies()
        .map(|one| one.name().to_owned())
        .collect();
    let pages = [
        ("/health".to_owned(), "health.json"),
        ("/api/status".to_owned(), "status.json"),
    ];
    let checks = names
        .iter()
        .map(|name| (format!("/health/{name}"), "check.json"));
    for (path, schema) in pages.into_iter().chain(checks) {
        for media_type in ["application/health+json", "application/json"] {
            for (viewer, schema) in [("nobody", "public.json"), ("x-operator", schema)] {
                let request = Request::get(&path)
                    .header("accept", media_type)
                    .header(viewer, "me");
                let response = call(health.service(), request.body(()).unwrap()).await;
                let document: Value = serde_json::from_slice(response.body()).unwrap();
                kept.accept(schema, &document);
                let healthy = response.status() == 200;
                let fails = document["status"] == "fail";
                assert_eq!(healthy, !fails, "{path}: {document}");
                checked += 1;
            }
        }
    }
    checked
}

#[tokio::test(start_paused = true)]
async fn every_document_of_every_state_has_the_shape_that_is_kept_for_it() {
    let kept = Kept::new();
    let (health, driver) = everything().build().unwrap();
    assert_eq!(
        check_all(&kept, &health).await,
        48,
        "before the first result"
    );
    let driver = tokio::spawn(driver);
    for state in ["at once", "soon", "settled", "much later"] {
        assert_eq!(check_all(&kept, &health).await, 48, "{state}");
        pass(secs(7)).await;
    }
    let reasons: Vec<_> = health
        .current()
        .dependencies()
        .map(|one| one.reason())
        .collect();
    for reason in [
        Some(Reason::Refused),
        Some(Reason::Blocked),
        Some(Reason::Limit),
        Some(Reason::Degraded),
        Some(Reason::Slow),
        Some(Reason::Timeout),
        Some(Reason::Panic),
        None,
    ] {
        assert!(reasons.contains(&reason), "{reason:?} in {reasons:?}");
    }
    health.set_maintenance(true);
    check_all(&kept, &health).await;
    health.set_maintenance(false);
    health.drain();
    check_all(&kept, &health).await;
    driver.abort();
    settle().await;
    assert!(health.current().is_stale());
    check_all(&kept, &health).await;

    let well = run(builder().dependency(Dependency::local("cache", || ready(())))).await;
    check_all(&kept, &well).await;
}

#[tokio::test(start_paused = true)]
async fn refusals_are_problem_documents() {
    let kept = Kept::new();
    let health = run(everything()).await;
    for (request, status) in [
        (Request::get("/health/nobody"), 404),
        (Request::get("/nowhere"), 404),
        (Request::post("/health"), 405),
        (Request::delete("/readyz"), 405),
    ] {
        let response = call(health.service(), request.body(()).unwrap()).await;
        assert_eq!(response.status(), status);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let document = serde_json::from_slice(response.body()).unwrap();
        kept.accept("problem.json", &document);
        assert_eq!(document["status"], status);
    }
}

/// A schema that accepts anything would prove nothing: no document survives the loss of a member
/// that is required, nor one that nobody knows.
#[tokio::test(start_paused = true)]
async fn the_schemas_refuse_what_is_not_documented() {
    let kept = Kept::new();
    let health = run(everything()).await;
    pass(secs(7)).await;
    for (path, schema) in [
        ("/health", "health.json"),
        ("/health/ledger", "check.json"),
        ("/api/status", "status.json"),
    ] {
        let document: Value = serde_json::from_str(&inspect(&health, path).await.1).unwrap();
        kept.accept(schema, &document);
        assert!(
            kept.complaint("public.json", &document).is_some(),
            "{path} has details"
        );
        for name in document.as_object().unwrap().keys() {
            let mut less = document.clone();
            less.as_object_mut().unwrap().remove(name);
            let optional = schema == "health.json" && name == "rootCauses";
            assert_eq!(
                kept.complaint(schema, &less).is_none(),
                optional,
                "{path} without {name}"
            );
        }
        let mut more = document.clone();
        more["surprise"] = true.into();
        assert!(
            kept.complaint(schema, &more).is_some(),
            "{path} with another member"
        );
    }
    let (_, body) = inspect(&health, "/api/status").await;
    let document: Value = serde_json::from_str(&body).unwrap();
    for (member, value) in [
        ("reason", Value::from("hunter2@db.internal")),
        ("status", "UP".into()),
        ("since", "yesterday".into()),
        ("output", "a\nb".into()),
        ("blockedBy", Value::Array(Vec::new())),
        ("observedValue", Value::Null),
    ] {
        let mut wrong = document.clone();
        wrong["dependencies"][0][member] = value;
        assert!(kept.complaint("status.json", &wrong).is_some(), "{member}");
    }
}
