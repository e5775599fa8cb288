//! What strangers sent, made fit to be logged.

/// `text` without control characters, at most `max` characters of it.
pub(super) fn text(text: &str, max: usize) -> String {
    text.chars()
        .filter(|char| !is_unfit(*char))
        .take(max)
        .collect()
}

/// An address without credentials, query and fragment; of one that is no hierarchy (`data:`,
/// `blob:`) the scheme alone. What is no address (`inline`, `eval`) is left as it is.
pub(super) fn address(address: &str) -> String {
    let address = &address[..address.find(['?', '#']).unwrap_or(address.len())];
    let Some((scheme, rest)) = address.split_once(':') else {
        return text(address, LONGEST);
    };
    let Some(rest) = rest.strip_prefix("//") else {
        return text(scheme, LONGEST);
    };
    let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    text(&format!("{scheme}://{host}{path}"), LONGEST)
}

/// Whether an address, or a bare scheme, belongs to a browser or one of its extensions.
pub(super) fn is_of_an_extension(address: &str) -> bool {
    let scheme = address.split(':').next().unwrap_or(address);
    EXTENSIONS
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Control characters, and those that reorder or hide what stands beside them.
fn is_unfit(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(char, '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
        || matches!(char, '\u{e0000}'..='\u{e007f}')
}

/// The longest text that is passed on, in characters.
pub(super) const LONGEST: usize = 1024;

const EXTENSIONS: [&str; 11] = [
    "chrome",
    "chrome-extension",
    "moz-extension",
    "ms-browser-extension",
    "resource",
    "safari-extension",
    "safari-resource",
    "safari-web-extension",
    "user-script",
    "webkit-masked-url",
    "webviewprogressproxy",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_what_may_be_secret() {
        for (given, kept) in [
            ("https://a.example/x?token=s#f", "https://a.example/x"),
            ("https://u:p@a.example/x@y", "https://a.example/x@y"),
            ("https://u:p@q@a.example", "https://a.example"),
            ("https://a.example#s", "https://a.example"),
            ("data:text/html;base64,AAAA", "data"),
            ("blob:https://a.example/uuid", "blob"),
            ("inline", "inline"),
            ("", ""),
            ("//u:p@a.example", "//u"),
            ("https://", "https://"),
            ("\u{e9}?\u{e9}", "\u{e9}"),
        ] {
            assert_eq!(address(given), kept, "{given}");
        }
    }

    #[test]
    fn no_text_can_forge_a_line_or_grow() {
        assert_eq!(text("a\r\nb\u{1b}[31m\u{202e}c\u{85}", 10), "ab[31mc");
        let unseen = "\u{ad}\u{61c}\u{180e}\u{2060}\u{2064}\u{206a}\u{fff9}\u{e0041}\u{e007f}";
        assert_eq!(text(unseen, 10), "");
        assert_eq!(
            text(&"\u{e9}".repeat(5000), LONGEST).chars().count(),
            LONGEST
        );
    }

    #[test]
    fn extensions_are_known_by_scheme_alone() {
        assert!(is_of_an_extension("moz-extension"));
        assert!(is_of_an_extension("Chrome-Extension://id/x.js"));
        assert!(!is_of_an_extension("https://a.example/chrome-extension:"));
        assert!(!is_of_an_extension(""));
    }
}
