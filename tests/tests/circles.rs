//! The files of a crate import each other in no circle, so each can be read after those that it names.
//!
//! A file imports a module if it names the module, or an item of it, by a path: `crate::a::B`, `super::c`, or `c::D` for a
//! child `c`. A path through a `pub use` imports the module that declares the item, so a parent that declares and
//! re-exports its children imports none of them. An import of a module that the file is inside of does not count: a part
//! may know the whole that it belongs to. Tests do not count.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use anyflow_tests::files_below;

/// The segments of a module's path below `crate`.
type Module = Vec<String>;

struct Crate {
    /// Module -> its text without comments and tests.
    modules: BTreeMap<Module, String>,
    /// Module and exported name -> the path of the item.
    exports: BTreeMap<(Module, String), Module>,
}

impl Crate {
    fn read(folder: &Path) -> Crate {
        let mut modules = BTreeMap::new();
        for file in files_below(folder, "rs") {
            let relative = file.strip_prefix(folder).unwrap().with_extension("");
            let mut module: Module = relative.iter().map(|part| part.to_str().unwrap().to_string()).collect();
            if ["lib", "main", "mod"].contains(&module.last().unwrap().as_str()) {
                module.pop();
            }
            modules.insert(module, code(&std::fs::read_to_string(&file).unwrap()));
        }
        let mut found = Crate { modules, exports: BTreeMap::new() };
        for (module, text) in &found.modules {
            for statement in uses(text).filter(|statement| statement.starts_with("pub")) {
                for (path, name) in expanded(statement.split_once("use ").unwrap().1) {
                    if let Some(path) = found.absolute(module, &path) {
                        found.exports.insert((module.clone(), name), path);
                    }
                }
            }
        }
        found
    }

    /// The path below `crate` of a path that a module writes; `None` for one that leaves the crate.
    fn absolute(&self, module: &Module, path: &str) -> Option<Module> {
        let segments: Vec<&str> = path.split("::").collect();
        let up = segments.iter().take_while(|segment| ["self", "super"].contains(segment));
        let base = match segments[0] {
            "crate" => return Some(segments[1..].iter().map(|segment| segment.to_string()).collect()),
            "self" | "super" => {
                &module[..module.len().checked_sub(up.clone().filter(|word| **word == "super").count())?]
            }
            child if self.modules.contains_key(&[module.as_slice(), &[child.to_string()]].concat()) => module,
            _ => return None,
        };
        let rest = segments[up.count()..].iter().map(|segment| segment.to_string());
        Some(base.iter().cloned().chain(rest).collect())
    }

    /// The module that declares what an absolute path names.
    fn declaring(&self, path: &Module) -> Module {
        let mut path = path.clone();
        // A chain of exports has a few links.
        for _ in 0..8 {
            let length = (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length])).unwrap_or(0);
            let (module, rest) = path.split_at(length);
            let exported = rest.first().and_then(|name| self.exports.get(&(module.to_vec(), name.clone())));
            match exported {
                Some(item) => path = item.iter().chain(&rest[1..]).cloned().collect(),
                None => return module.to_vec(),
            }
        }
        path
    }

    fn imports(&self, module: &Module) -> BTreeSet<Module> {
        let text = &self.modules[module];
        let in_uses = uses(text).filter(|statement| !statement.starts_with("pub"));
        let in_uses = in_uses.flat_map(|statement| expanded(statement.split_once("use ").unwrap().1));
        let in_code = text.split(|c: char| !c.is_alphanumeric() && !['_', ':'].contains(&c));
        let in_code = in_code.filter(|word| word.contains("::") && !word.starts_with(':') && !word.ends_with(':'));
        let paths = in_uses.map(|(path, _)| path).chain(in_code.map(str::to_string));
        let declared = paths.filter_map(|path| self.absolute(module, &path)).map(|path| self.declaring(&path));
        declared.filter(|declared| !module.starts_with(declared)).collect()
    }

    /// For each module in a circle, a shortest way back to it.
    fn circles(&self) -> BTreeMap<String, String> {
        let imports: BTreeMap<_, _> = self.modules.keys().map(|module| (module, self.imports(module))).collect();
        let back = |start: &Module| -> Option<Vec<Module>> {
            let mut ways = VecDeque::from([vec![start.clone()]]);
            let mut seen = BTreeSet::new();
            while let Some(way) = ways.pop_front() {
                for next in &imports[way.last().unwrap()] {
                    let way = [way.clone(), vec![next.clone()]].concat();
                    if next == start {
                        return Some(way);
                    }
                    if seen.insert(next.clone()) {
                        ways.push_back(way);
                    }
                }
            }
            None
        };
        let named = |module: &Module| module.join("::");
        let ways = self.modules.keys().filter_map(|module| Some((named(module), back(module)?)));
        ways.map(|(module, way)| (module, way.iter().map(named).collect::<Vec<_>>().join(" -> "))).collect()
    }
}

