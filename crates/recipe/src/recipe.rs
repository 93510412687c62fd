//! A recipe with everything that it includes.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use glob::MatchOptions;
use glob::Pattern;

use crate::Error;
use crate::Result;
use crate::manifest::Binary;
use crate::manifest::Distribution;
use crate::manifest::Manifest;

/// Name of the file that makes a directory a recipe.
pub const MANIFEST: &str = "recipe.toml";
/// Name of the lock file.
pub const LOCK: &str = "packages.lock";

/// A `*` stays within a name.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// One directory with a `recipe.toml`.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Name of the directory.
    pub name: String,
    /// The directory.
    pub dir: PathBuf,
    /// Its `recipe.toml`.
    pub manifest: Manifest,
}

/// A recipe: its own layer is the last, those that it includes come before.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// Its layers.
    pub layers: Vec<Layer>,
}

/// Patterns of paths.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Vec<Pattern>);

impl Patterns {
    fn compile<'a>(texts: impl Iterator<Item = &'a String>) -> Result<Self> {
        let compile = |text: &String| {
            Pattern::new(text.trim_start_matches('/'))
                .map_err(|error| Error::new(format!("[exclude] {text:?}: {error}")))
        };
        texts.map(compile).collect::<Result<_>>().map(Self)
    }

    /// Whether one of them is for this path (without a leading slash).
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches_with(path, MATCHING))
    }
}

impl Recipe {
    /// Reads the recipe `name` in a directory of recipes.
    ///
    /// # Errors
    /// If it is missing, cannot be understood, or includes itself.
    pub fn load(recipes: &Path, name: &str) -> Result<Self> {
        let mut layers = Vec::new();
        add(recipes, name, &mut Vec::new(), &mut layers)?;
        Ok(Self { name: name.to_owned(), layers })
    }

    /// Names of all recipes in a directory, with their labels.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(recipes: &Path) -> Result<Vec<(String, String)>> {
        let failed = |error: io::Error| Error::io("read", recipes, &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(recipes).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.path().join(MANIFEST).is_file() {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let label = match Self::load(recipes, &name) {
                Ok(recipe) => recipe.label().unwrap_or_default().to_owned(),
                Err(error) => format!("(cannot be used: {error})"),
            };
            found.push((name, label));
        }
        found.sort();
        Ok(found)
    }

    /// Its own directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.layers.last().map_or_else(|| Path::new("."), |layer| &layer.dir)
    }

    /// Where its lock file is.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.dir().join(LOCK)
    }

    /// The label of the last layer that has one.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.last(|manifest| manifest.label.as_deref())
    }

    /// The command line of the last layer that has one.
    #[must_use]
    pub fn cmdline(&self) -> Option<&str> {
        self.last(|manifest| manifest.cmdline.as_deref())
    }

    /// The watchdog's time-out of the last layer that has one.
    #[must_use]
    pub fn watchdog_seconds(&self) -> Option<u32> {
        self.last(|manifest| manifest.watchdog_seconds)
    }

    /// The distribution of the last layer that names one.
    #[must_use]
    pub fn distribution(&self) -> Option<&Distribution> {
        self.last(|manifest| manifest.distribution.as_ref())
    }

    /// The kernel file of the last layer that names one.
    #[must_use]
    pub fn kernel(&self) -> Option<PathBuf> {
        let kernel = |layer: &Layer| Some(layer.dir.join(layer.manifest.kernel.as_ref()?));
        self.layers.iter().rev().find_map(kernel)
    }

    /// The layer with an existing root file system.
    #[must_use]
    pub fn root(&self) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.manifest.root.is_some())
    }

    /// Names of packages of all layers, sorted.
    #[must_use]
    pub fn packages(&self) -> Vec<String> {
        self.union(|manifest| &manifest.packages)
    }

    /// Packages that are left out, sorted; what a layer asks for is not among them.
    #[must_use]
    pub fn without(&self) -> Vec<String> {
        let wanted = self.packages();
        let mut names = self.union(|manifest| &manifest.without);
        names.retain(|name| !wanted.contains(name));
        names
    }

    /// Binaries of this source tree. Of several for one path the last layer's counts.
    #[must_use]
    pub fn binaries(&self) -> Vec<&Binary> {
        let mut found: Vec<&Binary> = Vec::new();
        for binary in self.layers.iter().flat_map(|layer| &layer.manifest.binary) {
            found.retain(|it| it.to != binary.to);
            found.push(binary);
        }
        found
    }

    /// What is left out of the image, and what stays all the same.
    ///
    /// # Errors
    /// If something is no pattern.
    pub fn exclude(&self) -> Result<(Patterns, Patterns)> {
        let all = |layer: &'static dyn Fn(&Manifest) -> &Vec<String>| {
            Patterns::compile(self.layers.iter().flat_map(move |it| layer(&it.manifest)))
        };
        Ok((all(&|it| &it.exclude.paths)?, all(&|it| &it.exclude.keep)?))
    }

    /// What may lack libraries.
    ///
    /// # Errors
    /// If something is no pattern.
    pub fn may_lack(&self) -> Result<Patterns> {
        Patterns::compile(self.layers.iter().flat_map(|it| &it.manifest.exclude.may_lack))
    }

    fn last<'a, T>(&'a self, get: impl Fn(&'a Manifest) -> Option<T>) -> Option<T> {
        self.layers.iter().rev().find_map(|layer| get(&layer.manifest))
    }

    fn union(&self, get: impl Fn(&Manifest) -> &Vec<String>) -> Vec<String> {
        let mut names: Vec<String> =
            self.layers.iter().flat_map(|layer| get(&layer.manifest)).cloned().collect();
        names.sort();
        names.dedup();
        names
    }
}

