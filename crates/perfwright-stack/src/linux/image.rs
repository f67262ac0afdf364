//! The modules of this process: what is mapped where, with build ids and unwind tables.

use super::bytes::{Bytes, MappedFile};
use super::code_map::{CodeMap, CodeRange, StackRange};
use super::elf::{self, ElfFacts};
use super::proc_maps::{self, Vma};
use super::rule::{Registers, Rule};
use super::table::{EhFrameInput, UnwindTable};
use super::unwind::CollectorUnwinder;
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// Modules unloaded since the start that are still remembered, for samples taken shortly before.
const RETIRED_MODULES: usize = 64;
/// A module without a file is copied from memory up to this size; a larger one goes without a
/// table.
const MAX_COPIED_BYTES: u64 = 256 << 20;
/// From this share of functions on, an executable counts as built with frame pointers. One built
/// without has them in the standard library only; one built with lacks them in some C or assembly.
const FRAMED_SHARE: f64 = 0.8;

/// The collector's view of its own process. Building it parses the call frame information of every
/// module; keep one, and [`refresh`](Image::refresh) it.
#[derive(Debug)]
pub struct Image {
    pub(crate) modules: Vec<Module>,
    retired: VecDeque<Module>,
    pub(crate) map: CodeMap,
    pub(crate) unwinder: CollectorUnwinder,
}

/// One executable mapping of a file (or the vdso): what a profile's mapping records.
#[derive(Clone, Debug)]
pub struct Module {
    /// AVMAs.
    pub range: Range<u64>,
    /// Where in the file `range.start` comes from.
    pub file_offset: u64,
    /// The path as `/proc/self/maps` has it, or `[vdso]`.
    pub path: PathBuf,
    /// The GNU build id; empty if the file has none.
    pub build_id: Vec<u8>,
    /// AVMA = SVMA + bias, wrapping.
    pub bias: u64,
    /// The process's executable.
    pub is_main: bool,
    identity: (String, u64),
    pub(crate) file: Arc<ModuleFile>,
}

/// What a file says, whatever address it is mapped at.
#[derive(Debug, Default)]
pub(crate) struct ModuleFile {
    facts: ElfFacts,
    pub(crate) eh_frame: Option<Bytes>,
    pub(crate) eh_frame_hdr: Option<Bytes>,
    table: Arc<UnwindTable>,
    stamp: Stamp,
}

/// Length and time of the last change of a file; `None` of what is no file.
type Stamp = Option<(u64, SystemTime)>;

fn stamp(path: &str) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((file.len(), file.modified().ok()?))
}

impl Image {
    /// Reads `/proc/self/maps` and the modules it names. A module that can't be read is listed
    /// without a build id, and its code counts as unknown.
    ///
    /// # Errors
    /// What reading `/proc/self/maps` gives.
    pub fn load() -> io::Result<Image> {
        let mut image = Image {
            modules: Vec::new(),
            retired: VecDeque::new(),
            map: CodeMap::default(),
            unwinder: CollectorUnwinder::default(),
        };
        image.refresh()?;
        Ok(image)
    }

    /// Looks again. True if the [`code_map`](Image::code_map) differs: libraries opened or closed,
    /// code generated, stacks (or other memory that could be one) mapped or unmapped. Only new
    /// files are parsed.
    ///
    /// # Errors
    /// What reading `/proc/self/maps` gives; the image stays as it was.
    pub fn refresh(&mut self) -> io::Result<bool> {
        let vmas = proc_maps::parse(&std::fs::read("/proc/self/maps")?);
        let code = executable(&vmas);
        let modules_changed = self.update_modules(&vmas, &code);
        let map = CodeMap::new(self.code_ranges(&code), stack_ranges(&vmas));
        let changed = modules_changed || !map.same_ranges(&self.map);
        if changed {
            self.map = map;
        }
        if modules_changed {
            self.unwinder = CollectorUnwinder::default();
        }
        Ok(changed)
    }

    /// What to publish to signal handlers.
    #[must_use]
    pub fn code_map(&self) -> CodeMap {
        self.map.clone()
    }

