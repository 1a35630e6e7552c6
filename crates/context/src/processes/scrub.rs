//! Secrets in command lines: their values are replaced before anything is kept.
//!
//! What is hidden is what follows a name that sounds like a secret; where a value ends is decided for hiding too much rather
//! than too little. Secrets without a name, such as `-pX`, are not found.

mod names;

pub use names::Scrub;

/// What stands in place of a value.
const MASK: &str = "********";
/// What ends a name to the left, beside white space.
const NAME_ENDS: &str = "=:&;,?/(){}<>|!@#$\"'\\`";

/// What is hidden of the words that follow in an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hiding {
    Nothing,
    /// The next word: `--password x`, `"password": "x"`.
    Next {
        /// It may be the next argument instead.
        reaches_on: bool,
    },
    /// All up to this quote; `shown` when it was opened before what is hidden, so that its end is shown.
    Quoted {
        quote: char,
        shown: bool,
    },
    /// All of the argument: `Authorization: Bearer x`.
    Rest,
}

impl Scrub {
    /// Replaces the values of secrets in a command line. `ends_cut` when the end of the last argument is missing.
    pub(super) fn arguments(&self, arguments: &mut [String], ends_cut: bool) {
        if !self.is_on() {
            return;
        }
        let mut hides = false;
        let last = arguments.len().saturating_sub(1);
        for (place, argument) in arguments.iter_mut().enumerate() {
            if hides && !is_long_option(argument) {
                (*argument, hides) = (MASK.to_owned(), false);
                continue;
            }
            let (scrubbed, after) = self.argument(argument, ends_cut && place == last);
            *argument = scrubbed;
            hides = after == Hiding::Next { reaches_on: true };
        }
    }

    /// An argument can be a whole command line: that of a shell, or the title that a process has given itself.
    fn argument(&self, argument: &str, ends_cut: bool) -> (String, Hiding) {
        let mut shown = String::with_capacity(argument.len());
        let (mut hiding, mut rest) = (Hiding::Nothing, argument);
        loop {
            let (space, after) = split_at(rest, |letter| !letter.is_whitespace());
            let (word, after) = split_at(after, char::is_whitespace);
            if word.is_empty() {
                return (shown + space, hiding);
            }
            rest = after;
            match hiding {
                Hiding::Next { .. } if !is_long_option(word) => {
                    shown.extend([space, MASK]);
                    hiding = open_quote(word)
                        .map_or(Hiding::Nothing, |quote| Hiding::Quoted { quote, shown: false });
                }
                Hiding::Quoted { quote, shown: is_shown } => {
                    if is_shown && !shown.ends_with(MASK) {
                        shown.extend([space, MASK]);
                    }
                    if word.contains(quote) {
                        shown.extend(is_shown.then_some(quote));
                        hiding = Hiding::Nothing;
                    }
                }
                Hiding::Rest => {
                    shown.extend([space, MASK]);
                    return (shown, Hiding::Nothing);
                }
                Hiding::Nothing | Hiding::Next { .. } => {
                    shown.push_str(space);
                    hiding = self.word(word, ends_cut && rest.is_empty(), &mut shown);
                }
            }
        }
    }

    fn word(&self, word: &str, ends_cut: bool, shown: &mut String) -> Hiding {
        let assigns = word.char_indices().filter(|(_, letter)| matches!(letter, '=' | ':'));
        for (place, sign) in assigns {
            let (before, value) = (&word[..place], &word[place + 1..]);
            if self.is_secret(name_at_end(before)) {
                without_passwords(&word[..=place], false, shown);
                return assigned(before, sign, value, shown);
            }
        }
        without_passwords(word, ends_cut, shown);
        let option = word.trim_matches(['"', '\'']);
        let is_secret_option =
            option.starts_with('-') && !option.contains(['=', ':']) && self.is_secret(option);
        if is_secret_option { Hiding::Next { reaches_on: true } } else { Hiding::Nothing }
    }
}

/// What follows `before` and the sign, where the name before them is that of a secret.
fn assigned(before: &str, sign: char, value: &str, shown: &mut String) -> Hiding {
    if !value.is_empty() {
        shown.push_str(MASK);
        return open_quote(value).map_or(Hiding::Nothing, |quote| Hiding::Quoted { quote, shown: false });
    }
    if sign == '=' || before.ends_with(['"', '\'']) {
        return Hiding::Next { reaches_on: false };
    }
    match before.chars().rfind(|letter| matches!(letter, '"' | '\'')) {
        Some(quote) => Hiding::Quoted { quote, shown: true },
        None => Hiding::Rest,
    }
}

/// The quote that begins a value and does not end in it.
fn open_quote(value: &str) -> Option<char> {
    let value = value.trim_start_matches('\\');
    let quote = value.chars().next().filter(|letter| matches!(letter, '"' | '\''))?;
    (value.matches(quote).count() == 1).then_some(quote)
}

fn name_at_end(before: &str) -> &str {
    let before = before.trim_end_matches(['"', '\'', '\\']);
    let start = before.rfind(|letter| NAME_ENDS.contains(letter));
    // What ends a name is one byte long.
    start.map_or(before, |start| &before[start + 1..])
}

/// `--host` and `--host=x` follow a secret that has no value. A secret of that form is not to be expected.
fn is_long_option(word: &str) -> bool {
    let Some(name) = word.strip_prefix("--") else { return false };
    let name = name.split('=').next().unwrap_or_default();
    name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// `user:password@` of URLs. Of one that is cut, what follows the user may be its password.
fn without_passwords(word: &str, ends_cut: bool, shown: &mut String) {
    let mut rest = word;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + "://".len());
        let authority = after.find(['/', '?', '#', '"', '\'']).map_or(after, |end| &after[..end]);
        shown.push_str(before);
        rest = after;
        let user_ends = match authority.rfind('@') {
            None if ends_cut && authority.len() == after.len() => authority.len(),
            None => continue,
            Some(end) => end,
        };
        if let Some((user, _)) = authority[..user_ends].split_once(':') {
            shown.extend([user, ":", MASK]);
            rest = &after[user_ends..];
        }
    }
    shown.push_str(rest);
}

/// Before and from the first letter that is one of those on.
fn split_at(text: &str, is_one: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_one).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests;
