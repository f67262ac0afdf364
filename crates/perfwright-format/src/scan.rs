//! Going over bytes by the word: what reading text spends its time on.
//!
//! By hand, for in the viewer this crate is compiled to be small, and its standard library has no fast search on
//! WebAssembly.

/// How many bytes two texts begin with in common.
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let mut same = 0;
    while let (Some(a), Some(b)) = (block(a, same), block(b, same)) {
        if (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) != 0 {
            break;
        }
        same += BLOCK;
    }
    while same < len && a[same] == b[same] {
        same += 1;
    }
    same
}

/// Where a byte is for the first time.
pub(crate) fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    let wanted = u64::from_ne_bytes([byte; 8]);
    let mut at = 0;
    while let Some([a, b, c, d]) = block(bytes, at) {
        let [a, b, c, d] = [a ^ wanted, b ^ wanted, c ^ wanted, d ^ wanted];
        if zero_bytes(a) | zero_bytes(b) | zero_bytes(c) | zero_bytes(d) != 0 {
            break;
        }
        at += BLOCK;
    }
    while at < bytes.len() {
        if bytes[at] == byte {
            return Some(at);
        }
        at += 1;
    }
    None
}

const BLOCK: usize = 32;

/// The words of the block that begins at `at`, if there are so many bytes.
#[inline(always)]
fn block(bytes: &[u8], at: usize) -> Option<[u64; 4]> {
    let block: &[u8; BLOCK] = bytes.get(at..)?.first_chunk()?;
    let [a, b, c, d] = block.as_chunks::<8>().0 else {
        return None;
    };
    Some([
        u64::from_ne_bytes(*a),
        u64::from_ne_bytes(*b),
        u64::from_ne_bytes(*c),
        u64::from_ne_bytes(*d),
    ])
}

/// Not 0 if a byte of the word is 0 (Hacker's Delight, 6-1).
#[inline(always)]
fn zero_bytes(word: u64) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    word.wrapping_sub(LOW) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_wherever_it_is() {
        for len in 0..100 {
            for at in 0..len {
                let mut bytes = vec![b'\x80'; len];
                bytes[at] = b'\n';
                bytes[len - 1] = b'\n';
                assert_eq!(find(b'\n', &bytes), Some(at));
                assert_eq!(find(b'\n', &bytes[..at]), None);
            }
        }
    }

    #[test]
    fn prefixes_end_where_bytes_differ() {
        let a: Vec<u8> = (0..100).collect();
        for at in 0..100 {
            let mut b = a.clone();
            b[at] ^= 0x80;
            assert_eq!(common_prefix(&a, &b), at);
            assert_eq!(common_prefix(&a[..at], &a), at);
        }
    }
}