    /// The executable mappings of files, by address.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The module that holds a code address: a loaded one, else one unloaded lately.
    #[must_use]
    pub fn module_at(&self, avma: u64) -> Option<&Module> {
        let after = self
            .modules
            .partition_point(|module| module.range.end <= avma);
        let loaded = self
            .modules
            .get(after)
            .filter(|module| module.range.contains(&avma));
        loaded.or_else(|| {
            self.retired
                .iter()
                .rev()
                .find(|module| module.range.contains(&avma))
        })
    }

    /// The share of the main executable's functions that set up a frame pointer; `None` if it has
    /// no call frame information to tell.
    #[must_use]
    pub fn frame_pointer_share(&self) -> Option<f64> {
        let main = self.modules.iter().find(|module| module.is_main)?;
        let (framed, all) = main.file.table.functions();
        (all > 0).then(|| f64::from(framed) / f64::from(all))
    }

    /// Whether the main executable was built with frame pointers: at least 80 % of its functions
    /// have one.
    #[must_use]
    pub fn has_frame_pointers(&self) -> Option<bool> {
        Some(self.frame_pointer_share()? >= FRAMED_SHARE)
    }

    /// True for an address in code that the compiler or the C library marks as outermost (`_start`,
    /// `clone`). Pass the outermost return address as captured.
    #[must_use]
    pub fn is_root(&self, outermost_pc: u64) -> bool {
        let rule = |pc| self.map.rule(pc) == Rule::Root;
        rule(outermost_pc.wrapping_sub(1)) || rule(outermost_pc)
    }

    /// Bytes on the heap, near enough: tables, and copies of unwind information where there was no
    /// file to map.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.map.heap_bytes() + self.modules.len() * size_of::<Module>()
    }

    /// Rows in all unwind tables (a measure of what was parsed).
    #[must_use]
    pub fn table_rows(&self) -> usize {
        self.modules
            .iter()
            .map(|module| module.file.table.rows())
            .sum()
    }

    /// True if a module came or went.
    fn update_modules(&mut self, vmas: &[Vma], code: &[Vma]) -> bool {
        let main = std::fs::read_link("/proc/self/exe").unwrap_or_default();
        let mut old = std::mem::take(&mut self.modules);
        let mut files = Files::new();
        for module in &old {
            files.insert(module.key(), module.file.clone());
        }
        let mut is_new = false;
        for vma in code.iter().filter(|vma| is_module(vma)) {
            let known = old.iter().position(|module| module.is_at(vma));
            self.modules.push(match known {
                Some(index) => old.swap_remove(index),
                None => {
                    is_new = true;
                    let is_main = main.as_os_str() == vma.name.as_str();
                    let key = (vma.name.clone(), vma.file.clone());
                    let known = files.get(&key).cloned().or_else(|| parsed_before(&key));
                    let known = known.filter(|file| file.is_unchanged(&vma.name));
                    let file = known.unwrap_or_else(|| {
                        let loaded = Arc::new(ModuleFile::load(vma, vmas, is_main));
                        files.insert(key, loaded.clone());
                        loaded
                    });
                    Module::new(vma, is_main, file)
                }
            });
        }
        self.modules.sort_by_key(|module| module.range.start);
        if is_new {
            remember(&self.modules);
        }
        let is_gone = !old.is_empty();
        self.retired.extend(old);
        while self.retired.len() > RETIRED_MODULES {
            self.retired.pop_front();
        }
        is_new || is_gone
    }

    fn code_ranges(&self, code: &[Vma]) -> Vec<CodeRange> {
        let range = |vma: &Vma| {
            let module = self.modules.iter().find(|module| module.is_at(vma));
            let has_rows = |module: &&Module| module.file.table.rows() > 0;
            let base = |module: &Module| {
                module
                    .bias
                    .wrapping_add(module.file.facts.code_svma().start)
            };
            CodeRange {
                start: vma.range.start,
                end: vma.range.end,
                table_base: module.map_or(0, base),
                table: module
                    .filter(has_rows)
                    .map(|module| module.file.table.clone()),
            }
        };
        code.iter().map(range).collect()
    }
}

