//! What is known of a process: put together from what `exec` told, what `/proc` said and what its connections say.

use std::path::Path;
use std::sync::Arc;

use connections::{Executed, Owner, Process, ProcessKey};

use super::command_line::{self, CommandLine};
use super::scrub::Scrub;
use crate::cgroups::Place;
use crate::proc::{Directory, Looked, Status};

/// Bytes of the path of a file that `exec` was told, at most: as many as the kernel takes.
const PATH_MAX: usize = 4096;

/// What is to be read of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) program: bool,
    /// With its command line, which can make one wait for ever.
    pub(super) command_line: bool,
    pub(super) place: bool,
}

/// What `/proc` said of a process.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) program: Option<Program>,
    pub(super) place: Option<Place>,
}

/// What a process runs, and as whom.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) status: Status,
    pub(super) executable: Option<Box<str>>,
    /// The tracer may not know its executable.
    pub(super) refused: bool,
    pub(super) command_line: Option<CommandLine>,
}

/// Reads a process. It may wait for as long as the process keeps its memory locked.
pub(super) fn read(proc: &Path, process: ProcessKey, wanted: Wanted, scrub: &Scrub) -> Looked<Read> {
    Directory::new(proc, process).while_it_is(|directory| Read {
        program: wanted.program.then(|| program(directory, wanted.command_line, scrub)),
        place: wanted.place.then(|| Place::of_process(&directory.cgroups().unwrap_or_default())),
    })
}

fn program(directory: &Directory, with_line: bool, scrub: &Scrub) -> Program {
    let status = directory.status();
    let read_line = || with_line.then(|| directory.command_line(command_line::LOOKED_AT_MAX)).flatten();
    let before = directory.executable();
    let mut line = read_line();
    let executable = directory.executable();
    if before.ok() != executable.as_ref().ok().cloned() {
        // Between the two it began to run another program.
        line = read_line();
    }
    let command_line = line.and_then(|(line, is_cut)| command_line::parse(&line, is_cut, scrub));
    let refused = executable.is_err();
    Program { status, executable: executable.ok().flatten().map(Into::into), refused, command_line }
}

pub(super) fn nothing(key: ProcessKey) -> Process {
    Process {
        key,
        namespace_pid: None,
        parent_pid: None,
        executable: None,
        command_line: None,
        command_line_cut: false,
        uid: None,
        user: None,
        unit: None,
        pod: None,
    }
}

/// What `exec` told.
pub(super) fn of_executed(executed: &Executed, scrub: &Scrub) -> Process {
    let file = executed.file.get(..PATH_MAX).unwrap_or(&executed.file);
    let file = (!file.is_empty()).then(|| String::from_utf8_lossy(file).into());
    let line = command_line::parse(&executed.arguments, executed.arguments_cut, scrub);
    let (command_line, command_line_cut) = line.unzip();
    Process {
        namespace_pid: executed.namespace_pid,
        parent_pid: Some(executed.parent_pid),
        executable: file,
        command_line,
        command_line_cut: command_line_cut.unwrap_or_default(),
        uid: Some(executed.uid),
        ..nothing(executed.process)
    }
}

/// What is known of a process: of one that was made as a copy, `known` is of the one that it was made of.
pub(super) fn of_process(key: ProcessKey, known: Option<&Process>, made_by: Option<u32>) -> Process {
    match known {
        Some(known) if known.key == key => known.clone(),
        Some(known) => Process { key, namespace_pid: None, parent_pid: made_by, ..known.clone() },
        None => Process { parent_pid: made_by, ..nothing(key) },
    }
}

/// What is known with what was read; what could not be read stays.
pub(super) fn with_program(known: Process, read: Program, is_same_program: bool) -> Process {
    let Program { status, executable, command_line, refused: _ } = read;
    let ids = Process {
        namespace_pid: status.namespace_pid.or(known.namespace_pid),
        parent_pid: status.parent_pid.or(known.parent_pid),
        uid: status.uid.or(known.uid),
        ..known
    };
    if !is_same_program {
        return ids;
    }
    let (command_line, command_line_cut) = match command_line {
        Some((line, is_cut)) => (Some(line), is_cut),
        None => (ids.command_line, ids.command_line_cut),
    };
    Process { executable: executable.or(ids.executable), command_line, command_line_cut, ..ids }
}

/// Where a process runs, and the name of its user.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub(super) unit: Option<Arc<str>>,
    pub(super) pod: Option<Arc<str>>,
    pub(super) user: Option<Arc<str>>,
}

/// What is told of the process of this owner. A task of the kernel runs no program.
pub(super) fn completed(known: Process, owner: &Owner, surroundings: Surroundings) -> Process {
    let Surroundings { unit, pod, user } = surroundings;
    let told = Process { uid: Some(owner.uid), user, unit, pod, ..known };
    if !owner.kernel {
        return told;
    }
    Process { executable: None, command_line: None, command_line_cut: false, ..told }
}
