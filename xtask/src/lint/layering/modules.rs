// SPDX-License-Identifier: MIT OR Apache-2.0
//! The modules of a crate, and which file needs which.
//!
//! A file needs the file that defines what it names: a re-export on the way stands for what it
//! re-exports, and a module is needed for what is in it, not for its name.

use super::source::{self, Body, Use};
use crate::lint::tree::Source;
use std::collections::{BTreeMap, BTreeSet};

/// Need of one file for another: the line that says so.
pub type Needs = BTreeMap<(String, String), usize>;

/// Re-exports that are followed one after the other before a name is given up.
const DEPTH: usize = 16;

struct Module {
    /// Path of its file.
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    body: Body,
}

/// The crate that begins with a file.
struct Crate {
    modules: Vec<Module>,
}

/// The needs among the files of each crate whose first file is among the sources.
pub fn needs(sources: &[Source]) -> Needs {
    let by_path: BTreeMap<&str, &str> =
        sources.iter().map(|source| (source.path.as_str(), source.text.as_str())).collect();
    let mut needs = Needs::new();
    for root in by_path.keys().filter(|path| is_root(path)) {
        let mut found = Crate { modules: Vec::new() };
        found.add(root, root, None, None, &by_path);
        found.needs(&mut needs);
    }
    needs
}

fn is_root(path: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    path.ends_with(".rs")
        && (path.ends_with("/lib.rs") || path.ends_with("/main.rs") || folder.ends_with("/src/bin"))
}

impl Crate {
    /// Adds a module and what is below it; `body` is absent where the module is a file.
    fn add(
        &mut self,
        root: &str,
        file: &str,
        parent: Option<usize>,
        body: Option<Body>,
        sources: &BTreeMap<&str, &str>,
    ) -> usize {
        let mut body = body.unwrap_or_else(|| source::read(sources.get(file).copied().unwrap_or_default()));
        let (files, blocks) = (std::mem::take(&mut body.files), std::mem::take(&mut body.blocks));
        let own = self.modules.len();
        self.modules.push(Module { file: file.to_owned(), parent, children: BTreeMap::new(), body });
        let folder = match file.rsplit_once('/') {
            Some((folder, name)) if file == root || name == "mod.rs" => folder.to_owned(),
            _ => file.trim_end_matches(".rs").to_owned(),
        };
        for name in files {
            let candidates = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
            let Some(path) = candidates.into_iter().find(|path| sources.contains_key(path.as_str())) else {
                continue;
            };
            let child = self.add(root, &path, Some(own), None, sources);
            self.modules[own].children.insert(name, child);
        }
        for (name, inner) in blocks {
            let child = self.add(root, file, Some(own), Some(inner), sources);
            self.modules[own].children.insert(name, child);
        }
        own
    }

    fn needs(&self, needs: &mut Needs) {
        for (own, module) in self.modules.iter().enumerate() {
            let counts = |import: &&Use| !import.public || module.body.words.contains(&import.name);
            let imports = module.body.uses.iter().filter(counts);
            let imports = imports.map(|import| (&import.path, import.name == "*", import.line));
            let paths = module.body.paths.iter().map(|(path, line)| (path, false, *line));
            for (path, glob, line) in imports.chain(paths) {
                let mut files = BTreeSet::new();
                self.files_of(own, path, glob, &mut files);
                for file in files.into_iter().filter(|file| *file != module.file) {
                    needs.entry((module.file.clone(), file)).or_insert(line);
                }
            }
        }
    }

    /// The files that define what `path` means in module `own`.
    fn files_of(&self, own: usize, path: &[String], glob: bool, files: &mut BTreeSet<String>) {
        let Some(found) = self.resolve(own, path, DEPTH) else { return };
        let module = &self.modules[found.module];
        if found.is_item || glob {
            files.insert(module.file.clone());
        }
        // All that a module passes on comes with a glob.
        if glob && !found.is_item {
            for import in module.body.uses.iter().filter(|import| import.public) {
                if let Some(passed) = self.resolve(found.module, &import.path, DEPTH) {
                    files.insert(self.modules[passed.module].file.clone());
                }
            }
        }
    }

