//! A table as a chart: a bar for each contestant, as long as its first number.
//!
//! The colours follow the reader's scheme, and the background is painted, as a page may not follow it.

use std::fmt::Write;

use super::{Row, Table};

/// Where names end, and bars begin.
const LEFT: f64 = 350.0;
/// The longest bar.
const LENGTH: f64 = 270.0;
const WIDTH: f64 = 790.0;
/// Where the first row begins, and how far it is to the next.
const TOP: f64 = 66.0;
const PITCH: f64 = 28.0;
const THICKNESS: f64 = 18.0;

const STYLE: &str = "\
.paper{fill:#fff}text{fill:#1f2328}.quiet{fill:#59636e}\
.bar{fill:#afb8c1}.ours{fill:#0969da}.floor{stroke:#59636e;stroke-dasharray:3 3}\
@media(prefers-color-scheme:dark){\
.paper{fill:#0d1117}text{fill:#f0f6fc}.quiet{fill:#9198a1}\
.bar{fill:#59636e}.ours{fill:#4493f8}.floor{stroke:#9198a1}}";

/// An SVG document.
pub fn draw(table: &Table) -> String {
    let height = TOP + PITCH * table.rows.len() as f64 + 10.0;
    let longest = table.rows.iter().map(first).fold(0.0, f64::max);
    let length = |row| {
        // Nobody's bar is longer than nothing.
        let share = if longest > 0.0 {
            first(row) / longest
        } else {
            0.0
        };
        share * LENGTH
    };

    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" font-family="system-ui, sans-serif" font-size="13">
<title>{title}</title>
<style>{STYLE}</style>
<rect class="paper" width="{WIDTH}" height="{height}"/>
<text x="16" y="26" font-size="16" font-weight="600">{title}</text>
<text class="quiet" x="16" y="48">{legend}</text>
"#,
        title = escape(&table.title),
        legend = escape(&legend(table)),
    );
    for (index, row) in table.rows.iter().enumerate() {
        let top = TOP + PITCH * index as f64;
        let class = if is_ours(row) { "ours" } else { "bar" };
        // Writing to a string does not fail.
        let _ = writeln!(
            svg,
            r#"<text x="{name_end}" y="{base}" text-anchor="end">{name}</text><rect class="{class}" x="{LEFT}" y="{top}" width="{length:.1}" height="{THICKNESS}"/><text x="{label_start:.1}" y="{base}">{label}</text>"#,
            name_end = LEFT - 8.0,
            base = top + 13.5,
            name = escape(row.name),
            length = length(row),
            label_start = LEFT + length(row) + 8.0,
            label = escape(&label(row)),
        );
    }
    if let Some(floor) = table.rows.first().filter(|_| table.floor) {
        let _ = writeln!(
            svg,
            r#"<line class="floor" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom}"/>"#,
            x = LEFT + length(floor),
            bottom = height - 10.0,
        );
    }
    svg + "</svg>\n"
}

/// What a bar shows: what is below nothing is noise, and what is no number was not measured.
fn first(row: &Row) -> f64 {
    let value = row.cells.first().map_or(0.0, |cell| cell.value);
    if value.is_finite() {
        value.max(0.0)
    } else {
        0.0
    }
}

fn is_ours(row: &Row) -> bool {
    row.name.starts_with("bartizan")
}

fn legend(table: &Table) -> String {
    let unit = table.units.first().copied().unwrap_or_default();
    match table.ratio {
        "" => unit.to_owned(),
        ratio => format!("{unit} (in brackets: {ratio})"),
    }
}

/// The number, and the row's first ratio.
fn label(row: &Row) -> String {
    let number = number(first(row));
    match row.cells.iter().find_map(|cell| cell.ratio) {
        Some(ratio) => format!("{number}  ({}x)", self::number(ratio)),
        None => number,
    }
}

