//! Reading the parts of a `Cargo.toml` that the rules speak of: the package's name and its dependencies.
//!
//! It scans lines and is no TOML parser: it knows the forms in which dependencies are written, and nothing else.

/// What a manifest says.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    /// Name of the package and its line.
    pub(crate) name: Option<(String, usize)>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// Where a dependency is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Normal,
    Development,
    Build,
    /// `[workspace.dependencies]`: what versions there are, not who uses them.
    Workspace,
}

/// One dependency.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) section: Section,
    /// Its version is that of the workspace.
    pub(crate) inherited: bool,
    /// It is a crate of this workspace.
    pub(crate) path: bool,
    /// The line above it is a comment.
    pub(crate) explained: bool,
}

/// What the lines at hand belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Package,
    /// A table of dependencies, one per line.
    Dependencies(Section),
    /// The table of the dependency declared last, one field per line.
    Fields,
    Elsewhere,
}

impl Manifest {
    /// Scans a manifest.
    pub(crate) fn parse(text: &str) -> Self {
        let mut manifest = Self::default();
        let mut place = Place::Elsewhere;
        let mut above = "";
        let mut open_brackets = 0;
        for (index, raw) in text.lines().enumerate() {
            let line = raw.trim();
            let continues = open_brackets > 0;
            open_brackets += depth(line);
            if let Some(header) = line.strip_prefix('[').filter(|_| !continues) {
                open_brackets = 0;
                place = manifest.enter(header.trim_end_matches(']'), index + 1, above.starts_with('#'));
            } else if continues {
                // The rest of a list says no more about its dependency than its first line does.
            } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
                let (key, value) = (key.trim(), value.trim());
                manifest.assign(&place, key, value, index + 1, above.starts_with('#'));
            }
            above = line;
        }
        manifest
    }

    /// Takes a table header.
    fn enter(&mut self, header: &str, line: usize, explained: bool) -> Place {
        if header == "package" {
            return Place::Package;
        }
        let (table, name) = match header.rsplit_once("dependencies.") {
            Some((before, name)) => (format!("{before}dependencies"), Some(name)),
            None => (header.to_owned(), None),
        };
        let Some(section) = Section::of(&table) else {
            return Place::Elsewhere;
        };
        let Some(name) = name else {
            return Place::Dependencies(section);
        };
        self.declare(name, section, line, explained);
        Place::Fields
    }

    /// Takes a `key = value` line.
    fn assign(&mut self, place: &Place, key: &str, value: &str, line: usize, explained: bool) {
        match place {
            Place::Package if key == "name" => {
                self.name = Some((value.trim_matches('"').to_owned(), line));
            }
            Place::Dependencies(section) => {
                let (name, field) = key.split_once('.').unwrap_or((key, ""));
                self.declare(name, *section, line, explained);
                self.describe(field, value);
            }
            Place::Fields => self.describe(key, value),
            Place::Package | Place::Elsewhere => {}
        }
    }

    fn declare(&mut self, name: &str, section: Section, line: usize, explained: bool) {
        let name = name.trim_matches('"').to_owned();
        self.dependencies.push(Dependency { name, line, section, inherited: false, path: false, explained });
    }

    /// Notes what a field, or a whole inline table, says about the dependency declared last.
    fn describe(&mut self, field: &str, value: &str) {
        let Some(dependency) = self.dependencies.last_mut() else {
            return;
        };
        let inside: String = value.chars().filter(|c| !c.is_whitespace()).collect();
        let has = |key: &str| inside.contains(&format!("{{{key}")) || inside.contains(&format!(",{key}"));
        dependency.inherited |= (field == "workspace" && inside.starts_with("true")) || has("workspace=true");
        dependency.path |= field == "path" || has("path=");
    }
}

impl Section {
    fn of(table: &str) -> Option<Self> {
        if table == "workspace.dependencies" {
            return Some(Self::Workspace);
        }
        // A table for one target ends in the same words as the table for all.
        let last = table.rsplit_once('.').map_or(table, |(_, last)| last);
        match last {
            "dependencies" => Some(Self::Normal),
            "dev-dependencies" => Some(Self::Development),
            "build-dependencies" => Some(Self::Build),
            _ => None,
        }
    }
}

/// How many more brackets the line opens than it closes, outside of strings and comments.
fn depth(line: &str) -> i32 {
    let (mut depth, mut quoted) = (0, false);
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            '#' if !quoted => break,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_dependency_is_read() {
        let manifest = Manifest::parse(concat!(
            "[package]\nname = \"deltas\"\nversion.workspace = true\n",
            "[dependencies]\n# Why.\na.workspace = true\nb = { workspace = true, features = [\n  \"x\", # ]\n  \"y=z\",\n] }\n",
            "c = \"1\"\n[target.'cfg(unix)'.dev-dependencies]\nd = { path = \"../d\" }\n",
            "[build-dependencies.e]\nworkspace = true\nfeatures = []\n[features]\nf = []\n",
        ));
        assert_eq!(manifest.name, Some(("deltas".into(), 2)));
        let found: Vec<_> = manifest
            .dependencies
            .iter()
            .map(|d| (d.name.as_str(), d.line, d.section, d.inherited, d.path, d.explained))
            .collect();
        let expected = [
            ("a", 6, Section::Normal, true, false, true),
            ("b", 7, Section::Normal, true, false, false),
            ("c", 11, Section::Normal, false, false, false),
            ("d", 13, Section::Development, false, true, false),
            ("e", 14, Section::Build, true, false, false),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_table_of_the_workspace_is_its_own_section() {
        let manifest = Manifest::parse("[workspace.dependencies]\n# Why.\nserde = { version = \"1\" }\n");
        let [serde] = &manifest.dependencies[..] else { panic!("{manifest:?}") };
        assert_eq!((serde.section, serde.explained, serde.path), (Section::Workspace, true, false));
    }
}
