//! The diagnosis for people: the verdict in the first line, then what it rests on, in lines of at most 100 columns.

use std::fmt::{Display, Write as _};

use encode::{About, Capability, Diagnosis, HostView, MemoryView, PrivilegeView};

/// Lines are at most this long, unless a word is longer.
const COLUMNS: usize = 100;

/// Where the second column begins.
const SECOND: usize = 28;

/// All of it.
pub(super) fn of(diagnosis: &Diagnosis) -> String {
    let Diagnosis {
        version,
        tracing,
        reason,
        absent,
        capabilities,
        maps_bytes,
        daemon_listens,
        socket,
        about,
    } = diagnosis;
    let About { host, privileges, memory } = about;
    let mut text = String::new();
    let verdict = match *tracing {
        "possible" => "Tracing is possible here.".to_owned(),
        "degraded" => "Tracing is possible here, but not all of it: see \"Absent from answers\".".to_owned(),
        _ => format!("Tracing is not possible here: {}", reason.as_deref().unwrap_or(tracing)),
    };
    wrapped(&mut text, 0, &verdict);
    section(&mut text, &format!("sockeye {version}"));
    let listens = if *daemon_listens { "a daemon listens" } else { "nobody listens" };
    row(&mut text, socket, listens);
    of_host(&mut text, host);
    if !capabilities.is_empty() {
        section(&mut text, "What serves what");
        capabilities.iter().for_each(|capability| of_capability(&mut text, capability));
    }
    if !absent.is_empty() {
        section(&mut text, "Absent from answers");
        absent.iter().for_each(|sentence| wrapped(&mut text, 2, sentence));
    }
    section(&mut text, "Privileges");
    privileges.iter().for_each(|part| of_privilege(&mut text, part));
    of_memory(&mut text, memory, *maps_bytes);
    text
}

fn of_host(text: &mut String, host: &HostView) {
    let yes = |told: Option<bool>| told.map_or("not known", |told| if told { "yes" } else { "no" });
    let or_unknown = |told: Option<&dyn Display>| told.map_or("not known".to_owned(), ToString::to_string);
    section(text, "This host");
    row(text, "kernel", &format!("{} {}", host.kernel, host.machine));
    row(text, "type information (BTF)", yes(Some(host.btf)));
    row(text, "lockdown", &or_unknown(host.lockdown.as_ref().map(|told| told as &dyn Display)));
    let at = host.cgroup2_at.as_ref().map_or(String::new(), |at| format!(", version 2 at {at}"));
    row(text, "cgroups", &format!("{}{at}", host.cgroups));
    row(text, "host's cgroup namespace", yes(host.host_cgroup_namespace));
    row(text, "host's pid namespace", yes(host.host_pid_namespace));
    row(text, "hidepid of /proc", host.hidepid.as_deref().unwrap_or("none"));
    let number = |told: &Option<u32>| told.map_or("not known".to_owned(), |told| told.to_string());
    row(text, "unprivileged_bpf_disabled", &number(&host.unprivileged_bpf_disabled));
    row(text, "bpf_jit_enable", &number(&host.bpf_jit));
    row(text, "perf_event_paranoid", &or_unknown(host.perf_event_paranoid.as_ref().map(|told| told as _)));
    let locked = host.locked_memory_bytes.map_or("no limit".to_owned(), bytes);
    row(text, "memory that can be locked", &locked);
    row(text, "connection tracking", yes(Some(host.connection_tracking)));
    let diag = [("inet", host.inet_diag), ("tcp", host.tcp_diag), ("udp", host.udp_diag)];
    let diag: Vec<String> = diag.iter().map(|(name, there)| format!("{name} {}", yes(*there))).collect();
    row(text, "socket diagnosis", &diag.join(", "));
    row(text, "effective capabilities", &host.capabilities.effective.join(" "));
}

