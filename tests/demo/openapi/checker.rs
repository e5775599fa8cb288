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
        let mut fields = self.fields_of(&unseen);
        for one in occurred {
            match self.listing_of(one) {
                Some((listed, response)) => {
                    // A HEAD shows the head of a response, and not that the response occurs.
                    if one.method != "HEAD" || !listed.0.starts_with("get ") {
                        unseen.remove(&listed);
                    }
                    if one.method != "HEAD" {
                        let had = |name: &str| one.answer.header(&name.to_lowercase()).is_some();
                        fields.retain(|(place, status, name)| {
                            (place, status) != (&listed.0, &listed.1) || !had(name)
                        });
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
        let never = unseen.iter();
        complaints.extend(never.map(|(place, status, media)| {
            format!("documented, and never occurred: {place}: {status} {media}")
        }));
        // Of a response that never occurred enough is said.
        let gone = |place: &str, status: &str| {
            let mut never = unseen.iter();
            never.any(|(at, code, _)| (at.as_str(), code.as_str()) == (place, status))
        };
        fields.retain(|(place, status, _)| !gone(place, status));
        complaints.extend(fields.into_iter().map(|(place, status, name)| {
            format!("documented, and never occurred: {place}: {status} with {name}")
        }));
        complaints
    }

    /// The fields of the responses: place, status and name.
    fn fields_of(&self, listed: &BTreeSet<Listed>) -> BTreeSet<(Place, String, String)> {
        let fields = listed.iter().flat_map(|(place, status, _)| {
            let responses = self.responses(place).expect("it is listed");
            let headers = responses[status]["headers"].as_object();
            let names = headers.into_iter().flatten().map(|(name, _)| name);
            names.map(|name| (place.clone(), status.clone(), name.clone()))
        });
        fields.collect()
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
mod tests;
