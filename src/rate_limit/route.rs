//! Which requests a policy is about: a method, and a template of the path.

use std::borrow::Cow;
use std::cell::OnceCell;

use http::Method;
use matchit::Router;

use super::head::Head;
use crate::config::ConfigError;

/// A method and a path template, in the syntax of axum 0.8: `/users/{id}`, `/files/{*rest}`.
///
/// It is matched against the template that
/// [`template_from`](super::RateLimitBuilder::template_from) finds, which is what a router in front
/// of the layer has matched; without one, against the request's path with percent-encoding undone (but
/// `%2F`, which is no slash), so that `/%6cogin` does not escape the rule for `/login`. A HEAD request
/// counts as its GET. An OPTIONS request is only met by routes for any method: it is a browser's
/// preflight, and must not use up what its POST needs.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a route does nothing until a policy is put on it"]
pub struct Route {
    method: Option<Method>,
    template: Option<Cow<'static, str>>,
}

impl Route {
    /// GET (and HEAD) on a path.
    pub fn get(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::GET, template)
    }

    /// POST on a path.
    pub fn post(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::POST, template)
    }

    /// PUT on a path.
    pub fn put(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::PUT, template)
    }

    /// PATCH on a path.
    pub fn patch(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::PATCH, template)
    }

    /// DELETE on a path.
    pub fn delete(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::DELETE, template)
    }

    /// One method on a path.
    pub fn new(method: Method, template: impl Into<Cow<'static, str>>) -> Self {
        Self {
            method: Some(method),
            template: Some(template.into()),
        }
    }

    /// Any method on a path.
    pub fn any(template: impl Into<Cow<'static, str>>) -> Self {
        Self {
            method: None,
            template: Some(template.into()),
        }
    }

    /// One method on every path.
    pub fn method(method: Method) -> Self {
        Self {
            method: Some(method),
            template: None,
        }
    }

    /// The route as it is matched; `policy` is named in the error.
    pub(super) fn compile(self, policy: &str) -> Result<CompiledRoute, ConfigError> {
        let mut router = None;
        if let Some(template) = &self.template {
            let wrong = |fix: Cow<'static, str>| {
                let field = format!("route of policy `{policy}`");
                ConfigError::new(field, template.clone(), fix)
            };
            if !template.starts_with('/') {
                return Err(wrong("start it with a slash".into()));
            }
            if template.split('/').any(|part| part.starts_with([':', '*'])) {
                return Err(wrong(
                    "write `{id}` for `:id`, and `{*rest}` for `*rest`".into(),
                ));
            }
            if template.contains(['?', '#']) {
                return Err(wrong(
                    "leave query and fragment out: a path is matched".into(),
                ));
            }
            let mut compiled = Router::new();
            (compiled.insert(&*decoded(template), ())).map_err(|error| {
                let open = template.matches('{').count() != template.matches('}').count();
                wrong(match open {
                    true => "close every brace: `{id}`".into(),
                    false => error.to_string().into(),
                })
            })?;
            router = Some(compiled);
        }
        Ok(CompiledRoute {
            route: self,
            router,
        })
    }
}

/// A route and the one-route router that matches it.
///
/// A router of all routes would answer with its best match alone: `POST /users/me` would hide
/// `GET /users/{id}` from `GET /users/me`.
#[derive(Debug)]
pub(super) struct CompiledRoute {
    route: Route,
    router: Option<Router<()>>,
}

/// What the routes of all policies are matched against: decoded once, and only if there is one, since a
/// path can be 64 KiB of escapes that nobody has been charged for yet.
#[derive(Debug)]
pub(super) struct Target<'h> {
    head: &'h Head<'h>,
    path: OnceCell<Cow<'h, str>>,
}

impl<'h> Target<'h> {
    pub(super) const fn new(head: &'h Head<'h>) -> Self {
        Self {
            head,
            path: OnceCell::new(),
        }
    }

    fn path(&self) -> &str {
        self.path
            .get_or_init(|| decoded(self.head.template().unwrap_or(self.head.path())))
    }
}

impl CompiledRoute {
    pub(super) fn matches(&self, target: &Target<'_>) -> bool {
        let head = target.head;
        let method = self.route.method.as_ref().is_none_or(|method| {
            method == head.method() || (method == Method::GET && head.method() == Method::HEAD)
        });
        method
            && self
                .router
                .as_ref()
                .is_none_or(|router| router.at(target.path()).is_ok())
    }

    /// Whether [`param`](Self::param) can find a parameter: it fills a segment, and no catch-all
    /// makes the number of segments uncertain.
    pub(super) fn has_param(&self, name: &str) -> bool {
        self.route.template.as_ref().is_some_and(|template| {
            !template.contains("{*") && template.split('/').any(|part| is_param(part, name))
        })
    }

    /// The segment of `path`, still encoded, that stands where the template has `{name}`, counted
    /// from the end: below `Router::nest` a path has lost its beginning, and the template has not.
    pub(super) fn param<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        let template = self.route.template.as_ref()?;
        let (_, value) = template
            .rsplit('/')
            .zip(path.rsplit('/'))
            .find(|(part, _)| is_param(part, name))?;
        (!value.is_empty()).then_some(value)
    }
}

