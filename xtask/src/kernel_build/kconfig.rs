//! What a source tree knows about its options: where each is defined, on what it depends, what
//! selects it. For hints in error messages; `make` alone decides what a configuration becomes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;

/// `$(SRCARCH)` of the only architecture that is built.
const ARCHITECTURE: &str = "x86";

/// Files that include each other would be read for ever.
const DEEPEST: usize = 32;

/// How alike two names must be for one to be offered in place of the other.
const ALIKE: f64 = 0.75;

/// One place that defines a symbol.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Definition {
    /// `net/Kconfig:12`.
    pub place: String,
    /// Whether it can be asked for; without a prompt only other options turn it on.
    pub prompt: bool,
    /// Every condition that it stands under, from the outermost menu to its own.
    pub depends: Vec<String>,
    /// Whether it is one of several of which exactly one is on.
    pub choice: bool,
}

/// All symbols of a tree.
#[derive(Clone, Debug, Default)]
pub struct Kconfig {
    symbols: BTreeMap<String, Vec<Definition>>,
    selected_by: BTreeMap<String, Vec<String>>,
}

impl Kconfig {
    /// Reads `Kconfig` at the top of the tree and all that it includes.
    ///
    /// # Errors
    ///
    /// The file at the top cannot be read.
    pub fn read(tree: &Path) -> Result<Self> {
        let top = tree.join("Kconfig");
        fs::metadata(&top).with_context(|| format!("cannot read {}", top.display()))?;
        let mut reader = Reader::default();
        reader.file(&|name| fs::read_to_string(tree.join(name)).ok(), "Kconfig", 0);
        Ok(reader.found)
    }

    /// Where a symbol is defined; none if this version has no such option.
    #[must_use]
    pub fn definitions(&self, symbol: &str) -> Option<&[Definition]> {
        self.symbols.get(symbol).map(Vec::as_slice)
    }

    /// The symbols that turn this one on.
    #[must_use]
    pub fn selected_by(&self, symbol: &str) -> &[String] {
        self.selected_by.get(symbol).map_or(&[], Vec::as_slice)
    }

    /// The existing name that is most like one that does not exist, if any is.
    #[must_use]
    pub fn similar(&self, name: &str) -> Option<&str> {
        let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, name);
        let candidates = self.symbols.keys().filter(|known| {
            // Options are renamed by putting a word before or behind more often than otherwise.
            is_lengthened(known, name) || is_lengthened(name, known) || likeness(known) >= ALIKE
        });
        candidates
            .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
            .map(String::as_str)
    }
}

/// Whether the long name is the short one with a word before or behind it.
fn is_lengthened(long: &str, short: &str) -> bool {
    short.len() > 3
        && (long.strip_suffix(short).is_some_and(|rest| rest.ends_with('_'))
            || long.strip_prefix(short).is_some_and(|rest| rest.starts_with('_')))
}

/// The names in an expression such as `PCI && (X86 || COMPILE_TEST)`.
pub fn names_in(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.bytes().any(|byte| byte.is_ascii_uppercase()))
}

/// A menu, choice or `if` that is open.
#[derive(Debug)]
struct Frame {
    choice: bool,
    depends: Vec<String>,
}

/// What a line of attributes belongs to.
#[derive(Debug, Default)]
enum Owner {
    #[default]
    Nobody,
    /// The last definition of this symbol.
    Symbol(String),
    /// The innermost frame.
    Frame,
}

#[derive(Debug, Default)]
struct Reader {
    found: Kconfig,
    frames: Vec<Frame>,
    owner: Owner,
}

impl Reader {
    fn file(&mut self, text_of: &dyn Fn(&str) -> Option<String>, name: &str, depth: usize) {
        let Some(text) = text_of(name).filter(|_| depth < DEEPEST) else { return };
        let mut lines = text.lines().enumerate().peekable();
        while let Some((index, first)) = lines.next() {
            let mut line = first.to_owned();
            while let (Some(open), Some((_, more))) = (line.strip_suffix('\\'), lines.peek()) {
                line = format!("{} {}", open.trim_end(), more.trim());
                lines.next();
            }
            let words = line.trim();
            if matches!(words, "help" | "---help---") {
                let mut indent = None;
                while let Some((_, text)) = lines.peek() {
                    if !text.trim().is_empty() {
                        let this = width_of_indent(text);
                        if this < *indent.get_or_insert_with(|| this.max(1)) {
                            break;
                        }
                    }
                    lines.next();
                }
                continue;
            }
            if let Some(included) = included(words) {
                self.owner = Owner::Nobody;
                self.file(text_of, &included, depth + 1);
                continue;
            }
            self.line(words, || format!("{name}:{}", index + 1));
        }
    }

