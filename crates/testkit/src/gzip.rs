//! A gzip stream of zeros, made by hand: the bomb that a receiver may answer with.
//!
//! One block with fixed Huffman codes (RFC 1951): a literal zero, then "copy 258 bytes from one back" as often as
//! needed. Each copy takes 13 bits, so a body unpacks to about 158 times its size.

/// What one copy unpacks to, the longest that DEFLATE has.
const COPY_BYTES: usize = 258;

/// A valid gzip stream that unpacks to at least `unpacked_bytes_min` zeros.
#[must_use]
pub fn gzip_bomb(unpacked_bytes_min: usize) -> Vec<u8> {
    let copies = unpacked_bytes_min.div_ceil(COPY_BYTES);
    let unpacked = 1 + copies * COPY_BYTES;
    // Magic, method "deflate", no flags, no time, no extra flags, unknown system.
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut bits = Bits::default();
    bits.push(&mut out, 0b011, 3); // last block, fixed codes (both fields are sent low bit first)
    bits.push_code(&mut out, 0b0011_0000, 8); // literal 0
    for _ in 0..copies {
        bits.push_code(&mut out, 0b1100_0101, 8); // length symbol 285: 258 bytes
        bits.push_code(&mut out, 0, 5); // distance symbol 0: one back
    }
    bits.push_code(&mut out, 0, 7); // end of block
    bits.flush(&mut out);
    out.extend_from_slice(&crc32_of_zeros(unpacked).to_le_bytes());
    out.extend_from_slice(&u32::try_from(unpacked & 0xffff_ffff).expect("masked to 32 bits").to_le_bytes());
    out
}

/// Bits that do not fill a byte yet.
#[derive(Default)]
struct Bits {
    pending: u32,
    count: u32,
}

impl Bits {
    /// Adds `count` bits, the lowest first.
    fn push(&mut self, out: &mut Vec<u8>, value: u32, count: u32) {
        self.pending |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            out.push(self.pending.to_le_bytes()[0]);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// Adds a Huffman code, which goes highest bit first.
    fn push_code(&mut self, out: &mut Vec<u8>, code: u32, count: u32) {
        self.push(out, code.reverse_bits() >> (32 - count), count);
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if self.count > 0 {
            self.push(out, 0, 8 - self.count);
        }
    }
}

/// The reflected CRC-32 of gzip (RFC 1952) over `count` zero bytes.
fn crc32_of_zeros(count: usize) -> u32 {
    let mut table = [0_u32; 256];
    for (index, entry) in (0_u32..).zip(table.iter_mut()) {
        *entry = (0..8).fold(index, |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 });
    }
    !(0..count).fold(u32::MAX, |crc, _| table[usize::from(crc.to_le_bytes()[0])] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    #[test]
    fn the_crc_of_four_zeros_is_the_published_one() {
        assert_eq!(crc32_of_zeros(4), 0x2144_df1c);
    }

    #[test]
    fn gunzip_unpacks_the_bomb_to_zeros() {
        let bomb = gzip_bomb(100_000);
        assert!(bomb.len() < 1_000, "{} bytes", bomb.len());
        let mut gunzip = Command::new("gzip")
            .args(["-d", "-c"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("gzip is part of every Debian");
        gunzip.stdin.take().expect("a pipe").write_all(&bomb).expect("gzip reads");
        let output = gunzip.wait_with_output().expect("gzip ends");
        assert!(output.status.success(), "gzip accepts the checksum and length");
        assert!(output.stdout.len() >= 100_000 && output.stdout.iter().all(|byte| *byte == 0));
    }
}
