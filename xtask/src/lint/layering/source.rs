// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one file says about modules: those it declares, what it imports, and which paths it names.
//!
//! Items for tests alone are passed over, since a test may look at anything. Names are not resolved
//! here.

use crate::lint::lexer::{self, Kind, Token};
use std::collections::BTreeSet;

/// A module's own text: a file, or a block `mod name { ... }` inside one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Modules that lie in files of their own.
    pub files: Vec<String>,
    /// Modules that are written out here.
    pub blocks: Vec<(String, Body)>,
    /// Imports.
    pub uses: Vec<Use>,
    /// Paths of two segments or more in code, with their lines.
    pub paths: Vec<(Vec<String>, usize)>,
    /// Macros that are defined here.
    pub macros: Vec<String>,
    /// Every word of the code, imports excepted.
    pub words: BTreeSet<String>,
}

/// One name that is imported.
#[derive(Debug, PartialEq, Eq)]
pub struct Use {
    /// Where it comes from.
    pub path: Vec<String>,
    /// What it is called here; `_` for a trait without a name, `*` for all that there is.
    pub name: String,
    /// Whether it is passed on.
    pub public: bool,
    /// Its line.
    pub line: usize,
}

/// Reads a file.
pub fn read(text: &str) -> Body {
    let tokens: Vec<Token> =
        lexer::tokens(text).into_iter().filter(|token| token.kind != Kind::Comment).collect();
    Reader { tokens: &tokens, at: 0 }.body()
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads up to the brace that closes the module, or to the end.
    fn body(&mut self) -> Body {
        let mut body = Body::default();
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            match token.text {
                "{" => depth += 1,
                "}" if depth == 0 => break,
                "}" => depth -= 1,
                _ => {}
            }
            self.item(token, &mut body);
        }
        body
    }

    fn item(&mut self, token: Token<'a>, body: &mut Body) {
        if token.is("#") {
            return self.attribute();
        }
        // `use<'a>` in a return type captures a lifetime and imports nothing.
        if token.is("use") && !self.peek(1).is_some_and(|next| next.is("<")) {
            let public = self.is_public();
            self.at += 1;
            return self.tree(&[], public, &mut body.uses);
        }
        let name = self.peek(1).filter(|next| next.kind == Kind::Word).map(|next| next.text.to_owned());
        if let Some(name) = name.filter(|_| token.is("mod")) {
            let opens = self.peek(2).is_some_and(|after| after.is("{"));
            self.at += 3;
            if !opens {
                return body.files.push(name);
            }
            let inner = self.body();
            self.at += 1;
            return body.blocks.push((name, inner));
        }
        if token.is("macro_rules") {
            body.macros.extend(self.peek(2).map(|name| name.text.to_owned()));
        }
        if token.kind == Kind::Word {
            return self.path(token, body);
        }
        self.at += 1;
    }

    /// A word, or a path that begins with it.
    fn path(&mut self, first: Token<'a>, body: &mut Body) {
        let begins = !self.before(1).is_some_and(|sign| sign.is("::") || sign.is("$"));
        let is_scope = self.before(1).is_some_and(|word| word.is("in"))
            && self.before(2).is_some_and(|sign| sign.is("("))
            && self.before(3).is_some_and(|word| word.is("pub"));
        let mut path = vec![first.text.to_owned()];
        self.at += 1;
        while let (Some(colons), Some(word)) = (self.peek(0), self.peek(1))
            && colons.is("::")
            && word.kind == Kind::Word
        {
            path.push(word.text.to_owned());
            self.at += 2;
        }
        if path.len() > 1 && begins && !is_scope {
            body.words.extend(path.first().cloned());
            body.paths.push((path, first.line));
        } else {
            body.words.extend(path);
        }
    }

    /// Passes over an attribute, and over the item behind it where that is for tests alone.
    fn attribute(&mut self) {
        let start = self.at;
        self.at += 1;
        if self.peek(0).is_some_and(|sign| sign.is("!")) {
            self.at += 1;
        }
        self.balanced();
        let words = self.tokens.get(start..self.at).unwrap_or_default();
        let says = |word: &str| words.iter().any(|token| token.is(word));
        if says("cfg") && says("test") && !says("not") {
            self.pass_over_item();
        }
    }

    fn pass_over_item(&mut self) {
        while self.peek(0).is_some_and(|sign| sign.is("#")) {
            self.at += 1;
            self.balanced();
        }
        let is_use = (0..6).map_while(|ahead| self.peek(ahead)).take_while(|token| !token.is("{"));
        let is_use = is_use.into_iter().any(|token| token.is("use"));
        while let Some(token) = self.peek(0) {
            if token.is("}") {
                return;
            }
            self.balanced();
            if token.is(";") || token.is("{") && !is_use {
                return;
            }
        }
    }

    /// Passes over one token, or over all that a bracket encloses.
    fn balanced(&mut self) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            self.at += 1;
            match token.text {
                "{" | "(" | "[" if token.kind == Kind::Sign => depth += 1,
                "}" | ")" | "]" if token.kind == Kind::Sign => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A tree of imports under `prefix`, up to the sign behind it.
    fn tree(&mut self, prefix: &[String], public: bool, uses: &mut Vec<Use>) {
        let mut path = prefix.to_vec();
        let mut name = None;
        let line = self.peek(0).map_or(0, |token| token.line);
        while let Some(token) = self.peek(0) {
            self.at += 1;
            match token.text {
                "{" => {
                    while self.peek(0).is_some_and(|sign| !sign.is("}") && !sign.is(";")) {
                        self.tree(&path, public, uses);
                        if self.peek(0).is_some_and(|sign| sign.is(",")) {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "," | "}" | ";" => {
                    self.at -= 1;
                    break;
                }
                "as" => {
                    name = self.peek(0).map(|alias| alias.text.to_owned());
                    self.at += 1;
                }
                "self" if !path.is_empty() => {}
                "*" => name = Some("*".to_owned()),
                _ if token.kind == Kind::Word => path.push(token.text.to_owned()),
                _ => {}
            }
        }
        let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
        uses.push(Use { path, name, public, line });
    }

    /// Whether the word here stands behind `pub` or `pub(...)`.
    fn is_public(&self) -> bool {
        let mut back = 1;
        if self.before(1).is_some_and(|sign| sign.is(")")) {
            while self.before(back).is_some_and(|sign| !sign.is("(")) {
                back += 1;
            }
            back += 1;
        }
        self.before(back).is_some_and(|word| word.is("pub"))
    }

    fn peek(&self, ahead: usize) -> Option<Token<'a>> {
        self.tokens.get(self.at + ahead).copied()
    }

    fn before(&self, back: usize) -> Option<Token<'a>> {
        self.at.checked_sub(back).and_then(|at| self.tokens.get(at)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_taken_apart() {
        let body = read("pub(crate) use a::{self, b::C as D, e::*};\nuse super::f::T as _;\n");
        let shown: Vec<String> = body
            .uses
            .iter()
            .map(|found| format!("{} {} {}", found.path.join("::"), found.name, found.public))
            .collect();
        assert_eq!(shown, ["a a true", "a::b::C D true", "a::e * true", "super::f::T _ false"]);
    }

    #[test]
    fn what_is_for_tests_alone_is_passed_over() {
        let text = "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests { use a::b; }\n#[cfg(test)]\nuse c::{d};\nmod e;\n\
                    #[cfg(test)]\nmod f;\n#[cfg(not(test))]\nuse g::h;\nfn i() { j::k(); }\n";
        let body = read(text);
        assert_eq!(body.files, ["e"]);
        assert_eq!(body.uses.len(), 1);
        assert_eq!(body.paths, [(vec!["j".to_owned(), "k".to_owned()], 10)]);
    }

    #[test]
    fn a_scope_of_visibility_and_a_path_of_a_macro_are_no_paths() {
        let body = read("pub(in crate::a) fn b() { $crate::c(); d.e::<F>(); for g in crate::h() {} }");
        assert_eq!(body.paths, [(vec!["crate".to_owned(), "h".to_owned()], 0)]);
    }

    #[test]
    fn a_captured_lifetime_and_a_broken_import_end() {
        let body = read("fn a() -> impl B + use<'_> { c::d(); e(); } use f::{g; h");
        assert_eq!(body.paths, [(vec!["c".to_owned(), "d".to_owned()], 0)]);
    }

    #[test]
    fn a_module_in_a_block_is_a_body_of_its_own() {
        let body = read("mod a { use b::c; mod d; } use e::f;");
        assert_eq!(body.blocks.len(), 1);
        assert_eq!(body.blocks[0].1.files, ["d"]);
        assert_eq!(body.uses[0].path, ["e", "f"]);
    }
}