/// Path, and device and inode.
type FileKey = (String, (String, u64));
type Files = HashMap<FileKey, Arc<ModuleFile>>;

/// The files of the modules that were last seen, by any image of this process: parsing their call frame
/// information is most of what a first image costs, and the next one need not do it again.
static PARSED: Mutex<Option<Files>> = Mutex::new(None);

fn parsed_before(key: &FileKey) -> Option<Arc<ModuleFile>> {
    // Not waited for: in a forked child the lock may be held for ever.
    PARSED.try_lock().ok()?.as_ref()?.get(key).cloned()
}

fn remember(modules: &[Module]) {
    let files = modules
        .iter()
        .map(|module| (module.key(), module.file.clone()))
        .collect();
    if let Ok(mut parsed) = PARSED.try_lock() {
        *parsed = Some(files);
    }
}

impl Module {
    fn key(&self) -> FileKey {
        let path = self.path.to_string_lossy().into_owned();
        (path, self.identity.clone())
    }

    fn new(vma: &Vma, is_main: bool, file: Arc<ModuleFile>) -> Module {
        Module {
            range: vma.range.clone(),
            file_offset: vma.file_offset,
            path: PathBuf::from(&vma.name),
            build_id: file.facts.build_id.clone(),
            bias: file
                .facts
                .bias(vma.range.start, vma.file_offset)
                .unwrap_or(vma.range.start),
            is_main,
            identity: vma.file.clone(),
            file,
        }
    }

    fn is_at(&self, vma: &Vma) -> bool {
        self.range == vma.range
            && self.file_offset == vma.file_offset
            && self.identity == vma.file
            && self.path.as_os_str() == vma.name.as_str()
    }

    /// (call frame information, its index) with the SVMA range of each, and the lowest code SVMA.
    pub(crate) fn unwind_sections(&self) -> Option<UnwindSections> {
        let place = |section: &elf::Section, bytes: &Bytes| {
            section.svma..section.svma.wrapping_add(bytes.len() as u64)
        };
        let (facts, file) = (&self.file.facts, &self.file);
        let eh_frame = file.eh_frame.clone()?;
        let hdr = file.eh_frame_hdr.clone();
        Some(UnwindSections {
            code_svma: facts.code_svma(),
            eh_frame_svma: place(facts.eh_frame.as_ref()?, &eh_frame),
            eh_frame_hdr_svma: facts
                .eh_frame_hdr
                .as_ref()
                .zip(hdr.as_ref())
                .map(|(s, b)| place(s, b)),
            eh_frame,
            eh_frame_hdr: hdr,
        })
    }
}

/// What framehop is given of a module.
pub(crate) struct UnwindSections {
    pub(crate) code_svma: Range<u64>,
    pub(crate) eh_frame_svma: Range<u64>,
    pub(crate) eh_frame_hdr_svma: Option<Range<u64>>,
    pub(crate) eh_frame: Bytes,
    pub(crate) eh_frame_hdr: Option<Bytes>,
}

impl ModuleFile {
    fn load(vma: &Vma, vmas: &[Vma], is_main: bool) -> ModuleFile {
        let path = if is_main {
            "/proc/self/exe"
        } else {
            vma.name.as_str()
        };
        let stamp = stamp(&vma.name);
        let is_gone = vma.name.starts_with('[') || vma.name.ends_with(" (deleted)");
        let mapped = || Some(Arc::new(MappedFile::open(path).ok()?));
        let loaded = match if is_gone && !is_main { None } else { mapped() } {
            Some(file) => {
                let loaded = ModuleFile::parse(&Bytes::Mapped(file.clone(), 0..file.len()));
                file.release();
                loaded
            }
            None => copy_from_memory(vma, vmas)
                .map(|bytes| ModuleFile::parse(&Bytes::Copied(bytes.into())))
                .unwrap_or_default(),
        };
        ModuleFile { stamp, ..loaded }
    }

    /// A file can be overwritten in place and loaded again.
    fn is_unchanged(&self, path: &str) -> bool {
        self.stamp == stamp(path)
    }

