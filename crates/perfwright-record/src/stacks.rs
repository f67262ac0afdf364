//! Captured addresses to the profile's locations, mappings and stacks.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU64;

use perfwright_model::{Location, LocationId, Mapping, MappingId, Profile, StackId};
use perfwright_stack::{Image, Module};

/// Which stacks, locations and mappings one profile has already, so that adding a captured stack again is one
/// lookup. Belongs to one [`Profile`]: give it the same one each time.
#[derive(Debug, Default)]
pub struct StackTable {
    stacks: HashMap<u128, StackId, FastHash>,
    locations: HashMap<(u64, bool), LocationId, FastHash>,
    mappings: HashMap<u64, Option<MappingId>, FastHash>,
}

impl StackTable {
    /// A table for a profile without stacks.
    #[must_use]
    pub fn new() -> StackTable {
        StackTable::default()
    }

    /// The stack of these addresses: leaf first, as [`walk`](perfwright_stack::walk()) wrote them. The first is
    /// where the thread was; the others are return addresses, which become the addresses of their calls.
    pub fn intern(&mut self, profile: &mut Profile, addresses: &[u64], image: &Image) -> StackId {
        let key = hash_addresses(addresses);
        if let Some(&stack) = self.stacks.get(&key) {
            return stack;
        }
        let mut stack = StackId::ROOT;
        for (i, &address) in addresses.iter().enumerate().rev() {
            let location = self.location(profile, address, i > 0, image);
            stack = profile.push_stack(stack, location);
        }
        self.stacks.insert(key, stack);
        stack
    }

    /// The stack of these addresses if it was interned before.
    #[must_use]
    pub fn get(&self, addresses: &[u64]) -> Option<StackId> {
        self.stacks.get(&hash_addresses(addresses)).copied()
    }

    /// Modules changed: an address may mean something else from now on.
    pub fn forget(&mut self) {
        *self = StackTable::default();
    }

    /// How many stacks were interned since the last [`forget`](StackTable::forget).
    #[must_use]
    pub fn len(&self) -> usize {
        self.stacks.len()
    }

    /// True if none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.stacks.capacity() * (size_of::<(u128, StackId)>() + 1)
            + self.locations.capacity() * (size_of::<((u64, bool), LocationId)>() + 1)
    }

    fn location(
        &mut self,
        profile: &mut Profile,
        address: u64,
        is_caller: bool,
        image: &Image,
    ) -> LocationId {
        if let Some(&location) = self.locations.get(&(address, is_caller)) {
            return location;
        }
        // A return address lies behind the call; one less lies in it, which is what a lookup wants.
        let avma = if is_caller {
            address.wrapping_sub(1)
        } else {
            address
        };
        let location = Location {
            mapping: self.mapping(profile, avma, image),
            address: NonZeroU64::new(avma),
            ..Location::default()
        };
        let id = match location.address {
            Some(_) => profile.add_location(location, &[]),
            None => profile.frame_location("[null]"),
        };
        self.locations.insert((address, is_caller), id);
        id
    }

    fn mapping(&mut self, profile: &mut Profile, avma: u64, image: &Image) -> Option<MappingId> {
        let module = image.module_at(avma)?;
        if let Some(&mapping) = self.mappings.get(&module.range.start) {
            return mapping;
        }
        // Readers of pprof take the first mapping for the program itself.
        if self.mappings.is_empty()
            && let Some(main) = image.modules().iter().find(|module| module.is_main)
        {
            self.add_mapping(profile, main);
        }
        self.add_mapping(profile, module)
    }

    fn add_mapping(&mut self, profile: &mut Profile, module: &Module) -> Option<MappingId> {
        let mapping = Mapping {
            offset: module.file_offset,
            filename: profile.intern(&module.path.to_string_lossy()),
            build_id: profile.intern(&hex(&module.build_id)),
            ..Mapping::new(module.range.start, module.range.end)
        };
        let id = Some(profile.add_mapping(mapping));
        self.mappings.insert(module.range.start, id);
        id
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 128 bits, so that two stacks of a profile never share a key in practice (10^6 stacks: 10^-27).
fn hash_addresses(addresses: &[u64]) -> u128 {
    let (mut a, mut b) = (0x243f_6a88_85a3_08d3_u64, 0x1319_8a2e_0370_7344_u64);
    for &address in addresses {
        a = fold(a ^ address, 0x9e37_79b9_7f4a_7c15);
        b = fold(b ^ address.rotate_left(32), 0xd6e8_feb8_6659_fd93);
    }
    u128::from(a) << 64 | u128::from(b ^ addresses.len() as u64)
}

/// The two halves of the product, folded: mixes every bit of the input into the result.
fn fold(value: u64, factor: u64) -> u64 {
    let product = u128::from(value) * u128::from(factor);
    (product as u64) ^ (product >> 64) as u64 ^ value.rotate_left(23)
}

type FastHash = BuildHasherDefault<AddressHasher>;

/// For keys that are addresses of our own code or already hashed: nobody chooses them to collide.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_ne_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = fold(self.0 ^ value, 0x9e37_79b9_7f4a_7c15);
    }
}
