//! An OpenAPI document against answers that occurred, both ways.

use std::collections::{BTreeMap, BTreeSet};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Map, Value, json};

use crate::http::Answer;

/// One answer, and what it was the answer to.
#[derive(Clone, Debug)]
pub(super) struct Occurred {
    pub(super) method: String,
    /// Without its query.
    pub(super) path: String,
    pub(super) with_body: bool,
    pub(super) answer: Answer,
    /// Whether the body was read to its end.
    pub(super) whole: bool,
}

/// Where the document lists responses: an operation such as `get /livez`, or one of what it has for
/// the rest under `x-otherwise`.
type Place = String;

/// A listed response: place, status, and media type (empty if it has no content).
type Listed = (Place, String, String);

/// Fields that say something about this API: an answer that has one needs it documented.
const TELLING: [&str; 10] = [
    "allow",
    "etag",
    "event-stream-reset",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "sec-websocket-accept",
    "sec-websocket-version",
    "set-cookie",
    "www-authenticate",
];

/// The document, ready to be asked.
pub(super) struct Checker<'a> {
    document: &'a Value,
    schemas: Schemas,
    compiler: Compiler,
    compiled: BTreeMap<String, SchemaIndex>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(document: &'a Value) -> Self {
        Self {
            document,
            schemas: Schemas::new(),
            compiler: Compiler::new(),
            compiled: BTreeMap::new(),
        }
    }

    /// What is wrong: answers that the document does not have, and responses that never occurred.
    pub(super) fn complaints(&mut self, occurred: &[Occurred]) -> BTreeSet<String> {
        let mut complaints = BTreeSet::new();
        let mut unseen = self.listed();
        for one in occurred {
            match self.listing_of(one) {
                Some((listed, response)) => {
                    // A HEAD shows the head of a response, and not that the response occurs.
                    if one.method != "HEAD" || !listed.0.starts_with("get ") {
                        unseen.remove(&listed);
                    }
                    for wrong in self.faults(one, &response, &listed.2) {
                        let (place, status, media) = &listed;
                        complaints.insert(format!("{place} {status} {media}: {wrong}"));
                    }
                }
                None => {
                    let (method, path, status) = (&one.method, &one.path, one.answer.status);
                    let body = if one.with_body { " with a body" } else { "" };
                    let media = media_of(&one.answer);
                    complaints.insert(format!(
                        "not documented: {method} {path}{body}: {status} {media}"
                    ));
                }
            }
        }
        let never = unseen.into_iter();
        complaints.extend(never.map(|(place, status, media)| {
            format!("documented, and never occurred: {place}: {status} {media}")
        }));
        complaints
    }

    /// What is wrong with a value of the type that the document names so.
    pub(super) fn complaint_of(&mut self, name: &str, value: &Value) -> Option<String> {
        self.invalid(
            &json!({"$ref": format!("#/components/schemas/{name}")}),
            value,
        )
    }

    fn listed(&self) -> BTreeSet<Listed> {
        let mut listed = BTreeSet::new();
        for place in self.places() {
            for (status, response) in self.responses(&place).into_iter().flatten() {
                let media: Vec<_> = match response["content"].as_object() {
                    Some(content) => content.keys().cloned().collect(),
                    None => vec![String::new()],
                };
                listed.extend(
                    media
                        .into_iter()
                        .map(|media| (place.clone(), status.clone(), media)),
                );
            }
        }
        listed
    }

    fn places(&self) -> Vec<Place> {
        let paths = self.document["paths"].as_object().into_iter().flatten();
        let operations = paths.flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.map(move |(method, _)| format!("{method} {path}"))
        });
        let rest = self.document["x-otherwise"]
            .as_object()
            .into_iter()
            .flatten();
        let rest = rest.map(|(kind, _)| format!("otherwise {kind}"));
        operations.chain(rest).collect()
    }

    fn responses(&self, place: &str) -> Option<&'a Map<String, Value>> {
        match place.split_once(' ')? {
            ("otherwise", kind) => self.document["x-otherwise"][kind].as_object(),
            (method, path) => self.document["paths"][path][method]["responses"].as_object(),
        }
    }

    /// Where the document has this answer.
    fn listing_of(&self, one: &Occurred) -> Option<(Listed, Value)> {
        let (status, media) = (one.answer.status.to_string(), media_of(&one.answer));
        self.places_of(one).into_iter().find_map(|place| {
            let response = self.responses(&place)?.get(&status)?;
            let has = match response["content"].as_object() {
                Some(content) => content.contains_key(&media),
                None => media.is_empty(),
            };
            has.then(|| ((place, status.clone(), media.clone()), response.clone()))
        })
    }

    /// The places that may have an answer to this request, the most special first.
    fn places_of(&self, one: &Occurred) -> Vec<Place> {
        let rest = |kind: &str| format!("otherwise {kind}");
        if !one.path.starts_with('/') {
            return vec![rest("head")];
        }
        let paths = self.document["paths"].as_object().expect("paths");
        let exact = paths.get_key_value(&one.path);
        let Some((path, item)) = exact.or_else(|| paths.iter().find(|(t, _)| fits(t, &one.path)))
        else {
            return vec![rest("path"), rest("body")];
        };
        let method = match one.method.as_str() {
            "HEAD" => "get".to_owned(),
            other => other.to_lowercase(),
        };
        match item.get(&method) {
            None => vec![rest("method"), rest("body")],
            Some(operation) => {
                let mut places = vec![format!("{method} {path}")];
                if one.with_body && operation["requestBody"].is_null() {
                    places.push(rest("body"));
                }
                places
            }
        }
    }

    /// What an answer has, and its response in the document has not, or the other way round.
    fn faults(&mut self, one: &Occurred, response: &Value, media: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let headers = response["headers"].as_object();
        for (name, header) in headers.into_iter().flatten() {
            match one.answer.header(&name.to_lowercase()) {
                None if header["required"] == json!(true) => {
                    faults.push(format!("an answer lacks {name}"));
                }
                None => {}
                Some(text) => {
                    let value = match header["schema"]["type"] == json!("integer") {
                        true => text.parse::<u64>().map_or(json!(text), |n| json!(n)),
                        false => json!(text),
                    };
                    let wrong = self.invalid(&header["schema"], &value);
                    faults.extend(wrong.map(|wrong| format!("{name}: {text}: {wrong}")));
                }
            }
        }
        for (name, _) in &one.answer.headers {
            let known = headers
                .into_iter()
                .flatten()
                .any(|(known, _)| known.eq_ignore_ascii_case(name));
            if TELLING.contains(&name.as_str()) && !known {
                faults.push(format!("an answer has {name}, which is not documented"));
            }
        }
        if one.method == "HEAD" || !one.whole {
            return faults;
        }
        if media.is_empty() && !one.answer.body.is_empty() {
            faults.push("an answer has a body".to_owned());
        }
        if media.ends_with("json") {
            match serde_json::from_slice(&one.answer.body) {
                Ok(body) => {
                    let schema = &response["content"][media]["schema"];
                    faults.extend(self.invalid(schema, &body));
                }
                Err(error) => faults.push(error.to_string()),
            }
        }
        faults
    }

    /// What is wrong with a value under a schema of the document. References are into the document.
    fn invalid(&mut self, schema: &Value, value: &Value) -> Option<String> {
        if schema.is_null() {
            return None;
        }
        let key = schema.to_string();
        let index = match self.compiled.get(&key) {
            Some(index) => *index,
            None => {
                let url = format!("https://document.invalid/{}", self.compiled.len());
                let whole = json!({"components": self.document["components"], "allOf": [schema]});
                self.compiler.add_resource(&url, whole).unwrap();
                let index = self.compiler.compile(&url, &mut self.schemas);
                let index = index.unwrap_or_else(|error| panic!("{schema}: {error:#}"));
                self.compiled.insert(key, index);
                index
            }
        };
        let verdict = self.schemas.validate(value, index);
        verdict.err().map(|error| format!("{error:#}"))
    }
}

/// Whether a path is one of a template's. One parameter takes one segment.
fn fits(template: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    let all = template.split('/').all(|wanted| {
        parts
            .next()
            .is_some_and(|part| wanted == part || (wanted.starts_with('{') && !part.is_empty()))
    });
    all && parts.next().is_none()
}

/// The media type without its parameters; empty if there is none.
fn media_of(answer: &Answer) -> String {
    let kind = answer.header("content-type").unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
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
        let headers = [("content-type", media), header]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
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
}
