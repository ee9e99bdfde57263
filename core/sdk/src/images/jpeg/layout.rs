//! The scans of a JPEG file: where they end, and how many of the coefficients they complete.

use std::ops::RangeInclusive;

/// Markers (ITU-T T.81, table B.1).
const PROGRESSIVE: u8 = 0xC2;
const RESTART: RangeInclusive<u8> = 0xD0..=0xD7;
const END: u8 = 0xD9;
const SCAN: u8 = 0xDA;
const RESTART_INTERVAL: u8 = 0xDD;
/// Coefficients of a block.
const BLOCK: usize = 64;
/// The most segments that are looked at.
const MAX_SEGMENTS: usize = 1 << 12;

/// What the markers of a file say.
#[derive(Default)]
pub(super) struct Layout {
    pub(super) progressive: bool,
    /// The number of scans.
    pub(super) scans: usize,
    /// Where the end mark stands; the length of a file without one.
    pub(super) end: usize,
    /// True if there is an end mark. Thumbnails in the head have end marks of their own.
    pub(super) has_end: bool,
    /// Where coded data end at a marker, for those markers that the decoder also finds behind other bytes.
    pub(super) seams: Vec<usize>,
    /// The lines up to the first lost part, of a file that lacks parts between restart markers.
    pub(super) lines: Option<usize>,
    /// Blocks of all components that are coded together, from one restart marker to the next; 0 without such markers.
    interval: usize,
    width: usize,
    height: usize,
    components: Vec<Component>,
}

/// A colour component.
struct Component {
    id: u8,
    /// Blocks in a group of blocks, horizontally and vertically.
    blocks: [usize; 2],
    /// For each coefficient, how many of its low bits no scan had so far; all of them before its first scan.
    missing: [u8; BLOCK],
}

/// A scan: its components, its coefficients, and how many of their low bits it leaves out.
struct Scan<'a> {
    components: &'a [u8],
    band: RangeInclusive<usize>,
    left_out: u8,
}

/// A marker, and where its first byte (of fill bytes, if there are any) and its last one stand.
#[derive(Clone, Copy)]
struct Marker {
    code: u8,
    first: usize,
    last: usize,
}

impl Layout {
    pub(super) fn of(bytes: &[u8]) -> Layout {
        let mut layout = Layout { end: bytes.len(), ..Layout::default() };
        let mut next = Marker::at_or_after(bytes, 2);
        for _ in 0..MAX_SEGMENTS {
            let Some(marker) = next else { break };
            if marker.code == END && layout.scans > 0 {
                (layout.end, layout.has_end) = (marker.first, true);
                break;
            }
            let Some(segment) = marker.segment(bytes) else { break };
            let after = marker.last + 1 + segment.len();
            next = match marker.code {
                SCAN => layout.scan(&Scan::of(segment, layout.progressive), bytes, after),
                _ => Marker::at_or_after(bytes, after),
            };
            match marker.code {
                RESTART_INTERVAL => layout.interval = u16_at(segment, 2),
                // The frame: all but the codes of Huffman tables, arithmetic conditioning and a reserved marker.
                0xC0..=0xCF if ![0xC4, 0xC8, 0xCC].contains(&marker.code) => layout.frame(marker.code, segment),
                _ => {}
            }
        }
        layout
    }

    /// The number of coefficients of all components, and of those that the scans complete.
    pub(super) fn coefficients(&self) -> (usize, usize) {
        let missing = self.components.iter().flat_map(|component| component.missing);
        (missing.clone().count(), missing.filter(|bits| *bits == 0).count())
    }

    fn frame(&mut self, code: u8, segment: &[u8]) {
        self.progressive = code == PROGRESSIVE;
        // Before the components come the length of the segment, precision, height, width, and their number.
        (self.height, self.width) = (u16_at(segment, 3), u16_at(segment, 5));
        let components = segment.get(8..).unwrap_or_default().chunks_exact(3).map(|part| {
            let blocks = [part[1] >> 4, part[1] & 0xF].map(|blocks| usize::from(blocks.max(1)));
            Component { id: part[0], blocks, missing: [u8::MAX; BLOCK] }
        });
        self.components = components.collect();
    }