/// A text without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = lines.join("\n");
    let tests = code.match_indices("#[cfg(test)]").find(|(at, _)| {
        let item = code[*at..].lines().find(|line| !line.trim_start().starts_with("#["));
        item.is_some_and(|item| item.contains("mod ") && item.trim_end().ends_with('{'))
    });
    tests.map_or(code.as_str(), |(at, _)| &code[..at]).to_string()
}

/// The `use` statements of a text, each from `use` or `pub` up to the semicolon, on one line.
fn uses(text: &str) -> impl Iterator<Item = String> {
    let starts = |line: &str| {
        let line = line.trim_start();
        line.starts_with("use ") || (line.starts_with("pub") && line.contains("use ") && !line.contains('='))
    };
    let mut at = 0;
    let begins: Vec<usize> = text
        .split_inclusive('\n')
        .filter_map(|line| {
            at += line.len();
            starts(line).then_some(at - line.len())
        })
        .collect();
    let whole = begins.into_iter().filter_map(|at| Some(text[at..].split_once(';')?.0));
    whole.map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().into_iter()
}

/// The paths of a tree `a::{b, c::D as E}`, each with the name that it gets.
fn expanded(tree: &str) -> Vec<(String, String)> {
    let Some((prefix, group)) = tree.split_once('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, tree.rsplit("::").next().unwrap_or(tree)));
        return vec![(path.trim().to_string(), name.trim().to_string())];
    };
    let group = group.rsplit_once('}').map_or(group, |(group, _)| group);
    let mut depth = 0;
    let parts = group.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    let with_prefix = |(path, name): (String, String)| (format!("{}{path}", prefix.trim()), name);
    parts.flat_map(expanded).map(with_prefix).collect()
}

#[test]
fn files_import_each_other_in_no_circle() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let folders = ["core", "plugins"].iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let crates = folders.map(|entry| entry.unwrap().path()).chain([root.join("datasets")]);
    let mut wrong = Vec::new();
    for folder in crates.filter(|folder| folder.join("src").is_dir()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_string();
        let circles = Crate::read(&folder.join("src")).circles();
        wrong.extend(circles.values().map(|way| format!("{name}: {way}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_found_through_exports_groups_and_children() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
    };
    write("lib.rs", "mod a;\nmod b;\npub use a::Named;\n");
    write("a.rs", "mod inner;\npub(crate) use inner::{Item, Other as Named};\nfn f() { inner::g() } // crate::b::x\n");
    write("a/inner.rs", "use crate::b;\n#[cfg(test)]\nmod tests {\n    use crate::Unknown;\n}\n");
    write("b.rs", "use std::fmt::{self, Debug};\nuse crate::{\n    Named,\n};\n");
    let circles = Crate::read(folder.path()).circles();
    assert_eq!(circles.keys().collect::<Vec<_>>(), ["a::inner", "b"]);
    assert_eq!(circles["b"], "b -> a::inner -> b");
    write("b.rs", "use std::fmt::Debug;\n");
    assert!(Crate::read(folder.path()).circles().is_empty(), "a parent and its part are no circle");
}
