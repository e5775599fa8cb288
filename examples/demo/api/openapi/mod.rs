//! `GET /openapi.json`: the contract, generated from the types that carry it out.
//!
//! What handlers take and give comes from their own annotations. What the guards add to every route
//! of a kind (a 429, the RateLimit fields, the bounds of bodies) is added here to all of them at once,
//! and the routes that the guards answer themselves are described here.

use axum::Json;
use serde_json::Value;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{
    Content, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type,
};
use utoipa::{Modify, OpenApi as _};

use super::problem::ProblemDocument;
use super::{announcements, headers, lock, session, transactions};

mod guarded;
mod otherwise;

/// `GET /openapi.json`
pub(super) async fn document() -> Json<Value> {
    let mut api = serde_json::to_value(Contract::openapi()).expect("it is made of text");
    certain(&mut api["paths"]);
    certain(&mut api["x-otherwise"]);
    Json(api)
}

/// Says of the fields of each response that they are there, unless they may be missing. The types of
/// the generator cannot say so.
fn certain(within: &mut Value) {
    let Value::Object(map) = within else { return };
    for (name, value) in map {
        match value {
            Value::Object(headers) if name == "headers" => {
                for (name, header) in headers {
                    if header["required"].is_null() {
                        header["required"] = (name != "Event-Stream-Reset").into();
                    }
                }
            }
            value => certain(value),
        }
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "bartizan demo",
        description = "A small payments API behind the four guards of bartizan. Errors are problem documents (RFC 9457). \
          Every response but the 101 carries security headers. A GET answers a HEAD, too, without the body. `x-otherwise` has what answers everything that `paths` does not have: \
          another `path`, another `method`, a `body` where none is asked for, and a `head` that cannot be read.",
        license(name = "MIT OR Apache-2.0"),
    ),
    paths(
        session::open, transactions::create, transactions::list, announcements::create, lock::hold, headers::tell,
        guarded::page, guarded::icon, guarded::this, guarded::events, guarded::reports, guarded::livez,
        guarded::readyz, guarded::startupz, guarded::health, guarded::health_of, guarded::status,
    ),
    components(schemas(ProblemDocument, guarded::SocketMessage)),
    modifiers(&Guards),
)]
struct Contract;

/// What the guards and the bounds add to each operation.
struct Guards;

impl Modify for Guards {
    fn modify(&self, api: &mut OpenApi) {
        let cookie = ApiKeyValue::with_description("session", "From POST /api/session");
        api.components
            .get_or_insert_default()
            .add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        api.extensions = Some(otherwise::extension());
        for item in api.paths.paths.values_mut() {
            for (limit, operation) in [("reads", &mut item.get), ("writes", &mut item.post)] {
                if let Some(operation) = operation {
                    guard(operation, limit);
                }
            }
        }
    }
}

fn guard(operation: &mut Operation, limit: &str) {
    let tag = operation
        .tags
        .as_deref()
        .and_then(<[_]>::first)
        .map(String::as_str);
    let limited = !matches!(tag, Some("health" | "reports" | "contract"));
    let stores = matches!(tag, Some("transactions" | "announcements" | "demo"));
    let takes_body = operation.request_body.is_some();
    let responses = &mut operation.responses.responses;
    let mut add = |status: &str, response: Response| {
        responses.insert(status.to_owned(), response.into());
    };
    if tag == Some("transactions") {
        let how = header("How a session is shown", Type::String);
        add("401", problem("No session").with("WWW-Authenticate", how));
    }
    if takes_body {
        add("408", problem("The body took more than ten seconds"));
        add("413", problem("The body is over 64 KiB"));
        if limited {
            add("400", problem("The body is not JSON, or cannot be read"));
            add(
                "415",
                problem("The body is not declared as application/json"),
            );
            add(
                "422",
                problem("A member is missing, of another type, or out of its bounds"),
            );
        } else {
            add("400", problem("The body cannot be read"));
        }
    }
    if stores {
        add(
            "503",
            problem("The database is locked, or too many wait for it; nothing was written")
                .with_retry(),
        );
        add("500", problem("The database failed"));
    }
    if limited {
        let why = format!("Over the limit of {limit} for the client's address");
        add("429", problem(&why).with_retry());
        // A switch of protocols passes as it is.
        for (_, response) in responses.iter_mut().filter(|(status, _)| *status != "101") {
            if let RefOr::T(response) = response {
                response.headers.extend(rate_limit_fields(limit));
            }
        }
    }
}

fn rate_limit_fields(limit: &str) -> [(String, Header); 2] {
    let policy = format!("The quota, as `\"{limit}\";q=..;w=1`");
    let left = format!("What is left, as `\"{limit}\";r=..;t=..`");
    [
        ("RateLimit-Policy".into(), header(&policy, Type::String)),
        ("RateLimit".into(), header(&left, Type::String)),
    ]
}

fn header(description: &str, kind: Type) -> Header {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(ObjectBuilder::new().schema_type(kind).build())
        .build()
}

fn problem(description: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", Content::new(Some(schema)))
        .build()
}

/// Fields, added by value.
trait With {
    fn with(self, name: &str, header: Header) -> Self;
    fn with_retry(self) -> Self;
}

impl With for Response {
    fn with(mut self, name: &str, header: Header) -> Self {
        self.headers.insert(name.to_owned(), header);
        self
    }

    fn with_retry(self) -> Self {
        self.with("Retry-After", header("Seconds to wait", Type::Integer))
    }
}
