//! Whether the image data of a JPEG file are complete.
//!
//! The decoder fills what is missing with gray and says nothing. Here the entropy-coded data are read once more, without
//! computing pixels: every block of every scan must be there, and the scans of a progressive file must refine every
//! coefficient to its last bit. A missing end mark (EOI) after complete data is harmless.
//!
//! ITU-T T.81 (1992), annexes B, F and G, <https://www.w3.org/Graphics/JPEG/itu-t81.pdf>.

/// Why entropy-coded data cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// They end, at a marker or at the end of the file.
    End,
    /// They have a code that no table has, or a place beyond a block.
    Damaged,
}

/// A Huffman table: how many codes of each length there are, and their symbols.
struct Codes {
    /// Length and symbol of the code that 8 bits start with; length 0 if it is longer.
    short: Vec<(u8, u8)>,
    /// For each length: the first code beyond those of this length, and the index of the symbol of code 0.
    last: [(i32, i32); 17],
    symbols: Vec<u8>,
}

impl Codes {
    fn new(counts: &[u8], symbols: &[u8]) -> Option<Self> {
        let (mut code, mut index) = (0i32, 0i32);
        let mut last = [(0, 0); 17];
        let mut short = vec![(0, 0); 256];
        for length in 1..=16usize {
            let count = i32::from(counts[length - 1]);
            last[length] = (code + count, index - code);
            if code + count > 1 << length {
                return None;
            }
            for i in 0..count {
                if length <= 8 {
                    let symbol = *symbols.get((index + i) as usize)?;
                    let from = ((code + i) as usize) << (8 - length);
                    short[from..from + (1 << (8 - length))].fill((length as u8, symbol));
                }
            }
            index += count;
            code = (code + count) << 1;
        }
        (symbols.len() >= index as usize).then(|| Self { short, last, symbols: symbols.to_vec() })
    }
}

/// Bits of entropy-coded data, up to the next marker.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            if byte == 0xff {
                if self.bytes.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    fn take(&mut self, bits: u32) -> Result<u32, Stop> {
        if self.count < bits {
            self.fill();
        }
        if self.count < bits {
            return Err(Stop::End);
        }
        self.count -= bits;
        Ok((self.held >> self.count) as u32 & ((1 << bits) - 1))
    }

    fn symbol(&mut self, codes: &Codes) -> Result<u8, Stop> {
        if self.count < 16 {
            self.fill();
        }
        if self.count >= 8 {
            let (length, symbol) = codes.short[(self.held >> (self.count - 8)) as usize & 0xff];
            if length > 0 {
                self.count -= u32::from(length);
                return Ok(symbol);
            }
        }
        let mut code = 0;
        for length in 1..=16 {
            code = code << 1 | self.take(1)? as i32;
            let (end, base) = codes.last[length];
            if code < end {
                return codes.symbols.get((code + base) as usize).copied().ok_or(Stop::Damaged);
            }
        }
        Err(Stop::Damaged)
    }

    /// Goes to the restart marker that must come next.
    fn restart(&mut self) -> Result<(), Stop> {
        (self.held, self.count) = (0, 0);
        while let Some(&byte) = self.bytes.get(self.at) {
            match (byte, self.bytes.get(self.at + 1)) {
                (0xff, Some(0xd0..=0xd7)) => {
                    self.at += 2;
                    return Ok(());
                }
                (0xff, Some(0)) => self.at += 2,
                (0xff, Some(0xff)) => self.at += 1,
                (0xff, _) => return Err(Stop::End),
                _ => self.at += 1,
            }
        }
        Err(Stop::End)
    }
}

/// A component of a frame.
struct Component {
    id: u8,
    /// Horizontal and vertical sampling factors.
    sampling: [usize; 2],
    /// Blocks across and down, of the image alone.
    blocks: [usize; 2],
    /// Blocks across in whole units (MCUs).
    stride: usize,
    /// For each block the coefficients that are not zero, of a progressive frame.
    set: Vec<u64>,
    /// For each coefficient the bits that are still missing; more than 16 if it was not in any scan.
    missing: [u8; 64],
}

struct Frame {
    progressive: bool,
    components: Vec<Component>,
    /// Units (MCUs) across and down.
    units: [usize; 2],
}

/// The number of bits that are missing before the first scan of a coefficient.
const NONE: u8 = 255;