    /// Follows a path from module `own`; `None` where it leads out of the crate.
    fn resolve(&self, own: usize, path: &[String], depth: usize) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.walk(0, rest, depth),
            "self" => self.walk(own, rest, depth),
            "super" => {
                let mut at = self.modules.get(own)?.parent?;
                let mut rest = rest;
                while let Some((word, after)) = rest.split_first().filter(|(word, _)| *word == "super") {
                    debug_assert_eq!(word, "super");
                    at = self.modules.get(at)?.parent?;
                    rest = after;
                }
                self.walk(at, rest, depth)
            }
            _ if self.names(own, first) => self.walk(own, path, depth),
            _ => None,
        }
    }

    fn names(&self, own: usize, name: &str) -> bool {
        self.modules.get(own).is_some_and(|module| {
            module.children.contains_key(name) || module.body.uses.iter().any(|import| import.name == name)
        })
    }

    /// Follows the rest of a path inside module `at`.
    fn walk(&self, at: usize, path: &[String], depth: usize) -> Option<Found> {
        let module = self.modules.get(at)?;
        let Some((first, rest)) = path.split_first() else {
            return Some(Found { module: at, is_item: false });
        };
        if let Some(child) = module.children.get(first) {
            return self.walk(*child, rest, depth);
        }
        if let Some(import) = module.body.uses.iter().find(|import| import.name == *first) {
            // An import that names itself, like `use a::a`, leads out of the crate.
            let longer: Vec<String> = import.path.iter().chain(rest).cloned().collect();
            let names_itself = import.path.first() == Some(first);
            return if names_itself || depth == 0 { None } else { self.resolve(at, &longer, depth - 1) };
        }
        let defines = |module: &Module| module.body.macros.iter().any(|name| name == first);
        if at == 0
            && let Some(definer) = self.modules.iter().position(defines)
        {
            return Some(Found { module: definer, is_item: true });
        }
        Some(Found { module: at, is_item: true })
    }
}

/// Where a path leads.
struct Found {
    module: usize,
    /// Something in the module, rather than the module itself.
    is_item: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tree::source;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| source(&format!("x/src/{path}"), text)).collect();
        let short = |path: &str| path.trim_start_matches("x/src/").to_owned();
        needs(&sources).keys().map(|(from, to)| format!("{} {}", short(from), short(to))).collect()
    }

    #[test]
    fn a_re_export_stands_for_what_it_re_exports() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::thing as other;"),
            ("a.rs", "use crate::other;"),
            ("b.rs", "pub fn thing() {}"),
        ];
        assert_eq!(found(&files), ["a.rs b.rs"]);
    }

    #[test]
    fn a_module_is_needed_for_what_is_used_of_it() {
        let files = [
            ("lib.rs", "mod a; mod c;"),
            ("a/mod.rs", "pub mod b;"),
            ("a/b.rs", "pub fn f() {}"),
            ("c.rs", "use crate::a; fn g() { a::b::f(); }"),
        ];
        assert_eq!(found(&files), ["c.rs a/b.rs"]);
    }

    #[test]
    fn parents_need_children_whose_items_they_name() {
        let files = [
            ("main.rs", "mod a; fn main() { a::go(); }"),
            ("a.rs", "mod b; pub fn go() { b::stay(); } use super::super::x; pub struct S;"),
            ("a/b.rs", "use super::S; pub fn stay() {}"),
        ];
        assert_eq!(found(&files), ["a.rs a/b.rs", "a/b.rs a.rs", "main.rs a.rs"]);
    }

    #[test]
    fn a_macro_is_needed_where_it_is_defined() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "#[macro_export]\nmacro_rules! say { () => {} }"),
            ("b.rs", "use crate::say;"),
        ];
        assert_eq!(found(&files), ["b.rs a.rs"]);
    }

    #[test]
    fn a_glob_needs_all_that_is_passed_on() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "pub use crate::b::F; pub struct G;"),
            ("b.rs", "pub struct F;"),
            ("c.rs", "use crate::a::*;"),
        ];
        assert_eq!(found(&files), ["c.rs a.rs", "c.rs b.rs"]);
    }

    #[test]
    fn what_leads_out_of_the_crate_or_nowhere_is_no_need() {
        let files = [
            ("lib.rs", "mod a; use a::a; use outer::inner;"),
            ("a.rs", "use core::fmt; use super::super::super::nothing; use b::b; fn c() { fmt::d(); }"),
        ];
        assert_eq!(found(&files), ["lib.rs a.rs"]);
    }
}
