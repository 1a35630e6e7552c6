//! The process: parse, build, serve, drain. What each of these is stands in the library.

use std::ffi::OsString;
use std::process::ExitCode;

use sockeye::cli::{self, Command};
use sockeye::config::Config;
use sockeye::{exit, logging, process};

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os().collect::<Vec<OsString>>()) {
        Ok(command) => command,
        Err(answer) => return answer.print(),
    };
    let Command::Run(overrides) = command;
    let config = match Config::load(&overrides, std::env::vars_os()) {
        Ok(config) => config,
        Err(error) => return exit::with(exit::USAGE, &error.into()),
    };
    if let Err(error) = logging::start(&config.log.level) {
        return exit::with(exit::USAGE, &error);
    }
    match process::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::with(exit::code_of(&error), &error),
    }
}