/// Checks that the image data are complete.
///
/// # Errors
/// What is missing. Files that this does not understand are accepted: the decoder reports what it does not support.
pub(super) fn complete(bytes: &[u8]) -> Result<(), String> {
    let mut tables: [[Option<Codes>; 4]; 2] = Default::default();
    let (mut frame, mut interval, mut scans, mut at) = (None::<Frame>, 0, 0, 2);
    while let Some(marker) = next_marker(bytes, &mut at) {
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            continue;
        }
        if marker == 0xd9 {
            break;
        }
        let Some(length) = bytes.get(at..at + 2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]]))) else { break };
        let Some(segment) = bytes.get(at + 2..(at + length).max(at + 2)) else { break };
        at += length.max(2);
        match marker {
            0xc0..=0xc2 if frame.is_none() => match read_frame(segment, marker == 0xc2) {
                Some(read) => frame = Some(read),
                None => return Ok(()),
            },
            0xc4 if read_tables(segment, &mut tables).is_none() => return Ok(()),
            0xc4 => {}
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcf => return Ok(()),
            0xdd => interval = segment.get(..2).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]]))),
            0xda => {
                let Some(frame) = &mut frame else { return Ok(()) };
                let Some(scan) = Scan::read(segment, frame) else { return Ok(()) };
                scans += 1;
                let mut bits = Bits { bytes, at, held: 0, count: 0 };
                match scan.walk(frame, &tables, interval, &mut bits) {
                    None => return Ok(()),
                    Some(Ok(())) => {}
                    Some(Err((stop, done, all))) => {
                        let percent = 100 * done / all.max(1);
                        return Err(match stop {
                            Stop::End => format!(
                                "its image data are cut off in scan {scans}, after {percent} % of it (at byte {})",
                                bits.at
                            ),
                            Stop::Damaged => format!(
                                "its image data are damaged in scan {scans}, after {percent} % of it (near byte {})",
                                bits.at
                            ),
                        });
                    }
                }
                at = bits.at;
            }
            _ => {}
        }
    }
    let Some(frame) = frame else { return Ok(()) };
    let missing = frame.components.iter().any(|component| component.missing.iter().any(|&bits| bits > 0));
    match (missing, scans) {
        (false, _) => Ok(()),
        (true, 0) => Err(format!("it ends before its image data (at byte {})", at.min(bytes.len()))),
        (true, _) => Err(format!(
            "it is cut off after scan {scans}: later ones, with the details of the image, are missing (at byte {})",
            at.min(bytes.len())
        )),
    }
}

/// The next marker; `at` is then after it.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let pair = bytes.get(*at..*at + 2)?;
        match pair {
            [0xff, 0xff] => *at += 1,
            [0xff, marker] if *marker != 0 => {
                *at += 2;
                return Some(*marker);
            }
            _ => *at += 1,
        }
    }
}

fn read_frame(segment: &[u8], progressive: bool) -> Option<Frame> {
    let word = |at: usize| Some(usize::from(u16::from_be_bytes([*segment.get(at)?, *segment.get(at + 1)?])));
    let (height, width, count) = (word(1)?, word(3)?, usize::from(*segment.get(5)?));
    let factors: Vec<(u8, usize, usize)> = segment
        .get(6..6 + 3 * count)?
        .chunks_exact(3)
        .map(|c| (c[0], usize::from(c[1] >> 4), usize::from(c[1] & 15)))
        .collect();
    let (across, down) = (factors.iter().map(|f| f.1).max()?, factors.iter().map(|f| f.2).max()?);
    if height == 0
        || width == 0
        || count > 4
        || factors.iter().any(|&(_, h, v)| !(1..=4).contains(&h) || !(1..=4).contains(&v))
    {
        return None;
    }
    let units = [width.div_ceil(8 * across), height.div_ceil(8 * down)];
    let component = |&(id, h, v): &(u8, usize, usize)| Component {
        id,
        sampling: [h, v],
        blocks: [(width * h).div_ceil(across).div_ceil(8), (height * v).div_ceil(down).div_ceil(8)],
        stride: units[0] * h,
        set: if progressive { vec![0; units[0] * h * units[1] * v] } else { Vec::new() },
        missing: [NONE; 64],
    };
    Some(Frame { progressive, components: factors.iter().map(component).collect(), units })
}

fn read_tables(mut segment: &[u8], tables: &mut [[Option<Codes>; 4]; 2]) -> Option<()> {
    while !segment.is_empty() {
        let (class, id) = (usize::from(segment[0] >> 4), usize::from(segment[0] & 15));
        let counts = segment.get(1..17)?;
        let symbols = counts.iter().map(|&count| usize::from(count)).sum::<usize>();
        let table = Codes::new(counts, segment.get(17..17 + symbols)?)?;
        *tables.get_mut(class)?.get_mut(id)? = Some(table);
        segment = &segment[17 + symbols..];
    }
    Some(())
}

/// A scan: the components, their tables for DC and AC, and which bits of which coefficients it holds.
struct Scan {
    parts: Vec<(usize, usize, usize)>,
    from: usize,
    to: usize,
    high: u8,
    low: u8,
}