fn is_param(part: &str, name: &str) -> bool {
    part.strip_prefix('{')
        .and_then(|part| part.strip_suffix('}'))
        == Some(name)
}

/// A path with percent-encoding undone, but for `%2F`, which divides no segments.
fn decoded(path: &str) -> Cow<'_, str> {
    undone(path, |byte| byte != b'/')
}

/// The value of a segment: percent-encoding undone.
pub(super) fn decoded_segment(segment: &str) -> Cow<'_, str> {
    undone(segment, |_| true)
}

/// `text` with the encoding of those bytes undone that `is_wanted`. What is not UTF-8 then becomes
/// U+FFFD: left encoded, it would be as many texts as there are ways to encode the rest.
fn undone(text: &str, is_wanted: impl Fn(u8) -> bool) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped.map(|(high, low)| high << 4 | low) {
            Some(byte) if is_wanted(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    let text = String::from_utf8(bytes);
    Cow::Owned(text.unwrap_or_else(|odd| String::from_utf8_lossy(odd.as_bytes()).into_owned()))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn matches(route: Route, method: &str, path: &str, template: Option<&str>) -> bool {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap();
        route
            .compile("p")
            .unwrap()
            .matches(&Target::new(&Head::new(&request, template)))
    }

    #[test]
    fn method_and_path_must_both_match() {
        assert!(matches(
            Route::post("/login"),
            "POST",
            "/login?next=/",
            None
        ));
        assert!(!matches(Route::post("/login"), "GET", "/login", None));
        assert!(!matches(Route::post("/login"), "POST", "/logins", None));
        assert!(matches(Route::any("/users/{id}"), "PUT", "/users/7", None));
        assert!(matches(Route::any("/f/{*rest}"), "GET", "/f/a/b", None));
        assert!(matches(Route::method(Method::GET), "GET", "/", None));
    }

    #[test]
    fn a_head_counts_as_its_get_and_a_preflight_not_as_its_post() {
        assert!(matches(Route::get("/x"), "HEAD", "/x", None));
        assert!(!matches(Route::new(Method::HEAD, "/x"), "GET", "/x", None));
        assert!(!matches(Route::post("/x"), "OPTIONS", "/x", None));
        assert!(matches(Route::any("/x"), "OPTIONS", "/x", None));
    }

    #[test]
    fn encoding_a_path_does_not_escape_its_rule() {
        for path in ["/%6cogin", "/%6Cogin", "/l%6f%67in"] {
            assert!(matches(Route::post("/login"), "POST", path, None), "{path}");
        }
        assert!(!matches(Route::any("/a/b"), "GET", "/a%2Fb", None));
        for odd in ["/%", "/%6", "/%zz", "/%2"] {
            assert_eq!(decoded(odd), odd);
        }
        // A part that is no text leaves the rest in its encoding no more than any other.
        assert!(matches(
            Route::any("/users/{id}"),
            "GET",
            "/%75sers/%ff",
            None
        ));
        assert_eq!(decoded_segment("%61%FF%2f"), decoded_segment("a%fF%2F"));
    }

    #[test]
    fn a_template_may_be_encoded_as_the_path_is() {
        // axum matches paths as they arrive, so this is how its routes are written.
        let rule = Route::any("/the%C3%A9/a%20b");
        assert!(matches(rule.clone(), "GET", "/the%c3%a9/a%20b", None));
        assert!(matches(rule.clone(), "GET", "/th%65%c3%a9/a%20b", None));
        assert!(matches(rule.clone(), "GET", "/x", Some("/the%C3%A9/a%20b")));
        assert!(!matches(rule, "GET", "/the%C3%A9/a%2520b", None));
    }

    #[test]
    fn a_template_stands_for_the_path_where_there_is_one() {
        let rule = Route::post("/api/login");
        assert!(matches(rule.clone(), "POST", "/login", Some("/api/login")));
        assert!(!matches(rule, "POST", "/api/login", Some("/{*rest}")));
        let below = Route::any("/api/{*rest}");
        assert!(matches(below, "GET", "/users/1", Some("/api/users/{id}")));
    }

    #[test]
    fn a_parameter_is_found_from_the_end() {
        let route = Route::get("/api/users/{id}/orders").compile("p").unwrap();
        assert!(route.has_param("id") && !route.has_param("user"));
        assert_eq!(route.param("id", "/api/users/7/orders"), Some("7"));
        assert_eq!(route.param("id", "/users/7/orders"), Some("7"));
        assert_eq!(
            route.param("id", "/orders"),
            Some("").filter(|id| !id.is_empty())
        );
        assert!(!Route::any("/{a}/{*b}").compile("p").unwrap().has_param("a"));
    }

    #[test]
    fn a_template_that_cannot_match_is_refused() {
        for (template, fix) in [
            ("login", "slash"),
            ("", "slash"),
            ("/:id", "`{id}`"),
            ("/*rest", "`{*rest}`"),
            ("/{id", "close every brace"),
            ("/{}", ""),
            ("/{*rest}/x", ""),
            ("/notes?x=1", "query"),
            ("/notes#x", "fragment"),
        ] {
            let error = Route::any(template).compile("login").unwrap_err();
            assert_eq!(error.field(), "route of policy `login`");
            assert_eq!(error.value(), template);
            assert!(error.fix().contains(fix), "{template}: {}", error.fix());
        }
    }
}
