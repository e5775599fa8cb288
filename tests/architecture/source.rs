//! What a source file refers to: read from its tokens, so that comments and strings do not count.

use std::path::Path;
use std::sync::LazyLock;
use std::{fs, io};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One file of `src`.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// As in `src/client/mod.rs`.
    pub(crate) path: String,
    /// As in `["client"]`; empty for `lib.rs`.
    pub(crate) module: Vec<String>,
    /// Whether the whole file is a test.
    pub(crate) is_test: bool,
    pub(crate) first_line: String,
    pub(crate) lines: usize,
    pub(crate) references: Vec<Reference>,
    /// The lines with a `cfg` on a feature, outside tests.
    pub(crate) feature_cfgs: Vec<usize>,
    /// The first line of an item that follows the file's tests.
    pub(crate) after_tests: Option<usize>,
}

/// A path with at least two segments, or any that is imported.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
    /// The name it is imported under, for re-exports.
    pub(crate) name: String,
    /// The module that it is relative to: the file's, or one written inside the file.
    pub(crate) module: Vec<String>,
    pub(crate) in_test: bool,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let tokens: TokenStream = text
            .parse()
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut source = Self {
            module: module_of(path),
            is_test: path.ends_with("tests.rs") || path.contains("/tests/"),
            path: path.to_owned(),
            first_line: text.lines().next().unwrap_or_default().to_owned(),
            lines: text.lines().count(),
            references: Vec::new(),
            feature_cfgs: Vec::new(),
            after_tests: None,
        };
        source.after_tests = after_tests(tokens.clone());
        let (module, is_test) = (source.module.clone(), source.is_test);
        source.walk(tokens, &module, is_test);
        source
    }

    fn walk(&mut self, tokens: TokenStream, module: &[String], in_test: bool) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        // Whether the item at hand is one of `#[cfg(test)]`.
        let mut item_in_test = in_test;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if let Some((attribute, next)) = attribute(&tokens, at) {
                        item_in_test |= is_cfg_test(&attribute);
                        self.note_cfg(&attribute, item_in_test);
                        at = next;
                        continue;
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => item_in_test = in_test,
                TokenTree::Group(group) => {
                    self.walk(group.stream(), module, item_in_test);
                    if group.delimiter() == Delimiter::Brace {
                        item_in_test = in_test;
                    }
                }
                TokenTree::Ident(ident) if ident == "mod" => {
                    if let [TokenTree::Ident(name), TokenTree::Group(body), ..] = &tokens[at + 1..]
                    {
                        let inner = [module, &[name.to_string()]].concat();
                        self.walk(body.stream(), &inner, item_in_test);
                        item_in_test = in_test;
                        at += 2;
                    }
                }
                TokenTree::Ident(ident) => {
                    if ident == "cfg" && is_punct(tokens.get(at + 1), '!') {
                        self.note_cfg(&tokens[at..(at + 3).min(tokens.len())], item_in_test);
                    }
                    let imported = at > 0 && is_ident(&tokens[at - 1], "use");
                    let mut found = Vec::new();
                    at = read_path(&tokens, at, &[], &mut found);
                    let kept = found.into_iter().filter(|f| imported || f.1.len() > 1);
                    self.references
                        .extend(kept.map(|(line, segments, name)| Reference {
                            line,
                            segments,
                            name,
                            module: module.to_vec(),
                            in_test: item_in_test,
                        }));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Remembers a `cfg`, `cfg_attr` or `cfg!` that asks for a feature.
    fn note_cfg(&mut self, tokens: &[TokenTree], in_test: bool) {
        let text: String = tokens.iter().map(ToString::to_string).collect();
        let text = text.replace([' ', '\n'], "");
        if !in_test && text.starts_with("cfg") && text.contains("feature=") {
            let line = tokens[0].span().start().line;
            self.feature_cfgs.push(line);
        }
    }
}

/// All files of the crate's `src`.
pub(crate) fn read_all() -> Vec<Source> {
    static READ: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = Vec::new();
        let read = read_folder(root, &root.join("src"), &mut sources);
        read.expect("the crate's own source is readable");
        sources
    });
    READ.clone()
}

fn read_folder(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_folder(root, &path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
            let text = fs::read_to_string(&path)?;
            sources.push(Source::parse(&name.replace('\\', "/"), &text));
        }
    }
    Ok(())
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are both `["a", "b"]`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<_> = path.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

/// One import or path: its line, its segments, and the name that it brings into scope.
type Found = (usize, Vec<String>, String);

/// Reads the path that starts at `at`, with all branches of a tree of imports, and returns where it
/// ends.
fn read_path(
    tokens: &[TokenTree],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Found>,
) -> usize {
    let mut segments = prefix.to_vec();
    let line = tokens[at].span().start().line;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(ident)) => {
                // `a::{self}` is `a`.
                if ident != "self" || segments.is_empty() {
                    segments.push(ident.to_string());
                }
            }
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => segments.push("*".into()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                read_branches(group, &segments, found);
                return at + 1;
            }
            _ => break,
        }
        at += 1;
        if is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':') {
            at += 2;
        } else {
            break;
        }
    }
    let name = match &tokens[at.min(tokens.len())..] {
        [TokenTree::Ident(renamed), TokenTree::Ident(name), ..] if renamed == "as" => {
            name.to_string()
        }
        _ => segments.last().cloned().unwrap_or_default(),
    };
    found.push((line, segments, name));
    at
}

fn read_branches(group: &Group, prefix: &[String], found: &mut Vec<Found>) {
    let tokens: Vec<_> = group.stream().into_iter().collect();
    for branch in tokens.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ',')) {
        if !branch.is_empty() {
            read_path(branch, 0, prefix, found);
        }
    }
}

/// The tokens inside `#[..]` or `#![..]` at `at`, and where the attribute ends.
fn attribute(tokens: &[TokenTree], at: usize) -> Option<(Vec<TokenTree>, usize)> {
    let at = at + 1 + usize::from(is_punct(tokens.get(at + 1), '!'));
    match tokens.get(at)? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
            let inside: Vec<_> = group.stream().into_iter().collect();
            (!inside.is_empty()).then_some((inside, at + 1))
        }
        _ => None,
    }
}

fn is_cfg_test(attribute: &[TokenTree]) -> bool {
    match attribute {
        [TokenTree::Ident(cfg), TokenTree::Group(group)] if cfg == "cfg" => {
            let condition = group.stream().to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        _ => false,
    }
}

/// The line of the first item without `#[cfg(test)]` that follows a module with it.
fn after_tests(tokens: TokenStream) -> Option<usize> {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let (mut at, mut in_test, mut tests_seen) = (0, false, false);
    while let Some(token) = tokens.get(at) {
        if is_punct(Some(token), '#') {
            let (attribute, next) = attribute(&tokens, at)?;
            in_test |= is_cfg_test(&attribute);
            at = next;
            continue;
        }
        if tests_seen && !in_test {
            return Some(token.span().start().line);
        }
        tests_seen |= in_test && is_ident(token, "mod");
        let ends = is_punct(Some(token), ';')
            || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        in_test &= !ends;
        at += 1;
    }
    None
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}
