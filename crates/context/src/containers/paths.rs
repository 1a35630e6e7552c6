//! Where the id of a container stands in the path of a cgroup.

use connections::ContainerId;

/// The container of a process whose cgroup has this path. Of one in another, the inner one.
pub(super) fn container(path: &str) -> Option<ContainerId> {
    path.rsplit('/').find_map(of_component)
}

/// `<id>`, `docker-<id>.scope` or `system.slice:docker:<id>`. What watches a container has its id too, after `conmon`, and
/// runs outside of it.
fn of_component(component: &str) -> Option<ContainerId> {
    let component = component.strip_suffix(".scope").unwrap_or(component);
    let (runtime, id) = component.rsplit_once(['-', ':']).unwrap_or(("", component));
    ContainerId::parse(id).filter(|_| !runtime.ends_with("conmon"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9f7a5c0e3b1d2f4a6c8e0b2d4f6a8c0e1f3b5d7a9c0e2f4b6d8a0c1e3f5b7d9a";
    const OTHER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn the_id_is_found_in_the_path_of_every_runtime() {
        for before in [
            "/sys/fs/cgroup/system.slice/docker-ID.scope",
            "/docker/ID",
            "/docker/ID/init",
            "/system.slice/docker-ID.scope/kubelet.slice",
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod8c1.slice/cri-containerd-ID.scope",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod8c1.slice/crio-ID.scope/container",
            "/kubepods/besteffort/pod2f399ae7-38a0-11e9-b7a8-0a0a0a0a0a0a/ID",
            "/kubepods-burstable-pod8c1.slice:cri-containerd:ID",
            "/system.slice:docker:ID",
            "/machine.slice/libpod-ID.scope",
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            "/machine.slice/libpod-payload-ID",
            "/ecs/0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c/ID",
            "/docker/OTHER/docker/ID",
            "/system.slice/docker-OTHER.scope/kubepods.slice/cri-containerd-ID.scope",
        ] {
            let path = before.replace("ID", ID).replace("OTHER", OTHER);
            assert_eq!(container(&path).map(|id| id.to_string()).as_deref(), Some(ID), "{path}");
        }
    }

    #[test]
    fn what_is_no_container_has_none() {
        for before in [
            "/",
            "",
            "/system.slice/ssh.service",
            "/system.slice/docker.service",
            "/machine.slice/libpod-conmon-ID.scope",
            "/kubepods.slice/crio-conmon-ID.scope",
            "/docker/IDID",
            "/docker-ID.scope.d",
            "/process_api/39a6f132570ccea6ae450820941a3e47",
        ] {
            let path = before.replace("ID", ID);
            assert_eq!(container(&path), None, "{path}");
        }
    }
}
