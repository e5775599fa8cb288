//! The checker finds what is planted.

use super::*;

fn document() -> Value {
    let problem =
        json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    json!({
        "paths": {"/things/{id}": {"get": {"responses": {
            "200": {
                "headers": {"RateLimit": {"required": true, "schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"type": "array"}}},
            },
            "429": {
                "headers": {"Retry-After": {"required": true, "schema": {"type": "integer"}}},
                "content": problem,
            },
        }}}},
        "components": {"schemas": {"Problem": {
            "type": "object", "required": ["status"], "properties": {"status": {"type": "integer"}},
        }}},
        "x-otherwise": {"path": {"404": {"content": problem}}},
    })
}

fn answer(path: &str, status: u16, media: &str, header: (&str, &str), body: &str) -> Occurred {
    let headers =
        [("content-type", media), header].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Occurred {
        method: "GET".to_owned(),
        path: path.to_owned(),
        with_body: false,
        answer: Answer {
            status,
            headers: headers.into(),
            body: body.into(),
        },
        whole: true,
    }
}

/// One of each that the document has.
fn all() -> Vec<Occurred> {
    let (json, problem) = (
        "application/json; charset=utf-8",
        "application/problem+json",
    );
    vec![
        answer("/things/1", 200, json, ("ratelimit", "x"), "[]"),
        answer(
            "/things/1",
            429,
            problem,
            ("retry-after", "1"),
            r#"{"status":429}"#,
        ),
        answer("/nowhere", 404, problem, ("date", "x"), r#"{"status":404}"#),
    ]
}

fn complaints(document: &Value, occurred: &[Occurred]) -> Vec<String> {
    let complaints = Checker::new(document).complaints(occurred);
    complaints.into_iter().collect()
}

#[test]
fn what_agrees_is_not_complained_of() {
    assert_eq!(complaints(&document(), &all()), [""; 0]);
}

#[test]
fn a_response_that_never_occurs_is_named() {
    let documented = |path: &str, status: &str| {
        let mut document = document();
        *document.pointer_mut(path).unwrap() = json!({"description": "planted"});
        let found = complaints(&document, &all());
        assert!(
            found
                .iter()
                .any(|one| one.contains("never occurred") && one.contains(status)),
            "{found:?}"
        );
    };
    documented("/paths/~1things~1{id}/get/responses/429", "429");
    documented("/x-otherwise/path/404", "404");
    for n in 0..3 {
        let mut fewer = all();
        let gone = fewer.remove(n).answer.status;
        let found = complaints(&document(), &fewer);
        assert!(
            found.len() == 1 && found[0].contains(&gone.to_string()),
            "{found:?}"
        );
        // Its head alone is not the response of a GET.
        let mut head = all();
        head[n].method = "HEAD".to_owned();
        assert_eq!(complaints(&document(), &head).is_empty(), n == 2);
    }
}

#[test]
fn a_field_that_never_occurs_is_named() {
    let mut document = document();
    document["x-otherwise"]["path"]["404"]["headers"] = json!({"Allow": {"required": false}});
    let found = complaints(&document, &all());
    assert!(
        found.len() == 1 && found[0].contains("404 with Allow"),
        "{found:?}"
    );
}

#[test]
fn an_answer_that_is_not_documented_is_named() {
    let plain = ("date", "x");
    for (planted, named) in [
        (
            answer("/things/1", 418, "application/json", plain, "[]"),
            "GET /things/1: 418 application/json",
        ),
        (
            answer("/things/1", 200, "text/html", plain, ""),
            "GET /things/1: 200 text/html",
        ),
        (
            answer("/things/1/2", 200, "application/json", plain, "[]"),
            "GET /things/1/2: 200",
        ),
        (
            answer("/things/1", 200, "application/json", plain, "[]"),
            "lacks RateLimit",
        ),
        (
            answer(
                "/things/1",
                200,
                "application/json",
                ("ratelimit", "x"),
                "{}",
            ),
            "array",
        ),
        (
            answer("/things/1", 200, "application/json", ("ratelimit", "x"), ""),
            "EOF",
        ),
        (
            answer(
                "/things/1",
                429,
                "application/problem+json",
                ("retry-after", "soon"),
                "{\"status\":429}",
            ),
            "Retry-After: soon",
        ),
        (
            answer("/nowhere", 404, "application/problem+json", plain, "{}"),
            "status",
        ),
        (
            answer(
                "/nowhere",
                404,
                "application/problem+json",
                ("allow", "GET"),
                "{\"status\":404}",
            ),
            "has allow",
        ),
    ] {
        let mut occurred = all();
        occurred.push(planted);
        let found = complaints(&document(), &occurred);
        assert!(
            found.len() == 1 && found[0].contains(named),
            "{named}: {found:?}"
        );
    }
    let mut other = all();
    other.push(Occurred {
        method: "PUT".to_owned(),
        ..all().remove(0)
    });
    let found = complaints(&document(), &other);
    assert!(
        found.len() == 1 && found[0].contains("PUT /things/1"),
        "{found:?}"
    );
}