    /// Adds a scan whose coded data begin at `begin`. Returns the marker behind them.
    fn scan(&mut self, scan: &Scan<'_>, bytes: &[u8], begin: usize) -> Option<Marker> {
        self.scans += 1;
        for component in self.components.iter_mut().filter(|component| scan.has(component)) {
            let band = component.missing.get_mut(scan.band.clone());
            band.into_iter().flatten().for_each(|missing| *missing = scan.left_out);
        }
        let before = self.seams.len();
        let next = self.coded(bytes, begin);
        let restarts = self.seams[before..].iter().filter(|seam| Some(**seam) != next.map(|next| next.first)).count();
        let [columns, rows] = self.groups(scan);
        if self.interval > 0 && (restarts + 1) * self.interval < columns * rows {
            let lines = (restarts + 1) * self.interval / columns * self.height / rows;
            self.lines = Some(self.lines.map_or(lines, |known| known.min(lines)));
        }
        next
    }

    /// The groups of blocks of a scan, horizontally and vertically: single blocks if it has one component.
    fn groups(&self, scan: &Scan<'_>) -> [usize; 2] {
        let most = |axis: usize| self.components.iter().map(|component| component.blocks[axis]).max().unwrap_or(1);
        let mut own = self.components.iter().filter(|component| scan.has(component));
        let alone = own.next().filter(|_| own.next().is_none());
        let groups = |side: usize, axis: usize| match alone {
            Some(component) => (side * component.blocks[axis]).div_ceil(8 * most(axis)),
            None => side.div_ceil(8 * most(axis)),
        };
        [groups(self.width, 0).max(1), groups(self.height, 1).max(1)]
    }

    /// Passes over coded data. Returns the marker behind them.
    fn coded(&mut self, bytes: &[u8], begin: usize) -> Option<Marker> {
        let mut next = Marker::at_or_after(bytes, begin);
        while let Some(marker) = next {
            if RESTART.contains(&marker.code) {
                self.seams.push(marker.first);
            } else if marker.code != 0 {
                // Behind the other scans, the decoder expects the marker at once.
                if marker.code == END || self.progressive && self.scans > 1 {
                    self.seams.push(marker.first);
                }
                return next;
            }
            next = Marker::at_or_after(bytes, marker.last + 1);
        }
        None
    }
}

impl Marker {
    /// The next marker, or the next byte 0xFF of coded data, whose code is 0.
    fn at_or_after(bytes: &[u8], begin: usize) -> Option<Marker> {
        let first = begin + bytes.get(begin..)?.iter().position(|byte| *byte == 0xFF)?;
        let last = first + bytes[first..].iter().position(|byte| *byte != 0xFF)?;
        Some(Marker { code: bytes[last], first, last })
    }

    /// What follows the marker, beginning with its length.
    fn segment(self, bytes: &[u8]) -> Option<&[u8]> {
        let rest = bytes.get(self.last + 1..)?;
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        rest.get(..length)
    }
}

impl Scan<'_> {
    fn has(&self, component: &Component) -> bool {
        self.components.chunks_exact(2).any(|part| part[0] == component.id)
    }

    fn of(segment: &[u8], progressive: bool) -> Scan<'_> {
        let length = 2 * usize::from(segment.get(2).copied().unwrap_or(0));
        let components = segment.get(3..3 + length).unwrap_or_default();
        match segment.get(3 + length..) {
            Some(&[first, last, bits, ..]) if progressive => {
                Scan { components, band: first.into()..=usize::from(last).min(BLOCK - 1), left_out: bits & 0xF }
            }
            // All coefficients, whatever these bytes say.
            _ => Scan { components, band: 0..=BLOCK - 1, left_out: 0 },
        }
    }
}

/// The number at a place of a segment; 0 behind its end.
fn u16_at(segment: &[u8], at: usize) -> usize {
    let bytes = segment.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u16::from_be_bytes(*bytes).into())
}
