//! Waiting until the kernel has freed programs: it does so after a grace period, in the background.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::ensure;
use libbpf_rs::query::ProgInfoIter;

/// On a busy machine a grace period takes a while.
const DEADLINE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

/// Returns when none of these programs is loaded any more; whoever held them has let go of them.
pub fn wait_until_freed(programs: &[u32]) -> anyhow::Result<()> {
    let begin = Instant::now();
    while ProgInfoIter::default().any(|program| programs.contains(&program.id)) {
        ensure!(begin.elapsed() < DEADLINE, "the programs are still loaded after {DEADLINE:?}");
        sleep(PAUSE);
    }
    Ok(())
}
