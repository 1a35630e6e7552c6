//! Which parts of the tracer a configuration uses, and so which privileges it needs.
//!
//! What each part takes stands in the table of `collect`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use collect::{Feature, Privileges};

use crate::config::{Backend, Config};

/// The parts that are used with this configuration.
pub(crate) fn used(config: &Config) -> Vec<Feature> {
    let (collect, context, listen) = (&config.collect, &config.context, &config.listen);
    let programs = collect.backend != Backend::Polling;
    let at_cgroups = programs && (collect.udp || collect.connect_attempts || collect.dns_tcp);
    let polls = collect.backend != Backend::Bpf;
    // By programs sockets are adopted at the start, with all privileges; polling looks again and again.
    let in_others = polls || collect.audit_interval_s > 0 || context.nat || context.routes;
    let used = [
        (Feature::Programs, programs),
        (Feature::CgroupPrograms, at_cgroups),
        (Feature::OtherNamespaces, in_others),
        (Feature::NamespacesOfProcesses, in_others),
        (Feature::Translations, context.nat),
        (Feature::Executables, context.processes),
        (Feature::CgroupPaths, true),
        (Feature::SocketFiles, polls),
        (Feature::Cost, programs && collect.cost_sample_ms > 0),
        (Feature::LockedMemory, true),
        (Feature::SocketOwner, !(listen.owner.is_empty() && listen.group.is_empty())),
        (Feature::SocketOfOthers, is_in_directory_of_others(&listen.socket)),
        (Feature::LowPort, low_port(&listen.tcp)),
    ];
    used.into_iter().filter_map(|(feature, used)| used.then_some(feature)).collect()
}

/// What of `held` is kept when the programs are loaded.
pub(crate) fn kept(config: &Config, held: Privileges) -> Privileges {
    held.needed_on(&used(config))
}

/// Only its owner, and whoever may override that, removes what is there.
fn is_in_directory_of_others(socket: &Path) -> bool {
    let directory = socket.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = std::fs::metadata(directory).map(|metadata| metadata.uid());
    owner.is_ok_and(|owner| owner != rustix::process::geteuid().as_raw())
}

fn low_port(address: &str) -> bool {
    let port = address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    port.is_some_and(|port| (1..1024).contains(&port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_takes_no_privilege() {
        let mut config = Config::default();
        config.collect.backend = Backend::Bpf;
        let has = |config: &Config, feature| used(config).contains(&feature);
        assert!(has(&config, Feature::CgroupPrograms) && has(&config, Feature::Cost));
        assert!(!has(&config, Feature::SocketOwner) && !has(&config, Feature::LowPort));
        config.collect.udp = false;
        config.collect.cost_sample_ms = 0;
        config.context.nat = false;
        config.context.processes = false;
        config.context.routes = false;
        assert!(has(&config, Feature::OtherNamespaces), "of audits");
        config.collect.audit_interval_s = 0;
        for feature in [
            Feature::CgroupPrograms,
            Feature::Cost,
            Feature::Translations,
            Feature::Executables,
            Feature::OtherNamespaces,
        ] {
            assert!(!has(&config, feature), "{feature:?}");
        }
        config.collect.backend = Backend::Auto;
        assert!(has(&config, Feature::OtherNamespaces) && has(&config, Feature::SocketFiles), "it may poll");
        config.listen.group = "adm".into();
        config.listen.tcp = "127.0.0.1:80".into();
        assert!(has(&config, Feature::SocketOwner) && has(&config, Feature::LowPort));
        assert!(!low_port("[::1]:8125") && !low_port("") && !low_port("127.0.0.1:0"));
    }
}
