//! The developer command `cargo x`: reads the command line and hands over to one module per command.
//!
//! It knows nothing about how things are built, run or checked; `run`, `test`, `bench` and `fuzz` do.

#![allow(clippy::print_stdout, reason = "a command line tool answers on standard output")]

mod announce;
mod bench;
mod fuzz;
mod install;
mod kernels;
mod packages;
mod programs;
mod python;
mod run;
mod stop;
mod superuser;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use stop::Stop;

const USAGE: &str = "\
usage: cargo x COMMAND

  run [--release] [-- ARGS]
      build the daemon, start it on target/sockeye.sock, print curl lines that answer; ARGS go to `sockeye run`
  test [--require CLASS,..] [--only LAYER,..] [--kernels KERNEL,..] [--accept] [FILTER..]
      every check and every test; a FILTER runs only the tests whose name contains it; the kernel tests also on these
      kernels, in virtual machines: 5.10, 6.1, 6.12, 7; with --accept what they serve is written to docs/kernels
  bench [ARGS]
      what the daemon costs; ARGS go to the bench
  fuzz [TARGET] [--seconds N]
      a target of fuzz/ with the nightly toolchain; client_operations for 60 seconds where nothing else is said
  help
      this text

layers and classes: format, clippy, tidy, unit, property, contract, kernel, e2e, matrix
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match command(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Usage(message)) => {
            eprintln!("cargo x: {message}\n\n{USAGE}");
            ExitCode::from(64)
        }
        Err(Stop::Failed(message)) => {
            eprintln!("cargo x: {message}");
            ExitCode::FAILURE
        }
        Err(Stop::Silent) => ExitCode::FAILURE,
    }
}

fn command(arguments: &[String]) -> Result<(), Stop> {
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Stop::Usage("a command is missing".into()));
    };
    match name.as_str() {
        "run" => run::run(rest),
        "test" => test::run(rest),
        "bench" => bench::run(rest),
        "fuzz" => fuzz::run(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        announce::COMMAND => announce::run(rest),
        other => Err(Stop::Usage(format!("there is no command `{other}`"))),
    }
}
