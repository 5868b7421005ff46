//! Text in pictures, in the glyphs of GNU Unifont, which cover the Basic Multilingual Plane of Unicode (by Roman Czyborra,
//! Paul Hardy and others, under the SIL Open Font License 1.1).
//!
//! A character is 16 pixels high and 8 or, as those of Chinese, Japanese and Korean, 16 wide. Characters outside that
//! plane, such as emoji, are written as their code points, `U+1F600`. Text from right to left is reversed; letters are
//! not joined.
use image::{Rgb, RgbImage};

/// Height of a line in pixels.
pub(super) const LINE: usize = 16;
/// Width of a column in pixels; a wide character takes two columns.
pub(super) const COLUMN: usize = 8;
/// Most columns of a line.
const MOST: usize = 24;

/// The side or middle of a text that is at a given x.
#[derive(Clone, Copy)]
pub(super) enum Align {
    Center,
    Right,
}

/// A text broken into lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Label(Vec<Vec<char>>);

impl Label {
    /// The text in at most `lines` lines of at most [`MOST`] columns: broken at spaces, hyphens and underscores, or
    /// within a word that is longer. Of a text that needs more lines, the beginning and the end are shown.
    pub fn new(text: &str, lines: usize) -> Self {
        let letters = spelled(text);
        let mut rows = broken(&letters);
        if rows.len() > lines {
            rows.truncate(lines.max(1) - 1);
            let ellipsis = '…';
            // One line for both ends, if there is no other.
            let head: Vec<char> = match rows.is_empty() {
                true => first(&letters, (MOST - 1) / 2).to_vec(),
                false => Vec::new(),
            };
            let tail = last(&letters, MOST - columns(&head) - columns(&[ellipsis]));
            rows.push(head.into_iter().chain([ellipsis]).chain(tail.iter().copied()).collect());
        }
        Self(rows)
    }

    /// Number of columns of the longest line.
    pub fn columns(&self) -> usize {
        self.0.iter().map(|row| columns(row)).max().unwrap_or(0)
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.0.len() * LINE
    }

    /// Draws the lines with the top at `y`, aligned at `x`, in black or white, whichever has more contrast with the
    /// background.
    pub fn draw(&self, canvas: &mut RgbImage, background: [u8; 3], [x, y]: [usize; 2], align: Align) {
        let [r, g, b] = background.map(u32::from);
        let ink = Rgb(if 2 * r + 5 * g + b > 1024 { [0; 3] } else { [255; 3] });
        for (line, row) in self.0.iter().enumerate() {
            let width = columns(row) * COLUMN;
            let mut left = match align {
                Align::Center => x.saturating_sub(width / 2),
                Align::Right => x.saturating_sub(width),
            };
            let mut before = 0;
            for letter in visual(row) {
                let Some(glyph) = unifont::get_glyph(letter) else { continue };
                let wide = glyph.get_width();
                // A mark that combines with the character before it is drawn over it.
                let at = if combines(letter) { left.saturating_sub((before + wide) / 2) } else { left };
                for (i, j) in (0..LINE).flat_map(|i| (0..wide).map(move |j| (i, j))) {
                    if glyph.get_pixel(j, i)
                        && let Some(pixel) = canvas.get_pixel_mut_checked((at + j) as u32, (y + line * LINE + i) as u32)
                    {
                        *pixel = ink;
                    }
                }
                if !combines(letter) {
                    (left, before) = (left + wide, wide);
                }
            }
        }
    }
}

/// The characters that are drawn of a text: a space for those that are blank, a code point for those without a glyph.
fn spelled(text: &str) -> Vec<char> {
    let mut letters = Vec::new();
    for letter in text.trim().chars() {
        match letter {
            _ if letter.is_whitespace() || letter.is_control() => letters.push(' '),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => {}
            '\u{fe00}'..='\u{fe0f}' => {}
            _ if unifont::get_glyph(letter).is_some() => letters.push(letter),
            _ => letters.extend(format!("U+{:04X}", u32::from(letter)).chars()),
        }
    }
    letters
}

/// Whether a character is drawn over the one before it.
fn combines(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{65f}'
        | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' | '\u{20d0}'..='\u{20f0}' | '\u{3099}'..='\u{309a}')
}

fn columns(letters: &[char]) -> usize {
    let one = |letter: &char| match unifont::get_glyph(*letter) {
        Some(glyph) if !combines(*letter) => glyph.get_width() / COLUMN,
        _ => 0,
    };
    letters.iter().map(one).sum()
}

/// The longest beginning of at most this many columns.
fn first(letters: &[char], most: usize) -> &[char] {
    let count = (0..=letters.len()).rev().find(|&n| columns(&letters[..n]) <= most).unwrap_or(0);
    &letters[..count]
}

