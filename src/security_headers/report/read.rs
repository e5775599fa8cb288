//! From the body of a request to reports: tolerant, and bounded.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::clean;
use super::violation::{Disposition, Report};

/// The format of a body, by its media type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    /// `application/csp-report`: one report, in CSP2's spelling.
    Csp,
    /// `application/reports+json`: a list, in the Reporting API's spelling.
    Batch,
}

impl Format {
    /// The format of a `Content-Type`, whatever its parameters.
    pub(super) fn of(content_type: &[u8]) -> Option<Self> {
        let end = content_type.iter().position(|byte| *byte == b';');
        let kind = content_type[..end.unwrap_or(content_type.len())].trim_ascii();
        if kind.eq_ignore_ascii_case(b"application/csp-report") {
            Some(Self::Csp)
        } else if kind.eq_ignore_ascii_case(b"application/reports+json") {
            Some(Self::Batch)
        } else {
            None
        }
    }

    /// At most `max` reports of `body`; `None` when it is not of this format.
    pub(super) fn read(self, body: &[u8], max: usize) -> Option<Vec<Report>> {
        match self {
            Self::Csp => {
                let post: Post = serde_json::from_slice(body).ok()?;
                Some(vec![csp_report(&post.report)])
            }
            Self::Batch => {
                let mut json = serde_json::Deserializer::from_slice(body);
                let entries = json.deserialize_seq(AtMost(max)).ok()?;
                Some(entries.iter().filter_map(entry).collect())
            }
        }
    }
}

#[derive(Deserialize)]
struct Post {
    #[serde(rename = "csp-report")]
    report: Map<String, Value>,
}

/// A list of which no more than so many entries are kept.
struct AtMost(usize);

