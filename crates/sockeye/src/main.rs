//! The process: parse; then build, serve, drain, or ask the doctor. What each of these is stands in the library.

use std::ffi::OsString;
use std::process::ExitCode;

use sockeye::cli::{self, Command};
use sockeye::config::Config;
use sockeye::{doctor, exit, logging, process};

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os().collect::<Vec<OsString>>()) {
        Ok(command) => command,
        Err(answer) => return answer.print(),
    };
    let overrides = match &command {
        Command::Run(overrides) => overrides,
        Command::Doctor(doctor) => &doctor.overrides,
    };
    let config = match Config::load(overrides, std::env::vars_os()) {
        Ok(config) => config,
        Err(error) => return exit::with(exit::USAGE, &error.into()),
    };
    if let Err(error) = logging::start(&config.log.level) {
        return exit::with(exit::USAGE, &error);
    }
    let done = match command {
        Command::Run(_) => process::run(&config).map(|()| ExitCode::SUCCESS),
        Command::Doctor(asked) => doctor::run(&config, asked.json),
    };
    match done {
        Ok(code) => code,
        Err(error) => exit::with(exit::code_of(&error), &error),
    }
}
