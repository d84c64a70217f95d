//! Which file of `src` imports which: whether files of a folder import downwards only, and whether any import in a circle.
//!
//! An import counts for the file in which a name is defined, also where a `mod.rs` above exports it again. A `mod.rs` that only
//! exports what is below it imports nothing.

use std::collections::{BTreeMap, BTreeSet};

/// A module's place: `["registry", "map"]`.
type Place = Vec<String>;

/// A `use`, or a path in the code.
struct Import {
    path: Vec<String>,
    /// What the file calls it.
    name: String,
    public: bool,
}

/// The files of a crate.
pub struct Files {
    /// The name of each file below `src`, and its text.
    texts: BTreeMap<Place, (String, String)>,
    imports: BTreeMap<Place, Vec<Import>>,
}

fn place(file: &str) -> Place {
    let mut place: Place = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(place.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        place.pop();
    }
    place
}

/// The code without comments and unit tests.
fn product(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join("\n");
    code.split("\nmod tests {").next().unwrap_or_default().to_owned()
}

/// The paths of a use tree such as `a::{b, c as d, self}`, with their names.
fn expand(tree: &str, before: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let tree = tree.trim();
    if let Some((prefix, rest)) = tree.split_once('{') {
        let inner = rest.trim_end().trim_end_matches('}');
        let mut before = before.to_vec();
        before.extend(prefix.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
        let (mut depth, mut part) = (0, String::new());
        for letter in inner.chars().chain([',']) {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if letter == ',' && depth == 0 {
                expand(&part, &before, found);
                part.clear();
            } else {
                part.push(letter);
            }
        }
    } else if !tree.is_empty() {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
        let mut path: Vec<String> =
            before.iter().cloned().chain(path.split("::").map(|p| p.trim().to_owned())).collect();
        if path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = if name.is_empty() { path.last().cloned().unwrap_or_default() } else { name.trim().to_owned() };
        found.push((path, name));
    }
}

fn imports(text: &str) -> Vec<Import> {
    let code = product(text);
    let (mut imports, mut rest, mut elsewhere) = (Vec::new(), code.as_str(), String::new());
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    while let Some(at) = rest.find("use ") {
        let begins = rest[..at].chars().next_back().is_none_or(|letter| !is_word(letter));
        elsewhere.push_str(&rest[..at]);
        let Some(end) = rest[at..].find(';').filter(|_| begins) else {
            elsewhere.push_str("use ");
            rest = &rest[at + 4..];
            continue;
        };
        let public = rest[..at].trim_end().ends_with("pub") || rest[..at].trim_end().ends_with(')');
        let mut found = Vec::new();
        expand(&rest[at + 4..at + end], &[], &mut found);
        imports.extend(found.into_iter().map(|(path, name)| Import { path, name, public }));
        rest = &rest[at + end..];
    }
    elsewhere.push_str(rest);
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in elsewhere.match_indices(root) {
            if elsewhere[..at].chars().next_back().is_some_and(|letter| is_word(letter) || letter == ':') {
                continue;
            }
            let path: String = elsewhere[at..].chars().take_while(|&letter| is_word(letter) || letter == ':').collect();
            let path = path.trim_end_matches(':').split("::").map(str::to_owned).collect();
            imports.push(Import { path, name: String::new(), public: false });
        }
    }
    imports
}

impl Files {
    pub fn new(texts: Vec<(String, String)>) -> Self {
        let texts: BTreeMap<_, _> = texts.into_iter().map(|(name, text)| (place(&name), (name, text))).collect();
        let imports = texts.iter().map(|(place, (_, text))| (place.clone(), imports(text))).collect();
        Self { texts, imports }
    }

    /// The path from the root of the crate, if it leads into the crate.
    fn absolute(&self, here: &Place, path: &[String]) -> Option<Place> {
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([here.as_slice(), &path[1..]].concat()),
            "super" => {
                let up = path.iter().take_while(|part| *part == "super").count();
                Some([&here[..here.len().checked_sub(up)?], &path[up..]].concat())
            }
            first => {
                let child = [here.as_slice(), &[first.to_owned()]].concat();
                self.texts.contains_key(&child).then(|| [here.as_slice(), path].concat())
            }
        }
    }

    /// The file in which `path` is defined.
    fn defined(&self, path: &[String], depth: usize) -> Option<Place> {
        let known = (0..=path.len()).rev().find(|&length| self.texts.contains_key(&path[..length]))?;
        let (file, rest) = (path[..known].to_vec(), &path[known..]);
        let Some(first) = rest.first() else { return Some(file) };
        let exported = self.imports[&file].iter().filter(|import| import.name == *first && depth < 8);
        let mut found = exported.filter_map(|import| {
            let path = self.absolute(&file, &import.path).filter(|target| target != path)?;
            self.defined(&[path.as_slice(), &rest[1..]].concat(), depth + 1)
        });
        found.next_back().or(Some(file))
    }

    /// Which file imports which; the roots of the crate see all.
    pub fn edges(&self) -> BTreeMap<Place, BTreeSet<Place>> {
        let mut edges: BTreeMap<Place, BTreeSet<Place>> = BTreeMap::new();
        for (here, imports) in self.imports.iter().filter(|(here, _)| !here.is_empty()) {
            for import in imports {
                let Some(path) = self.absolute(here, &import.path) else { continue };
                if import.public && path.starts_with(here) {
                    continue;
                }
                let target = self.defined(&path, 0).filter(|target| target != here && !target.is_empty());
                edges.entry(here.clone()).or_default().extend(target);
            }
        }
        edges
    }

    fn name(&self, place: &Place) -> &str {
        &self.texts[place].0
    }

    /// The imports that do not go downwards: within a folder to a file that `mod.rs` lists later.
    pub fn upwards(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (from, targets) in self.edges() {
            for to in targets {
                let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                // Of two folders of the crate the table of floors says which is above.
                let (Some(ours), Some(theirs)) = (from.get(common), to.get(common)) else { continue };
                let folder = &from[..common];
                if folder.is_empty() {
                    continue;
                }
                let text = product(&self.texts[folder].1);
                let listed = |module: &str| text.find(&format!("mod {module};"));
                if listed(theirs) > listed(ours) {
                    let folder = self.name(&folder.to_vec());
                    wrong.push(format!("{} imports {}, which {folder} lists later", self.name(&from), self.name(&to)));
                }
            }
        }
        wrong
    }

    /// A circle of imports, if there is one.
    pub fn circle(&self) -> Option<String> {
        let edges = self.edges();
        let mut done = BTreeSet::new();
        let mut way = Vec::new();
        edges.keys().find_map(|from| self.circle_from(from, &edges, &mut done, &mut way))
    }

    fn circle_from(
        &self,
        here: &Place,
        edges: &BTreeMap<Place, BTreeSet<Place>>,
        done: &mut BTreeSet<Place>,
        way: &mut Vec<Place>,
    ) -> Option<String> {
        if let Some(begin) = way.iter().position(|file| file == here) {
            let names: Vec<&str> = way[begin..].iter().chain([here]).map(|file| self.name(file)).collect();
            return Some(names.join(" -> "));
        }
        if !done.insert(here.clone()) {
            return None;
        }
        way.push(here.clone());
        let found = edges.get(here).and_then(|next| next.iter().find_map(|to| self.circle_from(to, edges, done, way)));
        way.pop();
        found
    }
}
