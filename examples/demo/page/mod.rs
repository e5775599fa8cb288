//! The page at `/`: one document, whose style and script carry the nonce of its response.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use bartizan::security_headers::CspNonce;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::api::App;

/// `GET /`
///
/// Browsers keep it, and ask each time whether it is still the same. If it is, they show it under the
/// policy that came with it: a 304 has no policy with a nonce, and the nonce is not read for one.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(nonce): Extension<CspNonce>,
    headers: HeaderMap,
) -> Response {
    let user = app.sessions.user(&headers).unwrap_or_default();
    let tag = tag(&user);
    let known = headers.get(header::IF_NONE_MATCH);
    let caching = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    if known.is_some_and(|known| known == tag.as_str()) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, Html(render(nonce.get().as_str(), &user))).into_response()
}

/// What tells one page from another: all that is in it but the nonce.
fn tag(user: &str) -> String {
    let digest = Sha256::digest(render("", user));
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest))
}

/// `GET /icon.svg`
pub(crate) async fn icon() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "image/svg+xml")],
        include_str!("icon.svg"),
    )
}

fn render(nonce: &str, user: &str) -> String {
    // The style and the script come last, so that nothing in them is taken for a place to fill.
    include_str!("page.html")
        .replace("{{nonce}}", nonce)
        .replace("{{user}}", &escaped(user))
        .replace("{{css}}", include_str!("page.css"))
        .replace("{{js}}", SCRIPT)
}

/// How events come to the page, and the page.
const SCRIPT: &str = concat!(include_str!("transports.js"), "\n", include_str!("page.js"));

/// Text as the value of a quoted attribute.
fn escaped(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut out, c| {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                // Braces, lest a name be taken for a place to fill.
                '{' => out.push_str("&#123;"),
                c => out.push(c),
            }
            out
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_attribute_or_name_a_place_to_fill() {
        let page = render("n", "\"><script>{{js}}</script>");
        assert!(
            page.contains("data-user=\"&quot;&gt;&lt;script&gt;&#123;&#123;js}}&lt;/script&gt;\"")
        );
        assert_eq!(page.matches("<script").count(), 1);
    }

    #[test]
    fn every_style_and_script_carries_the_nonce_and_nothing_comes_from_elsewhere() {
        let page = render("abc", "u1");
        assert_eq!(page.matches(" nonce=\"abc\"").count(), 2);
        assert_eq!(
            page.matches("<style").count() + page.matches("<script").count(),
            2
        );
        for outside in [
            "://",
            "url(",
            "@import",
            " style=",
            " onclick=",
            "innerHTML",
        ] {
            let found = page.matches(outside).count();
            let allowed = usize::from(outside == "://"); // the SVG namespace
            assert!(found <= allowed, "{outside} occurs {found} times");
        }
    }
}
