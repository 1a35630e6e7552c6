//! Why the kernel refused to load something, in its own words.

use std::sync::Mutex;

use libbpf_rs::PrintLevel;

/// What the kernel said about the last refused load.
static KERNEL_WORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A refusal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The function of the program that was refused, if it was one.
    pub(super) program: Option<String>,
    /// The most telling line: the last one of the verifier before libbpf's summary.
    pub(super) words: Option<String>,
}

/// Keeps from now on what the kernel says, instead of printing it.
pub(super) fn listen() {
    libbpf_rs::set_print(Some((PrintLevel::Info, keep_words)));
}

/// What was said since the last call.
pub(super) fn take() -> Said {
    KERNEL_WORDS.lock().map_or_else(|_| Said::default(), |mut kept| said(&std::mem::take(&mut *kept)))
}

fn said(kept: &[String]) -> Said {
    let lines = kept.iter().flat_map(|words| words.lines()).map(str::trim).filter(|line| !line.is_empty());
    // What libbpf guesses is no word of the kernel.
    let noise = ["-- BEGIN PROG LOAD LOG --", "-- END PROG LOAD LOG --", "try raising 'ulimit -l'"];
    let telling =
        |line: &&str| !line.starts_with("processed ") && noise.iter().all(|noise| !line.contains(noise));
    let program = lines.clone().filter_map(program_in).next_back().map(str::to_owned);
    let lines: Vec<&str> = lines.filter(telling).collect();
    let end = lines.iter().position(|line| line.contains("failed to load")).unwrap_or(lines.len());
    let words = lines.get(..end).and_then(<[&str]>::last).or(lines.first()).map(|line| (*line).to_owned());
    Said { program, words }
}

/// libbpf says whose log follows as `prog 'NAME': …`.
fn program_in(line: &str) -> Option<&str> {
    line.split_once("prog '")?.1.split_once('\'').map(|(name, _)| name)
}

fn keep_words(level: PrintLevel, words: String) {
    if level == PrintLevel::Debug {
        return;
    }
    if let Ok(mut kept) = KERNEL_WORDS.lock() {
        kept.push(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_program_and_the_verifiers_last_word() {
        let kept = [
            "libbpf: prog 'iter_tcp': BPF program load failed: -EINVAL\n",
            "libbpf: prog 'iter_tcp': -- BEGIN PROG LOAD LOG --\n0: (79) r6 = *(u64 *)(r1 +8)\nunknown func bpf_loop#181\n\
             processed 4 insns (limit 1000000) max_states_per_insn 0\n-- END PROG LOAD LOG --\n",
            "libbpf: prog 'iter_tcp': failed to load: -EINVAL\n",
            "libbpf: failed to load object 'tracer_bpf'\n",
        ]
        .map(str::to_owned);
        let expected =
            Said { program: Some("iter_tcp".into()), words: Some("unknown func bpf_loop#181".into()) };
        assert_eq!(said(&kept), expected);
        assert_eq!(said(&[]), Said::default());
    }
}