    fn line(&mut self, text: &str, place: impl Fn() -> String) {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        match word {
            "config" | "menuconfig" => self.define(rest, place()),
            "menu" => self.open(Frame { choice: false, depends: Vec::new() }, Owner::Frame),
            "choice" => self.open(Frame { choice: true, depends: Vec::new() }, Owner::Frame),
            "if" => {
                let depends = vec![rest.to_owned()];
                self.open(Frame { choice: false, depends }, Owner::Nobody);
            }
            "endmenu" | "endchoice" | "endif" => {
                self.frames.pop();
                self.owner = Owner::Nobody;
            }
            "comment" | "mainmenu" => self.owner = Owner::Nobody,
            "depends" => {
                let condition = rest.strip_prefix("on").unwrap_or(rest).trim().to_owned();
                match &self.owner {
                    Owner::Symbol(_) => {
                        if let Some(definition) = self.current() {
                            definition.depends.push(condition);
                        }
                    }
                    Owner::Frame => {
                        if let Some(frame) = self.frames.last_mut() {
                            frame.depends.push(condition);
                        }
                    }
                    Owner::Nobody => {}
                }
            }
            "select" | "imply" => {
                if let (Owner::Symbol(by), Some(symbol)) =
                    (&self.owner, rest.split_whitespace().next())
                {
                    let selectors = self.found.selected_by.entry(symbol.to_owned()).or_default();
                    selectors.push(by.clone());
                }
            }
            "bool" | "tristate" | "string" | "int" | "hex" | "prompt" => {
                if rest.starts_with(['"', '\''])
                    && let Some(definition) = self.current()
                {
                    definition.prompt = true;
                }
            }
            _ => {}
        }
    }

    fn define(&mut self, symbol: &str, place: String) {
        let definition = Definition {
            place,
            prompt: false,
            depends: self.frames.iter().flat_map(|frame| frame.depends.clone()).collect(),
            choice: self.frames.last().is_some_and(|frame| frame.choice),
        };
        self.found.symbols.entry(symbol.to_owned()).or_default().push(definition);
        self.owner = Owner::Symbol(symbol.to_owned());
    }

    fn open(&mut self, frame: Frame, owner: Owner) {
        self.frames.push(frame);
        self.owner = owner;
    }

    fn current(&mut self) -> Option<&mut Definition> {
        let Owner::Symbol(symbol) = &self.owner else { return None };
        self.found.symbols.get_mut(symbol)?.last_mut()
    }
}

/// The file that a `source "…"` line names.
fn included(line: &str) -> Option<String> {
    let rest = line.strip_prefix("source").or_else(|| line.strip_prefix("osource"))?;
    let name = rest.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some(name.replace("$(SRCARCH)", ARCHITECTURE))
}

fn width_of_indent(line: &str) -> usize {
    let blank = line.chars().take_while(|c| c.is_whitespace());
    blank.fold(0, |width, c| if c == '\t' { (width / 8 + 1) * 8 } else { width + 1 })
}

#[cfg(test)]
mod tests {
    use super::Kconfig;
    use super::Reader;
    use super::names_in;

    const TOP: &str = "mainmenu \"x\"\n\
        source \"arch/$(SRCARCH)/Kconfig\"\n\
        config NET\n\tbool \"Networking\"\n\thelp\n\t  Words.\n\n\t  config NOT_ONE\n\
        if NET\n\
        menu \"Cards\"\n\tdepends on PCI || \\\n\t\tUSB\n\
        config CARD\n\ttristate \"Card\"\n\tdepends on 64BIT\n\tselect HELPER if X\n\
        endmenu\n\
        endif\n\
        choice\n\tprompt \"One\"\n\
        config ONE\n\tbool \"One\"\n\
        endchoice\n\
        config HELPER\n\tbool\n\
        config MITIGATION_SLOW\n\tbool \"m\"\n";

    fn kconfig() -> Kconfig {
        let mut reader = Reader::default();
        let text_of = |name: &str| match name {
            "Kconfig" => Some(TOP.to_owned()),
            "arch/x86/Kconfig" => Some("config 64BIT\n\tdef_bool y\n".to_owned()),
            _ => None,
        };
        reader.file(&text_of, "Kconfig", 0);
        reader.found
    }

    #[test]
    fn conditions_of_menus_reach_their_options() {
        let kconfig = kconfig();
        let card = &kconfig.definitions("CARD").unwrap()[0];
        assert_eq!(card.depends, ["NET", "PCI || USB", "64BIT"]);
        assert!(card.prompt && !card.choice);
        assert_eq!(card.place, "Kconfig:13");
        assert!(kconfig.definitions("NET").unwrap()[0].depends.is_empty());
        assert!(kconfig.definitions("ONE").unwrap()[0].choice);
        assert!(!kconfig.definitions("HELPER").unwrap()[0].prompt);
        assert_eq!(kconfig.selected_by("HELPER"), ["CARD"]);
        assert_eq!(kconfig.definitions("64BIT").unwrap()[0].place, "arch/x86/Kconfig:1");
    }

    #[test]
    fn help_is_no_option() {
        assert_eq!(kconfig().definitions("NOT_ONE"), None);
    }

    #[test]
    fn similar_names_are_found() {
        let kconfig = kconfig();
        assert_eq!(kconfig.similar("SLOW"), Some("MITIGATION_SLOW"));
        assert_eq!(kconfig.similar("HELPPER"), Some("HELPER"));
        assert_eq!(kconfig.similar("SOMETHING_ELSE"), None);
    }

    #[test]
    fn names_are_taken_out_of_expressions() {
        let names: Vec<_> = names_in("PCI && (X86 || !COMPILE_TEST) && m = y").collect();
        assert_eq!(names, ["PCI", "X86", "COMPILE_TEST"]);
    }
}