/// Three digits or four, or all that stand before the point, in groups of three.
fn number(value: f64) -> String {
    if value < 1000.0 {
        let digits = match value {
            ..1.0 => 3,
            ..10.0 => 2,
            _ => 1,
        };
        return format!("{value:.digits$}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::Cell;
    use super::*;

    fn table(rows: &[(&'static str, f64)]) -> Table {
        Table {
            title: String::from("a title"),
            floor: false,
            ratio: "",
            units: vec!["ns"],
            rows: rows
                .iter()
                .map(|(name, value)| Row::plain(name, *value))
                .collect(),
            notes: Vec::new(),
        }
    }

    /// The widths of the bars.
    fn bars(svg: &str) -> Vec<&str> {
        let bars = svg
            .split(r#"height="18""#)
            .filter_map(|before| before.rsplit_once("width=\""));
        let widths = bars.map(|(_, width)| width.trim_end_matches("\" "));
        widths
            .filter(|width| width.parse::<f64>().is_ok())
            .collect()
    }

    #[test]
    fn the_largest_number_has_the_longest_bar_and_others_their_share() {
        let svg = draw(&table(&[("one", 1.0), ("four", 4.0), ("two", 2.0)]));
        assert_eq!(bars(&svg), ["67.5", "270.0", "135.0"]);
    }

    #[test]
    fn one_row_has_a_full_bar() {
        let svg = draw(&table(&[("only", 0.001)]));
        assert_eq!(bars(&svg), ["270.0"]);
        assert!(svg.contains(">0.001</text>"), "{svg}");
    }

    #[test]
    fn zero_has_no_length() {
        assert_eq!(
            bars(&draw(&table(&[("none", 0.0), ("some", 2.0)]))),
            ["0.0", "270.0"]
        );
        assert_eq!(bars(&draw(&table(&[("none", 0.0)]))), ["0.0"]);
    }

    #[test]
    fn what_is_no_length_has_none() {
        let rows = [
            ("below", -1.0),
            ("lost", f64::NAN),
            ("endless", f64::INFINITY),
            ("one", 1.0),
        ];
        assert_eq!(bars(&draw(&table(&rows))), ["0.0", "0.0", "0.0", "270.0"]);
    }

    #[test]
    fn no_row_is_still_a_chart() {
        let mut empty = table(&[]);
        empty.floor = true;
        let svg = draw(&empty);
        assert!(
            svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
            "{svg}"
        );
        assert!(bars(&svg).is_empty());
    }

    #[test]
    fn text_is_escaped_wherever_it_comes_from() {
        let mut marked = table(&[("<a> & b", 1.0)]);
        marked.title = String::from("1 < 2 & so on");
        marked.units = vec!["<ns>"];
        let svg = draw(&marked);
        assert_eq!(svg.matches("1 &lt; 2 &amp; so on").count(), 2, "{svg}");
        assert!(svg.contains(">&lt;a&gt; &amp; b<"), "{svg}");
        assert!(svg.contains(">&lt;ns&gt;<"), "{svg}");
        assert!(!svg.contains("<a>") && !svg.contains("<ns>"), "{svg}");
    }

    #[test]
    fn our_bar_stands_out_and_the_floor_is_a_line() {
        let mut floored = table(&[("floor", 1.0), ("peer", 2.0), ("bartizan on hyper", 2.0)]);
        assert!(!draw(&floored).contains("<line"));
        floored.floor = true;
        let svg = draw(&floored);
        assert!(
            svg.contains(r#"<line class="floor" x1="485.0" x2="485.0""#),
            "{svg}"
        );
        assert_eq!(svg.matches(r#"class="ours""#).count(), 1, "{svg}");
        assert_eq!(svg.matches(r#"class="bar""#).count(), 2, "{svg}");
    }

    #[test]
    fn a_label_has_the_number_and_the_first_ratio() {
        let mut row = Row::plain("peer", 1234.5);
        assert_eq!(label(&row), "1,234");
        let (value, ratio) = (200.0, Some(0.456));
        row.cells.push(Cell { value, ratio });
        assert_eq!(label(&row), "1,234  (0.456x)");
    }

    #[test]
    fn a_legend_says_the_unit_and_what_the_ratio_is() {
        let mut explained = table(&[]);
        assert_eq!(legend(&explained), "ns");
        explained.ratio = "to the floor";
        assert_eq!(legend(&explained), "ns (in brackets: to the floor)");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let numbers = [0.0, 0.0154, 9.876, 99.96, 1000.0, 1_234_567.0].map(number);
        assert_eq!(
            numbers,
            ["0.000", "0.015", "9.88", "100.0", "1,000", "1,234,567"]
        );
    }
}