impl Scan {
    fn read(segment: &[u8], frame: &Frame) -> Option<Self> {
        let count = usize::from(*segment.first()?);
        let parts = segment.get(1..1 + 2 * count)?.chunks_exact(2).map(|pair| {
            let component = frame.components.iter().position(|component| component.id == pair[0])?;
            Some((component, usize::from(pair[1] >> 4), usize::from(pair[1] & 15)))
        });
        let parts: Vec<_> = parts.collect::<Option<_>>()?;
        let rest = segment.get(1 + 2 * count..4 + 2 * count)?;
        let (from, to) = (usize::from(rest[0]), usize::from(rest[1]));
        let (high, low) = if frame.progressive { (rest[2] >> 4, rest[2] & 15) } else { (0, 0) };
        let (from, to) = if frame.progressive { (from, to) } else { (0, 63) };
        let one_kind = !frame.progressive || from == 0 && to == 0 || from > 0 && count == 1;
        (count > 0 && from <= to && to < 64 && one_kind).then_some(Self { parts, from, to, high, low })
    }

    /// Reads the scan; `None` if it uses a table that is not there. An error has the number of units read and of all.
    fn walk(
        &self,
        frame: &mut Frame,
        tables: &[[Option<Codes>; 4]; 2],
        interval: usize,
        bits: &mut Bits,
    ) -> Option<Result<(), (Stop, usize, usize)>> {
        let table = |class: usize, id: usize| tables[class].get(id)?.as_ref();
        let needs = |class: usize| match (frame.progressive, class) {
            (false, _) => true,
            (true, 0) => self.from == 0 && self.high == 0,
            (true, _) => self.from > 0,
        };
        for &(_, dc, ac) in &self.parts {
            if needs(0) && table(0, dc).is_none() || needs(1) && table(1, ac).is_none() {
                return None;
            }
        }
        let single = self.parts.len() == 1;
        let [across, down] = if single { frame.components[self.parts[0].0].blocks } else { frame.units };
        let (all, mut run) = (across * down, 0u32);
        for unit in 0..all {
            if interval > 0 && unit > 0 && unit % interval == 0 {
                run = 0;
                if let Err(stop) = bits.restart() {
                    return Some(Err((stop, unit, all)));
                }
            }
            for &(index, dc, ac) in &self.parts {
                let component = &mut frame.components[index];
                let [h, v] = if single { [1, 1] } else { component.sampling };
                for block in 0..h * v {
                    let (x, y) = (unit % across * h + block % h, unit / across * v + block / h);
                    let read = if frame.progressive {
                        let set = &mut component.set[y * component.stride + x];
                        self.progressive(bits, [table(0, dc), table(1, ac)], set, &mut run)
                    } else {
                        sequential(bits, table(0, dc)?, table(1, ac)?)
                    };
                    if let Err(stop) = read {
                        return Some(Err((stop, unit, all)));
                    }
                }
            }
        }
        for &(index, ..) in &self.parts {
            frame.components[index].missing[self.from..=self.to].fill(self.low);
        }
        Some(Ok(()))
    }

    /// A block of a progressive scan (annex G); `run` is the number of blocks that are still to be skipped.
    fn progressive(
        &self,
        bits: &mut Bits,
        tables: [Option<&Codes>; 2],
        set: &mut u64,
        run: &mut u32,
    ) -> Result<(), Stop> {
        let [dc, ac] = tables;
        if self.from == 0 {
            return match (self.high, dc) {
                (0, Some(codes)) => {
                    let size = bits.symbol(codes)?;
                    bits.take(u32::from(size.min(16))).map(drop)
                }
                _ => bits.take(1).map(drop),
            };
        }
        let Some(codes) = ac else { return Err(Stop::Damaged) };
        let mut k = self.from;
        let refines = self.high > 0;
        while *run == 0 && k <= self.to {
            let symbol = bits.symbol(codes)?;
            let (mut zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 && zeros < 15 {
                *run = (1 << zeros) + bits.take(zeros as u32)?;
                break;
            }
            bits.take(size)?;
            // Goes over `zeros` coefficients that are zero, to the next one that is; each other one has a bit of its own.
            loop {
                if k > self.to {
                    if size > 0 {
                        return Err(Stop::Damaged);
                    }
                    break;
                }
                if refines && *set >> k & 1 == 1 {
                    bits.take(1)?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
            if k <= self.to && size > 0 {
                *set |= 1 << k;
            }
            k += 1;
        }
        if *run > 0 {
            if refines {
                for k in k..=self.to {
                    if *set >> k & 1 == 1 {
                        bits.take(1)?;
                    }
                }
            }
            *run -= 1;
        }
        Ok(())
    }
}

/// A block of a sequential scan (annex F).
fn sequential(bits: &mut Bits, dc: &Codes, ac: &Codes) -> Result<(), Stop> {
    let size = bits.symbol(dc)?;
    bits.take(u32::from(size.min(16)))?;
    let mut k = 1;
    while k < 64 {
        let symbol = bits.symbol(ac)?;
        let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (size, zeros) {
            (0, 15) => k += 16,
            (0, _) => break,
            _ => {
                k += zeros + 1;
                if k > 64 {
                    return Err(Stop::Damaged);
                }
                bits.take(size)?;
            }
        }
    }
    Ok(())
}
