//! The rule about documents: what a relative link leads to exists.
//!
//! Links to the web and anchors inside a page are not followed.

use super::Violation;

/// Checks the links of one Markdown file; `exists` knows paths below the root.
pub(crate) fn check(file: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if in_code {
            continue;
        }
        for target in targets(&without_code(line)) {
            let dead =
                relative_path(&target).is_some_and(|path| resolve(file, path).is_none_or(|at| !exists(&at)));
            if dead {
                violations.push(Violation::new(
                    file,
                    index + 1,
                    format!("the link to `{target}` leads nowhere"),
                ));
            }
        }
    }
    violations
}

/// Removes `code spans`, which only look like links.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// Everything that is linked in a line: `[text](target "title")` and `[label]: target`.
fn targets(line: &str) -> Vec<String> {
    let mut found: Vec<&str> = line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    if line.starts_with('[')
        && let Some((_, target)) = line.split_once("]:")
    {
        found.push(target);
    }
    let first_word =
        |target: &str| target.split_whitespace().next().map(|word| word.trim_matches(['<', '>']).to_owned());
    found.into_iter().filter_map(first_word).collect()
}

/// The path of a link that stays in the repository, without its anchor.
fn relative_path(target: &str) -> Option<&str> {
    let path = target.split('#').next().unwrap_or_default();
    (!path.is_empty() && !target.contains("://") && !target.starts_with("mailto:")).then_some(path)
}

/// The path below the root that a link in `file` means; none where it leaves the repository.
fn resolve(file: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    if link.starts_with('/') {
        parts.clear();
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(text: &str) -> Vec<usize> {
        let exists = |path: &str| ["README.md", "docs/a b.md", "docs/development.md", ""].contains(&path);
        check("docs/development.md", text, &exists).iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_relative_link_leads_to_something() {
        let text = "[a](../README.md#start) [b](none.md)\n![c](./development.md \"title\")\n[d]: gone.md\n[e](/README.md)\n";
        assert_eq!(dead(text), [1, 3]);
        assert_eq!(dead("[out](../../elsewhere.md)\n"), [1]);
    }

    #[test]
    fn what_is_not_a_relative_link_is_not_followed() {
        assert_eq!(
            dead("[a](https://example.org/x) [b](#here) [c](mailto:a@example.org) `[d](no.md)`\n"),
            []
        );
        assert_eq!(dead("```\n[a](no.md)\n```\n[b](no.md)\n"), [4]);
    }
}
