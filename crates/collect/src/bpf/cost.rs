//! What the programs cost: how often they ran and for how long, while the kernel counts it.
//!
//! The kernel counts only while somebody holds the switch (`BPF_ENABLE_STATS`), for every program of the host,
//! and takes about 50 ns per run for it. So it is held for short windows; when, is the collector's business.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use libbpf_rs::Program;

/// Runs of one program within the windows so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProgramRuns {
    /// How often it ran.
    pub runs: u64,
    /// How long in all, in nanoseconds.
    pub run_time_ns: u64,
}

/// What was counted in all windows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProgramCosts {
    /// Length of the windows in all.
    pub sampled: Duration,
    /// Each program's runs, in the order of [`crate::Support::programs`].
    pub programs: Vec<ProgramRuns>,
}

/// Counts program runs in windows.
#[derive(Debug, Default)]
pub(crate) struct CostMeter {
    finished: ProgramCosts,
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    /// The kernel counts as long as this is open.
    _switch: OwnedFd,
    began: Instant,
    before: Vec<ProgramRuns>,
}

impl CostMeter {
    /// Opens a window. Without the privilege, or on a kernel without the switch (before 5.8), none opens.
    pub(crate) fn open<'p>(&mut self, programs: impl Iterator<Item = Program<'p>>) {
        let Some(switch) = hold_switch() else { return };
        self.window = Some(Window { _switch: switch, began: Instant::now(), before: read(programs) });
    }

    /// How long the window has been open; `None` when there is none.
    pub(crate) fn open_for(&self) -> Option<Duration> {
        self.window.as_ref().map(|window| window.began.elapsed())
    }

    /// Closes the window and keeps what was counted.
    pub(crate) fn close<'p>(&mut self, programs: impl Iterator<Item = Program<'p>>) {
        self.finished = self.so_far(programs);
        self.window = None;
    }

    /// What was counted, that of the open window included.
    pub(crate) fn so_far<'p>(&self, programs: impl Iterator<Item = Program<'p>>) -> ProgramCosts {
        let Some(window) = &self.window else { return self.finished.clone() };
        let now = read(programs);
        let mut costs = self.finished.clone();
        costs.sampled += window.began.elapsed();
        costs.programs.resize(now.len(), ProgramRuns::default());
        for ((sum, now), before) in costs.programs.iter_mut().zip(now).zip(&window.before) {
            sum.runs += now.runs.saturating_sub(before.runs);
            sum.run_time_ns += now.run_time_ns.saturating_sub(before.run_time_ns);
        }
        costs
    }
}

fn hold_switch() -> Option<OwnedFd> {
    // SAFETY: the call takes no pointer.
    #[expect(unsafe_code, reason = "the libbpf binding has no safe form of this call")]
    let descriptor = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
    // SAFETY: a descriptor that is not negative was just made for us, and nobody else owns it.
    #[expect(unsafe_code, reason = "the libbpf binding gives a number")]
    (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn read<'p>(programs: impl Iterator<Item = Program<'p>>) -> Vec<ProgramRuns> {
    programs.map(|program| runs_of(&program)).collect()
}

fn runs_of(program: &Program<'_>) -> ProgramRuns {
    let info = info_of(program);
    ProgramRuns { runs: info.run_cnt, run_time_ns: info.run_time_ns }
}

/// Runs that the kernel left out, because the program was running on that CPU already; always counted.
pub(super) fn missed_runs(program: &Program<'_>) -> u64 {
    info_of(program).recursion_misses
}

/// All 0 when the kernel does not tell.
fn info_of(program: &Program<'_>) -> libbpf_sys::bpf_prog_info {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut length = u32::try_from(size_of_val(&info)).expect("the struct has less than 1 KiB");
    let descriptor = program.as_fd().as_raw_fd();
    // SAFETY: `info` and `length` live through the call, and `length` is the size of `info`.
    #[expect(unsafe_code, reason = "the libbpf binding has no safe form that reads one program")]
    let error = unsafe { libbpf_sys::bpf_prog_get_info_by_fd(descriptor, &raw mut info, &raw mut length) };
    if error == 0 { info } else { libbpf_sys::bpf_prog_info::default() }
}