    fn parse(file: &Bytes) -> ModuleFile {
        let facts = elf::parse(&**file).unwrap_or_default();
        let bytes = |section: &Option<elf::Section>| {
            let range = section.as_ref()?.file.clone();
            file.slice(range.start.try_into().ok()?..range.end.try_into().ok()?)
        };
        let (eh_frame, eh_frame_hdr) = (bytes(&facts.eh_frame), bytes(&facts.eh_frame_hdr));
        let table = match (&facts.eh_frame, &eh_frame) {
            (Some(section), Some(bytes)) => UnwindTable::build(
                &EhFrameInput {
                    eh_frame: bytes,
                    eh_frame_svma: section.svma,
                    eh_frame_hdr_svma: facts
                        .eh_frame_hdr
                        .as_ref()
                        .map_or(0, |section| section.svma),
                    code_svma: facts.code_svma(),
                },
                Registers::native(),
            ),
            _ => UnwindTable::default(),
        };
        ModuleFile {
            facts,
            eh_frame,
            eh_frame_hdr,
            table: Arc::new(table),
            stamp: None,
        }
    }
}

fn is_module(vma: &Vma) -> bool {
    vma.name.starts_with('/') || vma.name == "[vdso]"
}

/// The executable mappings, neighbours of one file joined (huge pages and `mprotect` split them).
fn executable(vmas: &[Vma]) -> Vec<Vma> {
    let mut out: Vec<Vma> = Vec::new();
    for vma in vmas.iter().filter(|vma| vma.is_executable) {
        match out.last_mut() {
            Some(last)
                if last.range.end == vma.range.start
                    && (&last.name, &last.file) == (&vma.name, &vma.file)
                    && last.file_offset + (last.range.end - last.range.start)
                        == vma.file_offset =>
            {
                last.range.end = vma.range.end;
            }
            _ => out.push(vma.clone()),
        }
    }
    out
}

fn stack_ranges(vmas: &[Vma]) -> Vec<StackRange> {
    let stacks = vmas.iter().filter(|vma| vma.can_hold_stack());
    let range = |vma: &Vma| StackRange {
        start: vma.range.start,
        end: vma.range.end,
        is_main: vma.is_main_stack(),
    };
    stacks.map(range).collect()
}

/// The loaded, unwritable parts of a module at their file offsets. Read through `/proc/self/mem`,
/// which fails where a plain read would fault if the module were unloaded meanwhile.
fn copy_from_memory(vma: &Vma, vmas: &[Vma]) -> Option<Vec<u8>> {
    let parts = || {
        vmas.iter()
            .filter(|part| (&part.name, &part.file) == (&vma.name, &vma.file))
    };
    let parts = || parts().filter(|part| !part.is_writable);
    let end = |part: &Vma| {
        part.file_offset
            .saturating_add(part.range.end - part.range.start)
    };
    let size = parts()
        .map(end)
        .max()
        .filter(|size| *size <= MAX_COPIED_BYTES)?;
    let mut memory = std::fs::File::open("/proc/self/mem").ok()?;
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    for part in parts() {
        memory.seek(SeekFrom::Start(part.range.start)).ok()?;
        let place = part.file_offset as usize..end(part) as usize;
        memory.read_exact(bytes.get_mut(place)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_image_parses_nothing_again() {
        let [first, second] = [(); 2].map(|()| Image::load().unwrap());
        for module in &first.modules {
            let again = second
                .modules
                .iter()
                .find(|other| other.key() == module.key());
            assert!(
                Arc::ptr_eq(&module.file, &again.unwrap().file),
                "{:?}",
                module.path
            );
        }
    }

    #[test]
    fn a_file_that_was_overwritten_is_another() {
        let path = std::env::temp_dir().join(format!("perfwright-stamp-{}", std::process::id()));
        let name = path.to_str().unwrap();
        std::fs::write(&path, "one").unwrap();
        let file = ModuleFile {
            stamp: stamp(name),
            ..ModuleFile::default()
        };
        assert!(file.is_unchanged(name));
        std::fs::write(&path, "other").unwrap();
        assert!(!file.is_unchanged(name));
        std::fs::remove_file(&path).unwrap();
    }
}
