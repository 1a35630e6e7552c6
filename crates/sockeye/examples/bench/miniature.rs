//! A loaded miniature: its programs attached, its maps readable.

use anyhow::{Context, ensure};
use libbpf_rs::{Link, Map, MapCore, MapFlags, Object, ObjectBuilder, Program, ProgramMut};
use std::os::fd::AsFd;

use crate::contender::Attached;
use crate::unloading;

/// Programs of the bench's own, attached until this is detached or dropped.
pub struct Miniature {
    /// Dropping them detaches the programs.
    _links: Vec<Link>,
    object: Object,
}

impl Miniature {
    /// Loads a compiled object and attaches each of its programs.
    pub fn start(
        object: &[u8],
        attach: impl Fn(&ProgramMut<'_>) -> libbpf_rs::Result<Link>,
    ) -> anyhow::Result<Self> {
        let object =
            ObjectBuilder::default().open_memory(object)?.load().context("cannot load a miniature")?;
        let links: Result<Vec<_>, _> = object.progs_mut().map(|program| attach(&program)).collect();
        let links = links.context("cannot attach a miniature")?;
        Ok(Self { _links: links, object })
    }

    /// Ids of its programs, as the kernel lists them.
    pub fn programs(&self) -> anyhow::Result<Vec<u32>> {
        let ids: Result<Vec<u32>, _> =
            self.object.progs().map(|program| Program::id_from_fd(program.as_fd())).collect();
        let ids = ids?;
        ensure!(!ids.is_empty(), "a miniature has programs");
        Ok(ids)
    }

    pub fn map(&self, name: &str) -> anyhow::Result<Map<'_>> {
        let map = self.object.maps().find(|map| map.name() == name);
        map.with_context(|| format!("the miniature has a map {name}"))
    }

    /// What the map holds under a key, as the words of its value.
    pub fn words(&self, map: &str, key: &[u8]) -> anyhow::Result<Option<Vec<u64>>> {
        Ok(self.map(map)?.lookup(key, MapFlags::ANY)?.as_deref().map(words))
    }
}

impl Attached for Miniature {
    fn detach(self: Box<Self>) -> anyhow::Result<()> {
        let programs = self.programs();
        drop(self);
        unloading::wait_until_freed(&programs?)
    }
}

/// The 64-bit words of a map's value; a rest is left out.
pub fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}
