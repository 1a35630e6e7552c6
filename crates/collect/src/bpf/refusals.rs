//! Why the kernel refused to load something, in its own words.

use std::sync::Mutex;

use libbpf_rs::PrintLevel;

/// What the kernel said about the last refused load.
static KERNEL_WORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps from now on what the kernel says, instead of printing it.
pub(super) fn listen() {
    libbpf_rs::set_print(Some((PrintLevel::Info, keep_words)));
}

/// The most telling line of what the kernel said: the last one of the verifier before libbpf's summary.
pub(super) fn take() -> Option<String> {
    let kept = std::mem::take(&mut *KERNEL_WORDS.lock().ok()?);
    let lines = kept.iter().flat_map(|words| words.lines()).map(str::trim).filter(|line| !line.is_empty());
    // What libbpf guesses is no word of the kernel.
    let noise = ["-- BEGIN PROG LOAD LOG --", "-- END PROG LOAD LOG --", "try raising 'ulimit -l'"];
    let telling =
        |line: &&str| !line.starts_with("processed ") && noise.iter().all(|noise| !line.contains(noise));
    let lines: Vec<&str> = lines.filter(telling).collect();
    let end = lines.iter().position(|line| line.contains("failed to load")).unwrap_or(lines.len());
    let said = lines.get(..end).and_then(<[&str]>::last).or(lines.first())?;
    Some((*said).to_owned())
}

fn keep_words(level: PrintLevel, words: String) {
    if level == PrintLevel::Debug {
        return;
    }
    if let Ok(mut kept) = KERNEL_WORDS.lock() {
        kept.push(words);
    }
}
