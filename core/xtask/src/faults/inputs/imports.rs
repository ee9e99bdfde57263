//! Corrupt tables and archives: tar, CSV, JSON lines, idx.

use super::change;
use crate::random::Random;

/// Block size of tar.
const BLOCK: usize = 512;

/// A corrupt file, its extension, and a description.
pub fn hostile(random: &mut Random) -> (Vec<u8>, &'static str, String) {
    match random.below(5) {
        0 => with("tar", tar(random)),
        1 => with("tar.gz", bomb(random)),
        2 => with("csv", csv(random)),
        3 => with("jsonl", lines(random)),
        _ => with("idx3-ubyte", idx(random)),
    }
}

fn with(ending: &'static str, (bytes, description): (Vec<u8>, String)) -> (Vec<u8>, &'static str, String) {
    (bytes, ending, description)
}

/// A member of a tar archive, with the length that its header claims.
struct Member<'a> {
    name: &'a str,
    kind: u8,
    link: &'a str,
    claim: u64,
    bytes: &'a [u8],
}

impl Member<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut head = [0u8; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name.as_bytes()[..self.name.len().min(100)]);
        put(100, b"0000644\0");
        put(124, format!("{:011o}\0", self.claim & 0o77_777_777_777).as_bytes());
        put(136, b"00000000000\0");
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, &self.link.as_bytes()[..self.link.len().min(100)]);
        put(257, b"ustar\x0000");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend(head);
        out.extend(self.bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
}

fn tar(random: &mut Random) -> (Vec<u8>, String) {
    let good = Member { name: "000.txt", kind: b'0', link: "", claim: 5, bytes: b"hello" };
    let hostile = [
        ("a name above", Member { name: "../../escaped.txt", ..good }),
        ("an absolute name", Member { name: "/etc/escaped.txt", ..good }),
        ("a symbolic link", Member { name: "001.txt", kind: b'2', link: "/etc/passwd", claim: 0, bytes: b"" }),
        ("a hard link", Member { name: "001.txt", kind: b'1', link: "000.txt", claim: 0, bytes: b"" }),
        ("a device", Member { name: "001.txt", kind: b'3', ..good }),
        ("8 GiB claimed", Member { name: "001.txt", claim: (8 << 30) - 1, ..good }),
        ("a long name of 8 GiB", Member { name: "././@LongLink", kind: b'L', claim: (8 << 30) - 1, ..good }),
        ("a header of 1 GiB", Member { name: "x", kind: b'x', claim: 1 << 30, ..good }),
        ("no name", Member { name: "", ..good }),
        ("an escape sequence", Member { name: "\x1b[2J.txt", ..good }),
    ];
    let mut bytes = Vec::new();
    good.write(&mut bytes);
    let (description, member) = random.of_all(&hostile);
    member.write(&mut bytes);
    bytes.extend([0; 2 * BLOCK]);
    match random.below(3) {
        0 => {
            let (bytes, how) = change::bytes(&bytes, random);
            (bytes, format!("{description}; {how}"))
        }
        _ => (bytes, (*description).into()),
    }
}

/// An archive of a few kilobytes with a member that unpacks to gigabytes.
fn bomb(random: &mut Random) -> (Vec<u8>, String) {
    let size = *random.of_all(&[1usize << 30, 3 << 30, 2 << 30]);
    let mut head = Vec::new();
    Member { name: "000.txt", kind: b'0', link: "", claim: size as u64, bytes: b"" }.write(&mut head);
    let write = || -> std::io::Result<Vec<u8>> {
        use std::io::Write;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&head)?;
        // A third of the claimed size is enough to detect a reader that keeps it all.
        let zeros = vec![0; 1 << 20];
        for _ in 0..(size / 3) >> 20 {
            packed.write_all(&zeros)?;
        }
        packed.finish()
    };
    (write().unwrap_or_default(), format!("a member of {size} bytes, packed"))
}

fn csv(random: &mut Random) -> (Vec<u8>, String) {
    let texts: [(&str, String); 8] = [
        ("a name twice", "a,a,b\n1,2,3\n".into()),
        ("an open quote", format!("a,b\n\"{}", "x\n".repeat(100_000))),
        ("a line of 64 MB", format!("a\n{}\n", "x".repeat(64 << 20))),
        ("100,000 columns", format!("{}\n", (0..100_000).map(|n| format!("c{n},")).collect::<String>())),
        ("rows of other lengths", "a,b\n1\n1,2,3\n".into()),
        ("no header", String::new()),
        ("a zero byte", "a,b\n\0,\u{1b}[2J\n".into()),
        ("numbers that do not fit", "a\n1\n99999999999999999999999999\n1e999\n".into()),
    ];
    let (description, text) = random.of_all(&texts);
    if text.len() < 1 << 20 && random.below(4) == 0 {
        let (bytes, how) = change::bytes(text.as_bytes(), random);
        return (bytes, format!("{description}; {how}"));
    }
    (text.clone().into_bytes(), (*description).into())
}

fn lines(random: &mut Random) -> (Vec<u8>, String) {
    if random.below(8) == 0 {
        let columns = *random.of_all(&[5_000, 20_000, 200_000]);
        let separator = if random.below(2) == 0 { "," } else { "}}\n{\"a\":{" };
        let keys: Vec<String> = (0..columns).map(|key| format!("\"k{key}\":1")).collect();
        let text = format!("{{\"a\":{{{}}}}}\n", keys.join(separator));
        return (text.into_bytes(), format!("a record of {columns} columns"));
    }
    let good = b"{\"id\": 1, \"text\": \"a\", \"list\": [1, 2], \"inner\": {\"x\": 1.5}}";
    let (second, description) = change::json(good, random);
    ([&good[..], b"\n", &second, b"\n"].concat(), description)
}

fn idx(random: &mut Random) -> (Vec<u8>, String) {
    let claims: [[u32; 3]; 6] =
        [[u32::MAX; 3], [2, 1 << 16, 1 << 16], [1 << 31, 28, 28], [0, 0, 0], [2, 0, 28], [3, 28, 28]];
    let claim = random.of_all(&claims);
    let mut bytes = vec![0, 0, *random.of_all(&[8, 8, 8, 9, 0xff]), *random.of_all(&[3, 3, 3, 1, 255])];
    claim.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.resize(bytes.len() + 2 * 28 * 28, 7);
    (bytes, format!("{claim:?} are claimed"))
}
