//! Records of processes to events.
//!
//! The bytes are untrusted: lengths are checked, and nothing is indexed.

use connections::{Executed, ProcessEvent, ProcessKey};

use crate::bpf::process_types::process_record;
use crate::inbox::Intake;
use crate::plain::from_bytes;
use crate::record::Malformed;

const KIND_FORKED: u8 = 1;
const KIND_EXECUTED: u8 = 2;
const KIND_EXITED: u8 = 3;

/// Size of what every record begins with, in bytes.
const RECORD_BYTES: usize = size_of::<process_record>();

/// Takes in records of processes.
#[derive(Debug, Default)]
pub(crate) struct ProcessInbox {
    events: Vec<ProcessEvent>,
    malformed: u64,
}

impl Intake for ProcessInbox {
    type Event = ProcessEvent;

    fn take_in(&mut self, bytes: &[u8]) {
        match decode(bytes) {
            Ok(event) => self.events.push(event),
            Err(Malformed) => self.malformed += 1,
        }
    }

    fn take(&mut self) -> Vec<ProcessEvent> {
        std::mem::take(&mut self.events)
    }

    fn take_malformed(&mut self) -> u64 {
        std::mem::take(&mut self.malformed)
    }
}

/// Decodes one record with the text behind it.
fn decode(bytes: &[u8]) -> Result<ProcessEvent, Malformed> {
    let (record, text) = bytes.split_at_checked(RECORD_BYTES).ok_or(Malformed)?;
    let record: process_record = from_bytes(record).ok_or(Malformed)?;
    let process = ProcessKey { pid: record.tgid, started_at_boot_ns: record.started_at_boot_ns };
    match record.kind {
        KIND_FORKED if text.is_empty() => {
            let started_at_boot_ns = record.parent_started_at_boot_ns;
            let parent = ProcessKey { pid: record.parent_tgid, started_at_boot_ns };
            Ok(ProcessEvent::Forked { parent, child: process })
        }
        KIND_EXECUTED => Ok(ProcessEvent::Executed(Box::new(executed(process, &record, text)?))),
        KIND_EXITED if text.is_empty() => Ok(ProcessEvent::Exited { process }),
        _ => Err(Malformed),
    }
}

fn executed(process: ProcessKey, record: &process_record, text: &[u8]) -> Result<Executed, Malformed> {
    let (file, arguments) = text.split_at_checked(record.file_bytes.into()).ok_or(Malformed)?;
    if arguments.len() != usize::from(record.argument_bytes) {
        return Err(Malformed);
    }
    Ok(Executed {
        process,
        namespace_pid: (record.namespace_tgid != 0).then_some(record.namespace_tgid),
        parent_pid: record.parent_tgid,
        uid: record.uid,
        file: file.to_vec(),
        arguments: arguments.to_vec(),
        arguments_cut: record.arguments_cut != 0,
        cgroup_id: (record.cgroup_id != 0).then_some(record.cgroup_id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::to_bytes;

    fn record(kind: u8) -> process_record {
        process_record {
            started_at_boot_ns: 77,
            parent_started_at_boot_ns: 66,
            cgroup_id: 5,
            tgid: 7,
            parent_tgid: 6,
            namespace_tgid: 1,
            uid: 1000,
            kind,
            ..process_record::default()
        }
    }

    fn execution(file: &[u8], arguments: &[u8]) -> Vec<u8> {
        let length = |text: &[u8]| u16::try_from(text.len()).expect("short");
        let record = process_record {
            file_bytes: length(file),
            argument_bytes: length(arguments),
            ..record(KIND_EXECUTED)
        };
        [to_bytes(&record), file, arguments].concat()
    }

    fn executed_of(bytes: &[u8]) -> Executed {
        match decode(bytes) {
            Ok(ProcessEvent::Executed(executed)) => *executed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_fork_names_both_processes_and_an_exit_its_own() {
        let child = ProcessKey { pid: 7, started_at_boot_ns: 77 };
        let parent = ProcessKey { pid: 6, started_at_boot_ns: 66 };
        let forked = ProcessEvent::Forked { parent, child };
        assert_eq!(decode(to_bytes(&record(KIND_FORKED))), Ok(forked));
        assert_eq!(decode(to_bytes(&record(KIND_EXITED))), Ok(ProcessEvent::Exited { process: child }));
    }

    #[test]
    fn an_execution_is_told_with_file_and_arguments() {
        let executed = executed_of(&execution(b"/bin/ls", b"ls\0-l\0"));
        let expected = Executed {
            process: ProcessKey { pid: 7, started_at_boot_ns: 77 },
            namespace_pid: Some(1),
            parent_pid: 6,
            uid: 1000,
            file: b"/bin/ls".to_vec(),
            arguments: b"ls\0-l\0".to_vec(),
            arguments_cut: false,
            cgroup_id: Some(5),
        };
        assert_eq!(executed, expected);
    }

    #[test]
    fn what_the_kernel_could_not_tell_is_absent() {
        let record =
            process_record { cgroup_id: 0, namespace_tgid: 0, arguments_cut: 1, ..record(KIND_EXECUTED) };
        let executed = executed_of(to_bytes(&record));
        assert_eq!((executed.cgroup_id, executed.namespace_pid), (None, None));
        assert_eq!((executed.file, executed.arguments, executed.arguments_cut), (vec![], vec![], true));
    }

    #[test]
    fn a_record_of_another_length_than_it_says_is_malformed() {
        let whole = execution(b"/bin/ls", b"ls\0");
        for length in 0..whole.len() {
            assert_eq!(decode(whole.get(..length).expect("shorter")), Err(Malformed), "{length} bytes");
        }
        let longer = |bytes: &[u8]| decode(&[bytes, &[0][..]].concat());
        assert_eq!(longer(&whole), Err(Malformed));
        for kind in [KIND_FORKED, KIND_EXITED] {
            assert_eq!(longer(to_bytes(&record(kind))), Err(Malformed));
        }
        let mut inbox = ProcessInbox::default();
        inbox.take_in(&whole);
        inbox.take_in(&[]);
        assert_eq!((inbox.take().len(), inbox.take_malformed()), (1, 1));
        assert_eq!((inbox.take().len(), inbox.take_malformed()), (0, 0), "all was taken out");
    }

    #[test]
    fn an_unknown_kind_is_malformed() {
        for kind in [0, 4, u8::MAX] {
            assert_eq!(decode(to_bytes(&record(kind))), Err(Malformed));
        }
    }
}