/// The longest end of at most this many columns.
fn last(letters: &[char], most: usize) -> &[char] {
    let from = (0..=letters.len()).find(|&n| columns(&letters[n..]) <= most).unwrap_or(letters.len());
    &letters[from..]
}

/// The lines of a text.
fn broken(letters: &[char]) -> Vec<Vec<char>> {
    let mut rows = Vec::new();
    let mut rest = letters;
    while columns(rest) > MOST {
        let fits = first(rest, MOST).len();
        // After the last character at which a line may end; at a space, which then is not drawn, also before it.
        let ends = |i: &usize| matches!(rest[*i - 1], ' ' | '_' | '-' | '/' | ',') || rest.get(*i) == Some(&' ');
        let end = (1..=fits).rev().find(ends).unwrap_or(fits).max(1);
        rows.push(trimmed(&rest[..end]).to_vec());
        rest = trimmed(&rest[end..]);
    }
    if !rest.is_empty() {
        rows.push(rest.to_vec());
    }
    rows
}

fn trimmed(letters: &[char]) -> &[char] {
    let from = letters.iter().position(|c| *c != ' ').unwrap_or(letters.len());
    let to = letters.iter().rposition(|c| *c != ' ').map_or(from, |i| i + 1);
    &letters[from..to]
}

/// The characters from left to right: each run of letters from right to left, as of Hebrew and Arabic, is reversed.
fn visual(row: &[char]) -> Vec<char> {
    let leftward = |c: &char| matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}');
    let mut out = row.to_vec();
    let mut i = 0;
    while i < out.len() {
        let Some(start) = (i..out.len()).find(|&k| leftward(&out[k])) else { break };
        // The run includes spaces between such letters.
        let run = (start..out.len()).take_while(|&k| leftward(&out[k]) || out[k] == ' ' || combines(out[k]));
        let end = run.filter(|&k| leftward(&out[k])).max().unwrap_or(start) + 1;
        // Marks stay behind the letters that they combine with.
        let mut clusters: Vec<Vec<char>> = Vec::new();
        for letter in &out[start..end] {
            match clusters.last_mut() {
                Some(cluster) if combines(*letter) => cluster.push(*letter),
                _ => clusters.push(vec![*letter]),
            }
        }
        let reversed: Vec<char> = clusters.into_iter().rev().flatten().collect();
        out[start..end].copy_from_slice(&reversed);
        i = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, most: usize) -> Vec<String> {
        Label::new(text, most).0.into_iter().map(|row| row.into_iter().collect()).collect()
    }

    #[test]
    fn long_names_are_wrapped_and_only_very_long_ones_lose_their_middle() {
        assert_eq!(lines("dog", 3), ["dog"]);
        assert_eq!(lines("a domesticated short-haired cat", 3), ["a domesticated short-", "haired cat"]);
        assert_eq!(lines(&"x".repeat(30), 3), ["x".repeat(24), "x".repeat(6)]);
        assert_eq!(lines("名前の長いクラスです、とても", 3), ["名前の長いクラスです、と", "ても"]);
        let (one, two) = ("n".repeat(100) + "1", "n".repeat(100) + "2");
        assert_eq!(lines(&one, 3).len(), 3);
        assert_ne!(lines(&one, 3), lines(&two, 3), "the ends are shown");
        assert_eq!(lines(&one, 1), ["nnnnnnnnnnn…nnnnnnnnnnn1"]);
        for text in [one.as_str(), "", " ", "a\tb\nc", "-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-"] {
            for most in 1..5 {
                let label = Label::new(text, most);
                assert!(label.columns() <= MOST && label.height() <= most * LINE, "{label:?}");
            }
        }
    }

    #[test]
    fn every_script_of_the_basic_plane_has_its_own_glyphs_and_emoji_their_code_points() {
        let picture = |text: &str| {
            let mut canvas = RgbImage::from_pixel(240, 16, Rgb([255; 3]));
            Label::new(text, 1).draw(&mut canvas, [255; 3], [240, 0], Align::Right);
            canvas.into_raw()
        };
        let names =
            ["", "名前", "кошка", "γάτα", "고양이", "חתול", "قطة", "แมว", "बिल्ली", "??", "か", "が", "か\u{3099}"];
        let all = names.map(picture);
        for i in 0..names.len() {
            assert!((0..i).all(|j| all[i] != all[j]), "{} looks like another name", names[i]);
        }
        assert_eq!(lines("😀 x", 1), ["U+1F600 x"]);
        // A decomposed letter takes the room of one.
        assert_eq!(Label::new("e\u{301}", 1).columns(), 1);
        assert_eq!(visual(&"ab אבג דה c".chars().collect::<Vec<_>>()).into_iter().collect::<String>(), "ab הד גבא c");
    }
}
