//! What is in the maps of the programs, as text, for whoever looks for a defect of them.
//!
//! Reads and changes nothing. What the bytes mean is said in `bpf/`.

use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, Object};

/// Without being asked for a map by name, so many of its entries are written.
const UNASKED_ENTRIES: usize = 64;
/// Of a map that was asked for by name.
const ASKED_ENTRIES: usize = 65_536;

/// The maps of the programs. They can be read from any thread, also when the programs are gone.
#[derive(Debug)]
pub struct KernelMaps(Vec<MapHandle>);

impl KernelMaps {
    /// Those of the objects, each once.
    pub(crate) fn of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Result<Self, libbpf_rs::Error> {
        let mut maps: Vec<(u32, MapHandle)> = Vec::new();
        for map in objects.into_iter().flat_map(Object::maps) {
            let handle = MapHandle::try_from(&map)?;
            let id = handle.info()?.info.id;
            if maps.iter().all(|(known, _)| *known != id) {
                maps.push((id, handle));
            }
        }
        Ok(Self(maps.into_iter().map(|(_, map)| map).collect()))
    }

    /// Each map, and the bytes that it takes in the kernel, as `/proc/self/fdinfo` tells them; left out where it does not.
    pub(crate) fn memory(&self) -> Vec<(String, u64)> {
        let bytes = |map: &MapHandle| {
            let told = format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd());
            let told = std::fs::read_to_string(told).ok()?;
            let bytes = told.lines().find_map(|line| line.strip_prefix("memlock:"))?;
            Some((map.name().to_string_lossy().into_owned(), bytes.trim().parse().ok()?))
        };
        self.0.iter().filter_map(bytes).collect()
    }

    /// Writes the maps with these names, without names all: what each is, and what is in it, in hexadecimal. Entries of
    /// zeros are left out; of a map that is not named, at most 64 entries are written, otherwise 65 536.
    ///
    /// # Errors
    /// Those of `out`. What the kernel refuses to tell is written in its words.
    pub fn write(&self, names: &[String], out: &mut impl io::Write) -> io::Result<()> {
        writeln!(out, "tracer:")?;
        let limit = if names.is_empty() { UNASKED_ENTRIES } else { ASKED_ENTRIES };
        for map in &self.0 {
            let name = map.name().to_string_lossy();
            if names.is_empty() || names.iter().any(|wanted| *wanted == name) {
                write_map(map, &name, limit, out)?;
            }
        }
        Ok(())
    }
}

fn write_map(map: &MapHandle, name: &str, limit: usize, out: &mut impl io::Write) -> io::Result<()> {
    let id = map.info().map_or(0, |info| info.info.id);
    let (kind, keys, values) = (map.map_type(), map.key_size(), map.value_size());
    writeln!(
        out,
        "map {name}: id {id}, {kind:?}, key {keys} bytes, value {values} bytes, at most {} entries",
        map.max_entries()
    )?;
    if kind == MapType::RingBuf {
        return writeln!(out, "  a ring buffer: what is in it is taken out by the tracer");
    }
    let mut written = 0;
    // A walk over a hash begins anew when the entry that it stands on is deleted.
    let steps = usize::try_from(map.max_entries()).unwrap_or(usize::MAX);
    for key in map.keys().take(steps) {
        match value(map, kind, &key) {
            Ok(Some(value)) if value.iter().any(|byte| *byte != 0) => {
                if written == limit {
                    return writeln!(out, "  and more: at most {limit} entries are written");
                }
                writeln!(out, "  {}: {}", hexadecimal(&key), hexadecimal(&value))?;
                written += 1;
            }
            // Zeros, or gone since.
            Ok(_) => {}
            Err(error) => return writeln!(out, "  {error}"),
        }
    }
    Ok(())
}

fn value(map: &MapHandle, kind: MapType, key: &[u8]) -> Result<Option<Vec<u8>>, libbpf_rs::Error> {
    if kind.is_percpu() {
        return Ok(map.lookup_percpu(key, MapFlags::ANY)?.map(|values| values.concat()));
    }
    map.lookup(key, MapFlags::ANY)
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}
