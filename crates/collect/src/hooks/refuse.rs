//! A switch that refuses kinds of hooks and what programs use of the kernel, as if the kernel did: for tests of every
//! alternative, and for hosts on which one of them does harm.

macro_rules! words {
    ($first:literal $(, $word:literal)* $(,)?) => {
        /// The words of the switch: attach points, or the first part of several, and what else of the kernel decides.
        const WORDS: [&str; [$first $(, $word)*].len()] = [$first $(, $word)*];
        const WORDS_TEXT: &str = concat!("words of: ", $first $(, ", ", $word)*);
    };
}

words!(
    "tp_btf",
    "fentry",
    "iter/bpf_map_elem",
    "iter/tcp",
    "iter/udp",
    "iter/task_file",
    "cgroup_skb",
    "cgroup/connect4",
    "cgroup/sock_release",
    "bpf_rdonly_cast",
    "bpf_get_socket_cookie",
    "sock_diag",
    "btf",
);

/// What is refused: a set of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refuse(u16);

/// A word that the switch does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing is called {word:?} that can be refused: there are {WORDS_TEXT}")]
pub struct UnknownHook {
    /// The word.
    pub word: String,
}

impl Refuse {
    /// The words that there are, for people.
    pub const WORDS_TEXT: &'static str = WORDS_TEXT;

    /// The set of these words.
    ///
    /// # Errors
    /// [`UnknownHook`] for the first one that is none.
    pub fn of<W: AsRef<str>>(words: &[W]) -> Result<Self, UnknownHook> {
        words.iter().try_fold(Self::default(), |set, word| {
            let unknown = || UnknownHook { word: word.as_ref().to_owned() };
            let place = WORDS.iter().position(|known| *known == word.as_ref()).ok_or_else(unknown)?;
            Ok(Self(set.0 | 1 << place))
        })
    }

    /// True when the word that is this attach point, or the first part of it, is in the set.
    pub(crate) fn names(self, part: &str) -> bool {
        WORDS.iter().enumerate().any(|(place, word)| {
            let begins = part.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            begins && self.0 >> place & 1 == 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_none_is_named_with_those_that_there_are() {
        let error = Refuse::of(&["fentry", "kprobe"]).expect_err("there is no kprobe");
        let said = error.to_string();
        assert!(said.contains("\"kprobe\"") && said.contains("iter/task_file"), "{said}");
    }

    #[test]
    fn a_word_names_all_that_begin_with_it_and_nothing_that_only_looks_so() {
        let refuse = Refuse::of(&["iter/tcp", "tp_btf"]).expect("they are known");
        assert!(refuse.names("iter/tcp") && refuse.names("tp_btf/inet_sock_set_state"));
        assert!(!refuse.names("iter/task_file") && !refuse.names("iter/tcp_metrics"));
    }
}