fn of_capability(text: &mut String, capability: &Capability) {
    let served = match (&capability.served_by, &capability.degradation) {
        (Some(hook), _) => hook.as_str(),
        (None, Some(_)) => "nothing",
        (None, None) => "not asked for",
    };
    row(text, &capability.name, served);
    for refused in &capability.refused {
        row(text, "", &format!("refused: {}: {}", refused.alternative, refused.reason));
    }
}

fn of_privilege(text: &mut String, part: &PrivilegeView) {
    let instead = part.instead.map_or(String::new(), |instead| format!(" (or {instead})"));
    let needs = format!("{}{instead}", part.needs.join(" "));
    let state = match (part.missing.as_slice(), part.used) {
        ([], true) => "there".to_owned(),
        ([], false) => "there, not used".to_owned(),
        (missing, false) => format!("{} missing, not used", missing.join(" ")),
        (missing, true) => format!("{} MISSING: {}", missing.join(" "), part.without),
    };
    row(text, part.name, &format!("{needs}: {state}"));
}

fn of_memory(text: &mut String, memory: &MemoryView, maps_bytes: Option<u64>) {
    section(text, "Memory of the configured limits");
    row(text, "kernel, at start", &bytes(memory.kernel_at_start_bytes));
    row(text, "kernel, at most", &bytes(memory.kernel_most_bytes));
    if let Some(taken) = maps_bytes {
        row(text, "kernel, seen with this try", &bytes(taken));
    }
    row(text, "process, at most", &bytes(memory.process_most_bytes));
    row(text, "and for each client", &bytes(memory.each_client_most_bytes));
}

fn section(text: &mut String, title: &str) {
    writeln!(text, "\n{title}").expect("a string takes everything");
}

/// Two columns; the second is wrapped, and words too long for the first stand alone.
fn row(text: &mut String, name: &str, told: &str) {
    let mut line = format!("  {name:<width$}", width = SECOND - 3);
    line.push(' ');
    if line.chars().count() > SECOND {
        writeln!(text, "{}", line.trim_end()).expect("a string takes everything");
        line = " ".repeat(SECOND);
    }
    fill(text, line, SECOND, told);
}

fn wrapped(text: &mut String, indent: usize, told: &str) {
    fill(text, " ".repeat(indent), indent + if indent > 0 { 2 } else { 0 }, told);
}

/// Goes on with a line that has begun; further ones begin with so many blanks.
fn fill(text: &mut String, mut line: String, indent: usize, told: &str) {
    let mut begun = false;
    for word in told.split_whitespace() {
        if begun && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            writeln!(text, "{line}").expect("a string takes everything");
            line = " ".repeat(indent);
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    writeln!(text, "{}", line.trim_end()).expect("a string takes everything");
}

fn bytes(number: u64) -> String {
    let tenths = |unit: u64| (number * 10).div_ceil(unit);
    let told = |unit: u64, name: &str| format!("{}.{} {name}", tenths(unit) / 10, tenths(unit) % 10);
    match number {
        0..1024 => format!("{number} B"),
        1024..0x10_0000 => told(1 << 10, "KiB"),
        0x10_0000..=u64::MAX => told(1 << 20, "MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_wrap_into_their_column_and_no_line_is_longer_than_the_screen() {
        let mut text = String::new();
        row(&mut text, "udp", &"word ".repeat(60));
        row(&mut text, "a name that is longer than its column", "told");
        wrapped(&mut text, 2, &"sentence ".repeat(30));
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with(&format!("{}word", " ".repeat(SECOND))), "{text}");
        assert!(lines.contains(&format!("{}told", " ".repeat(SECOND)).as_str()), "{text}");
        assert!(text.contains("\n    sentence"), "what goes on is indented: {text}");
    }

    #[test]
    fn bytes_are_told_in_the_unit_that_suits_them_and_never_too_few() {
        let told = [0, 1023, 1024, 1025, (1 << 20) - 1, 1 << 20, 3 << 30].map(bytes);
        assert_eq!(told, ["0 B", "1023 B", "1.0 KiB", "1.1 KiB", "1024.0 KiB", "1.0 MiB", "3072.0 MiB"]);
    }
}
