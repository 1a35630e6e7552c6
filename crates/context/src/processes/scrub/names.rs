//! Which names are those of secrets.

/// In a name without its separators.
const PARTS: [&str; 8] =
    ["password", "passwd", "passphrase", "mysqlpwd", "secret", "apikey", "accesskey", "credential"];
/// One of the words of a name, so that `author` and `tokenizer` are none.
const WORDS: [&str; 6] = ["pass", "pwd", "token", "auth", "oauth", "authorization"];
/// At the end of a name without its separators: `accesstoken`, `basicauth`.
const ENDS: [&str; 2] = ["token", "auth"];

/// What is a secret in a command line, and whether any is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scrub {
    /// Absent when nothing is hidden.
    further: Option<Box<[Box<str>]>>,
}

impl Scrub {
    /// Hides the values of passwords, tokens, keys and credentials, and those whose name has one of the further words in it:
    /// in any case, whatever separates the parts of a name.
    #[must_use]
    pub fn new(further: &[impl AsRef<str>]) -> Self {
        let words = further.iter().map(|word| joined(word.as_ref()).into_boxed_str());
        Self { further: Some(words.filter(|word| !word.is_empty()).collect()) }
    }

    /// Hides nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { further: None }
    }

    pub(super) fn is_on(&self) -> bool {
        self.further.is_some()
    }

    pub(super) fn is_secret(&self, name: &str) -> bool {
        let joined = joined(name);
        let further = self.further.iter().flatten().map(|word| &**word);
        PARTS.into_iter().chain(further).any(|part| joined.contains(part))
            || ENDS.iter().any(|end| joined.ends_with(end))
            || words(name).any(|word| WORDS.iter().any(|secret| word.eq_ignore_ascii_case(secret)))
    }
}

impl Default for Scrub {
    /// Without further words.
    fn default() -> Self {
        Self::new(&[""; 0])
    }
}

fn joined(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// `db`, `auth` and `Mode` of `db.authMode`.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let mut was_small = false;
    let ends = move |letter: char| {
        let begins_word = was_small && letter.is_uppercase();
        was_small = letter.is_lowercase() || letter.is_numeric();
        begins_word || !letter.is_alphanumeric()
    };
    // A letter that begins a word is not part of what is between the ends, so it is taken back.
    let starts =
        name.match_indices(ends).map(|(place, letter)| match letter.chars().all(char::is_alphanumeric) {
            true => place,
            false => place + letter.len(),
        });
    let mut starts = std::iter::once(0).chain(starts).collect::<Vec<_>>().into_iter().peekable();
    std::iter::from_fn(move || {
        let start = starts.next()?;
        let end = starts.peek().copied().unwrap_or(name.len());
        Some(name[start..end].trim_end_matches(|letter: char| !letter.is_alphanumeric()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_words_whatever_separates_them() {
        let all = |name| words(name).filter(|word| !word.is_empty()).collect::<Vec<_>>();
        assert_eq!(all("--db.auth-mode_X"), ["db", "auth", "mode", "X"]);
        assert_eq!(all("dbAuthMODE"), ["db", "Auth", "MODE"]);
        assert_eq!(all("größeÄnderung"), ["größe", "Änderung"]);
        assert_eq!(all(""), [""; 0]);
    }

    #[test]
    fn names_of_secrets_are_told_from_others() {
        let scrub = Scrub::new(&["Pin_Code", "-"]);
        for secret in [
            "password",
            "PASSWORD",
            "--db-password",
            "PGPASSWORD",
            "MYSQL_PWD",
            "Pwd",
            "passwd",
            "passphrase",
            "DB_PASS",
            "API_KEY",
            "apikey",
            "x-api-key",
            "aws_secret_access_key",
            "AccessKeyId",
            "client_secret",
            "token",
            "GITHUB_TOKEN",
            "accesstoken",
            "authToken",
            "token-file",
            "credentials",
            "google.credential",
            "auth",
            "--proxy-auth",
            "basicauth",
            "-Dauth",
            "Authorization",
            "Proxy-Authorization",
            "user[password]",
            "pincode",
            "my.pin.code",
        ] {
            assert!(scrub.is_secret(secret), "{secret}");
        }
        for other in [
            "author",
            "authority",
            "authorized-keys",
            "tokenizer",
            "max_tokens",
            "compass",
            "passenger",
            "bypass",
            "key",
            "pin",
            "user",
            "host",
            "",
            "-",
            "keyboard",
        ] {
            assert!(!scrub.is_secret(other), "{other}");
        }
        assert!(!Scrub::default().is_secret("pincode"));
    }
}