impl<'de> Visitor<'de> for AtMost {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of reports")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Value>, A::Error> {
        let mut entries = Vec::new();
        while entries.len() < self.0 {
            match list.next_element()? {
                Some(entry) => entries.push(entry),
                None => return Ok(entries),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(entries)
    }
}

/// A report as CSP2 has it, which older browsers and `report-uri` send.
fn csp_report(fields: &Map<String, Value>) -> Report {
    let fields = Fields(Some(fields));
    // CSP1 has the whole text of the directive in `violated-directive`.
    let directive = fields.text(&["effective-directive", "violated-directive"]);
    let directive = directive.split_whitespace().next().unwrap_or_default();
    Report {
        kind: "csp-violation".to_owned(),
        document: fields.address(&["document-uri"]),
        blocked: fields.address(&["blocked-uri"]),
        directive: clean::text(directive, clean::LONGEST),
        disposition: fields.disposition(),
        source_file: fields.address(&["source-file"]),
        line: fields.number("line-number"),
        column: fields.number("column-number"),
        sample: clean::text(fields.text(&["script-sample"]), SAMPLE),
    }
}

/// A report as the Reporting API has it; `None` for what is none.
fn entry(entry: &Value) -> Option<Report> {
    let outer = Fields(entry.as_object());
    let fields = Fields(outer.get("body").and_then(Value::as_object));
    let document = match fields.address(&["documentURL"]) {
        document if document.is_empty() => outer.address(&["url"]),
        document => document,
    };
    // Each kind of report names what was violated in a field of its own.
    let directive = [
        "effectiveDirective",
        "policyId",
        "featureId",
        "effectivePolicy",
        "id",
    ];
    Some(Report {
        kind: clean::text(outer.get("type")?.as_str()?, clean::LONGEST),
        document,
        blocked: fields.address(&["blockedURL", "openedWindowURL", "openerURL"]),
        directive: clean::text(fields.text(&directive), clean::LONGEST),
        disposition: fields.disposition(),
        source_file: fields.address(&["sourceFile"]),
        line: fields.number("lineNumber"),
        column: fields.number("columnNumber"),
        sample: clean::text(fields.text(&["sample"]), SAMPLE),
    })
}

/// The members of an object, if it was one.
struct Fields<'a>(Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0?.get(name)
    }

    /// The first member of these names that is a text and not empty.
    fn text(&self, names: &[&str]) -> &'a str {
        let mut texts = names.iter().filter_map(|name| self.get(name)?.as_str());
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    }

    fn address(&self, names: &[&str]) -> String {
        clean::address(self.text(names))
    }

    fn disposition(&self) -> Disposition {
        match self.text(&["disposition"]) {
            "report" | "reporting" => Disposition::Report,
            _ => Disposition::Enforce,
        }
    }

    /// A position; some browsers send it as text.
    fn number(&self, name: &str) -> Option<u32> {
        match self.get(name)? {
            Value::Number(number) => u32::try_from(number.as_u64()?).ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// Browsers send 40 characters.
const SAMPLE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_known_with_their_parameters() {
        for kind in [
            "application/csp-report",
            "Application/CSP-Report ; charset=utf-8",
        ] {
            assert_eq!(Format::of(kind.as_bytes()), Some(Format::Csp));
        }
        let batch = Format::of(b"application/reports+json;charset=utf-8");
        assert_eq!(batch, Some(Format::Batch));
        assert_eq!(Format::of(b"application/json"), None);
        assert_eq!(Format::of(b"\xff;"), None);
    }

    #[test]
    fn a_csp2_report_is_read() {
        let body = br#"{"csp-report":{"document-uri":"https://a.example/p?s=1","referrer":"",
            "violated-directive":"script-src 'self'","blocked-uri":"https://e.example/x.js?y",
            "source-file":"https://a.example/a.js","line-number":"7","column-number":3,
            "script-sample":"ev\nil","disposition":"report","unknown":[{}]}}"#;
        let reports = Format::Csp.read(body, 20).unwrap();
        let report = &reports[0];
        assert_eq!(report.kind(), "csp-violation");
        assert_eq!(report.document(), "https://a.example/p");
        assert_eq!(report.blocked(), "https://e.example/x.js");
        assert_eq!(report.directive(), "script-src");
        assert_eq!(report.disposition(), Disposition::Report);
        assert_eq!((report.line(), report.column()), (Some(7), Some(3)));
        assert_eq!(report.source_file(), "https://a.example/a.js");
        assert_eq!(report.sample(), "evil");
    }

    #[test]
    fn a_batch_is_read_and_one_bad_entry_spoils_no_other() {
        let body = br#"[
            {"type":"csp-violation","age":1,"url":"https://a.example/","user_agent":"x","body":{
                "documentURL":"https://a.example/p#f","blockedURL":"inline","disposition":"enforce",
                "effectiveDirective":"style-src-elem","lineNumber":-1,"sample":"b"}},
            {"type":7}, null, "x", [],
            {"type":"permissions-policy-violation","url":"https://a.example/q?r","body":{
                "policyId":"camera","disposition":"report"}},
            {"type":"coop","url":"https://a.example/","body":null}
        ]"#;
        let reports = Format::Batch.read(body, 20).unwrap();
        let [csp, permissions, coop] = &reports[..] else {
            panic!("{reports:?}")
        };
        assert_eq!(csp.document(), "https://a.example/p");
        assert_eq!(
            (csp.blocked(), csp.directive()),
            ("inline", "style-src-elem")
        );
        assert_eq!((csp.line(), csp.sample()), (None, "b"));
        assert_eq!(permissions.directive(), "camera");
        assert_eq!(permissions.document(), "https://a.example/q");
        assert_eq!(coop.kind(), "coop");
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let one = r#"{"type":"csp-violation","body":{}}"#;
        let many = format!("[{}]", vec![one; 500].join(","));
        assert_eq!(Format::Batch.read(many.as_bytes(), 20).unwrap().len(), 20);
    }

    #[test]
    fn garbage_is_no_report_and_never_panics() {
        let nested = "[".repeat(60_000);
        for body in [
            "",
            "{}",
            "[",
            "null",
            "[1,2",
            "{\"csp-report\":1}",
            "{\"csp-report\":[]}",
            "\u{feff}[]",
            "{\"csp-report\":{",
            &nested,
        ] {
            assert_eq!(Format::Csp.read(body.as_bytes(), 20), None, "{body:.40}");
            assert_eq!(Format::Batch.read(body.as_bytes(), 20), None, "{body:.40}");
        }
        assert_eq!(Format::Batch.read(b"[]", 20), Some(Vec::new()));
        assert_eq!(Format::Batch.read(b"\xff\xfe", 20), None);
    }
}