fn add(recipes: &Path, name: &str, path: &mut Vec<String>, layers: &mut Vec<Layer>) -> Result<()> {
    if path.iter().any(|it| it == name) {
        path.push(name.to_owned());
        return Err(Error::new(format!("recipes include each other: {}", path.join(" → ")))
            .remedy("take one of these out of its `include`"));
    }
    if layers.iter().any(|layer| layer.name == name) {
        return Ok(());
    }
    let dir = recipes.join(name);
    let file = dir.join(MANIFEST);
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(letters) {
        return Err(Error::new(format!("{name:?} is not the name of a recipe"))
            .remedy("a name has letters, digits, and in between `.`, `_` and `-`"));
    }
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(no_recipe(recipes, name, path));
        }
        Err(error) => return Err(Error::io("read", &file, &error)),
    };
    let manifest = Manifest::parse(&text).map_err(|error| error.on(file.display()))?;
    path.push(name.to_owned());
    for included in &manifest.include {
        add(recipes, included, path, layers)?;
    }
    path.pop();
    layers.push(Layer { name: name.to_owned(), dir, manifest });
    Ok(())
}

fn no_recipe(recipes: &Path, name: &str, path: &[String]) -> Error {
    let who = path.last().map_or_else(String::new, |it| format!(" (included by {it})"));
    // Not with their labels: to know these, the recipes would be loaded, and this one fail again.
    let entries = fs::read_dir(recipes).into_iter().flatten().flatten();
    let found = entries.filter(|entry| entry.path().join(MANIFEST).is_file());
    let mut names: Vec<String> =
        found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let near = names.iter().map(|it| (strsim::damerau_levenshtein(name, it), it)).min();
    let meant = match near {
        Some((distance, it)) if distance <= 2 => format!("did you mean {it}? "),
        _ => String::new(),
    };
    let error = Error::new(format!("there is no recipe {name}{who} in {}", recipes.display()));
    if names.is_empty() {
        // To make one there would fail as well: a new recipe includes another.
        return error.remedy(
            "there are no recipes at all: is it the right directory? What a recipe includes must be \
             in the same one: copy `ospkg/base` there",
        );
    }
    error.remedy(format!(
        "{meant}there are: {}; `cargo xtask ospkg new {name}` makes one",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipes(list: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in list {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join(MANIFEST), text).unwrap();
        }
        dir
    }

    #[test]
    fn a_slip_in_a_name_is_understood() {
        let dir = recipes(&[("base", ""), ("tor-relay", "")]);
        let remedy = |name| {
            let error = Recipe::load(dir.path(), name).unwrap_err();
            error.remedy_text().unwrap_or_default().to_owned()
        };
        assert!(
            remedy("tor-realy").starts_with("did you mean tor-relay? "),
            "{}",
            remedy("tor-realy")
        );
        assert!(remedy("mail").starts_with("there are: base, tor-relay"), "{}", remedy("mail"));
    }

    #[test]
    fn a_directory_without_recipes_is_said_to_be_none() {
        let dir = recipes(&[]);
        let error = Recipe::load(dir.path(), "base").unwrap_err();
        let remedy = error.remedy_text().unwrap_or_default();
        assert!(
            remedy.contains("no recipes at all") && remedy.contains("`ospkg/base`"),
            "{remedy}"
        );
        assert!(!remedy.contains("ospkg new"), "that would fail as well: {remedy}");
    }

    #[test]
    fn layers_come_in_order_and_once() {
        let dir = recipes(&[
            ("base", "label = \"b\"\npackages = [\"b\", \"a\"]\nwithout = [\"z\", \"c\"]\n"),
            ("net", "include = [\"base\"]\n"),
            ("vpn", "include = [\"base\", \"net\"]\npackages = [\"c\"]\n"),
        ]);
        let recipe = Recipe::load(dir.path(), "vpn").unwrap();
        let names: Vec<&str> = recipe.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["base", "net", "vpn"]);
        assert_eq!((recipe.packages().join(" ").as_str(), recipe.label()), ("a b c", Some("b")));
        assert_eq!(recipe.without(), ["z"]);
    }

    #[test]
    fn circles_and_missing_recipes_are_named() {
        let dir = recipes(&[("a", "include = [\"b\"]\n"), ("b", "include = [\"a\"]\n")]);
        let error = Recipe::load(dir.path(), "a").unwrap_err().to_string();
        assert_eq!(error, "recipes include each other: a → b → a");
        let dir = recipes(&[("a", "include = [\"bb\"]\n")]);
        let error = Recipe::load(dir.path(), "a").unwrap_err();
        assert!(error.to_string().contains("no recipe bb (included by a)"), "{error}");
        assert!(error.remedy_text().unwrap().contains("there are: a"));
        assert!(Recipe::load(dir.path(), "../a").is_err());
    }

    #[test]
    fn patterns_are_those_of_paths() {
        let text = "[exclude]\npaths = [\"/usr/share/doc/**\", \"/usr/lib/*.a\"]\n";
        let dir = recipes(&[("a", text)]);
        let (paths, _) = Recipe::load(dir.path(), "a").unwrap().exclude().unwrap();
        assert!(paths.matches("usr/share/doc/x/copyright") && paths.matches("usr/lib/x.a"));
        assert!(!paths.matches("usr/lib/x/y.a") && !paths.matches("usr/share/docs"));
    }
}
