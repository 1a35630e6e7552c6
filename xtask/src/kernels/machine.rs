//! Booting a kernel in a virtual machine that is emulated by software, and reading its records until it is off.
//!
//! What the records mean is judged in `results`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::package::Image;

const MEMORY_MIB: &str = "1500";
/// Both processors of a machine take turns on one thread. With a thread for each, a test took 14 % more time of the host
/// where two machines share it, and the kernel's own patching of its code raced with the emulator (`Oops: int3`).
const ACCELERATOR: &str = "tcg,thread=single";

/// Where the kernel and the first process of the last run wrote, beside the kernel.
pub(crate) const CONSOLE: &str = "console.log";

/// Without the repeated string instructions, which the emulator takes byte by byte where the kernel would else copy words:
/// that is 15 % of a test.
const PROCESSOR: &str = "max,-erms,-fsrm";

/// The kernel does not look whether its timer ticks in time: on a loaded host it does not, and the kernel would give up.
const COMMAND_LINE: &str = "console=ttyS0 panic=-1 oops=panic quiet no_timer_check";

/// Boots, and hands over each line of the second serial port as it comes. `silence` without a line ends the machine.
///
/// # Errors
/// Why there were no further lines, if that was not because the machine had switched itself off.
pub(crate) fn run(
    image: &Image,
    initrd: &Path,
    silence: Duration,
    mut line: impl FnMut(&[u8]),
) -> Result<(), String> {
    let mut machine = Machine::boot(image, initrd)?;
    let output = machine.0.stdout.take().expect("the output was made a pipe at the start");
    let lines = read_in_background(output);
    loop {
        match lines.recv_timeout(silence) {
            Ok(text) => line(&text),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("the machine has told nothing for {} seconds", silence.as_secs()));
            }
        }
    }
    let status = machine.0.wait().map_err(|error| format!("waiting for qemu: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("qemu ended with {status}")) }
}

fn read_in_background(output: ChildStdout) -> mpsc::Receiver<Vec<u8>> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// A running machine, which ends when it is dropped.
struct Machine(Child);

impl Machine {
    fn boot(image: &Image, initrd: &Path) -> Result<Self, String> {
        let mut console = std::ffi::OsString::from("file:");
        console.push(image.place.join(CONSOLE));
        // The rows of a table are easier to read than a list of single words.
        #[rustfmt::skip]
        let machine = Command::new("qemu-system-x86_64")
            .args(["-accel", ACCELERATOR, "-cpu", PROCESSOR, "-smp", "2", "-m", MEMORY_MIB])
            .args(["-display", "none", "-monitor", "none", "-no-reboot", "-net", "none"])
            .arg("-serial").arg(console)
            .args(["-serial", "stdio"])
            .arg("-kernel").arg(image.kernel())
            .arg("-initrd").arg(initrd)
            .args(["-append", COMMAND_LINE])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        machine.map(Self).map_err(|error| format!("starting qemu-system-x86_64: {error}"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and there is nothing else to fear.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
