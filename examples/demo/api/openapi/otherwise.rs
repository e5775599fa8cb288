//! What answers everything that is no operation: `x-otherwise` of the contract.
//!
//! OpenAPI has no place for it, and a client meets it all the same. Each kind has responses as an
//! operation has them.

use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::Header;
use utoipa::openapi::{Response, Type};

use super::{With, header, problem, rate_limit_fields};

pub(super) fn extension() -> Extensions {
    let allow = || header("What the path takes", Type::String);
    let over =
        || problem("Over the limit of reads or writes for the client's address").with_retry();
    let path = json!({
        "404": perhaps_counted(problem("There is no such page")),
        "429": perhaps_counted(over()),
    });
    let method = json!({
        "204": Response::new("To OPTIONS, from a guard").with("Allow", allow()),
        "405": perhaps_counted(problem("The path takes others").with("Allow", allow())),
        "429": on_any_method(over()),
    });
    let body = json!({
        "400": on_any_method(problem("The body cannot be read")),
        "408": on_any_method(problem("The body took more than ten seconds")),
        "413": on_any_method(problem("The body is over 64 KiB")),
    });
    // From the server, before any guard.
    let head = json!({
        "400": Response::new("This is no HTTP"),
        "431": Response::new("The head has over 64 KiB or 100 fields, or 16 KiB over HTTP/2"),
    });
    let kinds = json!({"path": path, "method": method, "body": body, "head": head});
    Extensions::builder().add("x-otherwise", kinds).build()
}

/// GET, HEAD and POST are counted, and say so.
fn perhaps_counted(response: Response) -> Value {
    let mut value = serde_json::to_value(response).expect("it is made of text");
    for (name, field) in rate_limit_fields("reads\" or \"writes") {
        value["headers"][name] = perhaps(field);
    }
    value
}

/// A path that does not take the method says what it takes, also on what comes before its 405.
fn on_any_method(response: Response) -> Value {
    let mut value = perhaps_counted(response);
    value["headers"]["Allow"] = perhaps(header("What the path takes", Type::String));
    value
}

fn perhaps(field: Header) -> Value {
    let mut value = serde_json::to_value(field).expect("it is made of text");
    value["required"] = false.into();
    value
}
