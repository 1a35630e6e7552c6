//! What the path of a cgroup says of a process that is in it: its container, its systemd unit, its Kubernetes pod.
//!
//! Paths come from the hierarchy of version 2, or from what `/proc/<pid>/cgroup` has of all. Nothing is read here.

#[cfg(test)]
mod real_paths;

use connections::ContainerId;

/// Types of units that have a cgroup of their own, other than slices, in which units are sorted.
const UNIT_TYPES: [&str; 5] = ["service", "scope", "socket", "mount", "swap"];
/// Bytes in the name of a unit: `UNIT_NAME_MAX` of systemd, less the zero byte.
const UNIT_MAX: usize = 255;
/// Digits of the uid of a pod that is described by a file of its node.
const STATIC_POD_DIGITS: usize = 32;
/// Where the dashes of other uids stand, and how long those are.
const UUID_DASHES: [usize; 4] = [8, 13, 18, 23];
const UUID_LENGTH: usize = 36;

/// Where a process runs. What the path does not say is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// Of a container in a container, the inner one.
    pub(crate) container: Option<ContainerId>,
    /// The innermost unit, as systemd names it: escapes in it stay.
    pub(crate) unit: Option<Box<str>>,
    /// The uid of the pod.
    pub(crate) pod: Option<Box<str>>,
}

impl Place {
    /// What this path says.
    pub(crate) fn of_path(path: &str) -> Self {
        // So the kernel writes that of a cgroup that was removed.
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        Self {
            container: path.rsplit('/').find_map(container),
            unit: path.rsplit('/').find_map(unit).map(Into::into),
            pod: pod(path),
        }
    }

    /// What the content of `/proc/<pid>/cgroup` says: containers and pods are named by any hierarchy, units by that of
    /// systemd, which is version 2 where it has none of its own.
    pub(crate) fn of_process(cgroups: &str) -> Self {
        let mut place = Self::default();
        let (mut of_systemd, mut of_v2) = (None, None);
        for (hierarchy, path) in cgroups.lines().filter_map(hierarchy) {
            let found = Self::of_path(path);
            place.container = place.container.or(found.container);
            place.pod = place.pod.or(found.pod);
            match hierarchy {
                Hierarchy::Systemd => of_systemd = found.unit,
                Hierarchy::V2 => of_v2 = found.unit,
                Hierarchy::V1 => {}
            }
        }
        place.unit = of_systemd.or(of_v2);
        place
    }
}

/// True when processes have cgroups of version 1 too, by what `/proc/<pid>/cgroup` has of any of them.
pub(crate) fn has_v1(cgroups: &str) -> bool {
    cgroups.lines().filter_map(hierarchy).any(|(hierarchy, _)| !matches!(hierarchy, Hierarchy::V2))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hierarchy {
    V2,
    /// The one of version 1 that systemd made for itself, without a controller.
    Systemd,
    V1,
}

/// Of `4:memory:/docker/<id>`: which hierarchy, and the path in it.
fn hierarchy(line: &str) -> Option<(Hierarchy, &str)> {
    let mut fields = line.splitn(3, ':');
    let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let hierarchy = match (number, controllers) {
        ("0", "") => Hierarchy::V2,
        (_, "name=systemd") => Hierarchy::Systemd,
        _ => Hierarchy::V1,
    };
    Some((hierarchy, path))
}

/// `<id>`, `docker-<id>.scope` or `system.slice:docker:<id>`. What watches a container has its id too, after `conmon`, and
/// runs outside of it.
fn container(component: &str) -> Option<ContainerId> {
    let component = component.strip_suffix(".scope").unwrap_or(component);
    let (runtime, id) = component.rsplit_once(['-', ':']).unwrap_or(("", component));
    ContainerId::parse(id).filter(|_| !runtime.ends_with("conmon"))
}

fn unit(component: &str) -> Option<&str> {
    // Where a name would be taken for a file of the kernel, systemd puts this before it.
    let unit = component.strip_prefix('_').unwrap_or(component);
    let (name, kind) = unit.rsplit_once('.')?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let is_unit = UNIT_TYPES.contains(&kind) && !name.is_empty() && name.bytes().all(is_allowed);
    (is_unit && unit.len() <= UNIT_MAX).then_some(unit)
}

/// `kubepods-besteffort-pod<uid>.slice`, with underscores in the uid, as `kubepods/besteffort/pod<uid>`. Where the runtime
/// was told the other driver than the kubelet, the slice is followed by a colon and the container.
fn pod(path: &str) -> Option<Box<str>> {
    let mut rest = path;
    while let Some((before, component)) = rest.rsplit_once('/') {
        let component = component.split(':').next().unwrap_or_default();
        let found = match component.strip_suffix(".slice") {
            Some(slice) if slice.contains("kubepods") => slice.rsplit_once("-pod").map(|(_, uid)| uid),
            None if before.contains("kubepods") => component.strip_prefix("pod"),
            _ => None,
        };
        if let Some(uid) = found.and_then(pod_uid) {
            return Some(uid);
        }
        rest = before;
    }
    None
}

fn pod_uid(text: &str) -> Option<Box<str>> {
    let uid = text.replace('_', "-");
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_uuid = uid.len() == UUID_LENGTH
        && uid.bytes().enumerate().all(|(at, byte)| match UUID_DASHES.contains(&at) {
            true => byte == b'-',
            false => is_digit(byte),
        });
    let is_static = uid.len() == STATIC_POD_DIGITS && uid.bytes().all(is_digit);
    (is_uuid || is_static).then(|| uid.into())
}
