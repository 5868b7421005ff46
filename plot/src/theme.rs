//! Light and dark themes, in colors that color-blind readers can tell apart.
use crate::figure::Color;
use serde::Serialize;

/// The theme of a picture: dark on light, or light on dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Dark on white.
    #[default]
    Light,
    /// Light on dark.
    Dark,
}

/// A color: red, green and blue from 0 to 255, and opacity from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rgba(pub u8, pub u8, pub u8, pub f64);

impl Rgba {
    /// The color with its opacity multiplied by a factor.
    pub fn fade(self, opacity: f64) -> Self {
        Self(self.0, self.1, self.2, self.3 * opacity)
    }

    /// The color with red, green and blue multiplied by a factor; below 1 it is darker.
    pub fn shade(self, by: f64) -> Self {
        let times = |c: u8| (f64::from(c) * by).round().clamp(0.0, 255.0) as u8;
        Self(times(self.0), times(self.1), times(self.2), self.3)
    }

    /// The color as `#rrggbb`, without opacity.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    const fn of(hex: u32) -> Self {
        Self((hex >> 16) as u8, (hex >> 8) as u8, hex as u8, 1.0)
    }
}

/// The colors of a theme, for the page.
#[derive(Clone, Debug, Serialize)]
pub struct Palette {
    /// Background of the page.
    pub paper: String,
    /// Background of the panels.
    pub ground: String,
    /// Text and labels.
    pub ink: String,
    /// Ticks and other secondary elements.
    pub muted: String,
    /// Grid lines.
    pub grid: String,
    /// Colors of series, in order.
    pub series: Vec<String>,
    /// Color scale from dark to bright, evenly spaced.
    pub scale: Vec<String>,
}

/// Okabe and Ito's colors, reordered, and darkened or lightened where their contrast with the background is too low.
const LIGHT: [u32; 7] = [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xC78500, 0x56B4E9, 0x6B4C9A];
const DARK: [u32; 7] = [0x5BB8F0, 0xFF8A4C, 0x2CC295, 0xE79AC6, 0xF2C14E, 0x9AD5F7, 0xB79CE8];

/// Sixteen colors of viridis, by van der Walt and Smith (CC0), whose lightness rises evenly, also when printed in gray.
const VIRIDIS: [u32; 16] = [
    0x440154, 0x481A6C, 0x472F7D, 0x414487, 0x39568C, 0x31688E, 0x2A788E, 0x23888E, 0x1F988B, 0x22A884, 0x35B779,
    0x54C568, 0x7AD151, 0xA5DB36, 0xD2E21B, 0xFDE725,
];

impl Theme {
    /// The colors of paper, ground, ink, muted elements and grid.
    fn basics(self) -> [Rgba; 5] {
        match self {
            Self::Light => [0xFFFFFF, 0xFAFAF8, 0x1F2328, 0x6A737D, 0xE4E4E0].map(Rgba::of),
            Self::Dark => [0x14171C, 0x1A1E24, 0xE6E8EB, 0x949CA6, 0x2D333B].map(Rgba::of),
        }
    }

    /// Background of the page.
    pub fn paper(self) -> Rgba {
        self.basics()[0]
    }

    /// Background of the panels.
    pub fn ground(self) -> Rgba {
        self.basics()[1]
    }

    /// Text and labels.
    pub fn ink(self) -> Rgba {
        self.basics()[2]
    }

    /// Ticks and other secondary elements.
    pub fn muted(self) -> Rgba {
        self.basics()[3]
    }

    /// Grid lines.
    pub fn grid(self) -> Rgba {
        self.basics()[4]
    }

    /// A color by its role in this theme.
    pub fn color(self, color: Color) -> Rgba {
        match color {
            Color::Ink => self.ink(),
            Color::Muted => self.muted(),
            Color::Scale(at) => scale(at),
            Color::Series(i) => Rgba::of(if self == Self::Light { LIGHT } else { DARK }[i % 7]),
        }
    }

    /// All colors of this theme.
    pub fn palette(self) -> Palette {
        let [paper, ground, ink, muted, grid] = self.basics().map(Rgba::hex);
        let series = (0..7).map(|i| self.color(Color::Series(i)).hex()).collect();
        Palette { paper, ground, ink, muted, grid, series, scale: VIRIDIS.map(|c| Rgba::of(c).hex()).to_vec() }
    }
}

/// The color scale at a position from 0 (dark) to 1 (bright), by linear interpolation; positions outside are clipped.
pub fn scale(at: f64) -> Rgba {
    let at = if at.is_finite() { at.clamp(0.0, 1.0) * 15.0 } else { 0.0 };
    let (i, w) = ((at as usize).min(14), at - (at as usize).min(14) as f64);
    let (a, b) = (Rgba::of(VIRIDIS[i]), Rgba::of(VIRIDIS[i + 1]));
    let mix = |a: u8, b: u8| (f64::from(a) * (1.0 - w) + f64::from(b) * w).round() as u8;
    Rgba(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2), 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contrast as the Web Content Accessibility Guidelines 2.1 define it.
    fn contrast(a: Rgba, b: Rgba) -> f64 {
        let light = |c: Rgba| {
            let lin = |v: u8| {
                let v = f64::from(v) / 255.0;
                if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * lin(c.0) + 0.7152 * lin(c.1) + 0.0722 * lin(c.2) + 0.05
        };
        let (a, b) = (light(a), light(b));
        if a > b { a / b } else { b / a }
    }

    #[test]
    fn text_and_lines_have_enough_contrast() {
        for theme in [Theme::Light, Theme::Dark] {
            assert!(contrast(theme.ink(), theme.paper()) > 7.0 && contrast(theme.muted(), theme.paper()) > 4.5);
            for i in 0..7 {
                let seen = contrast(theme.color(Color::Series(i)), theme.ground());
                assert!(seen > 2.2, "{theme:?} {i}: {seen}");
            }
        }
    }

    #[test]
    fn brightness_increases_along_the_color_scale() {
        let gray = |c: Rgba| 0.2126 * f64::from(c.0) + 0.7152 * f64::from(c.1) + 0.0722 * f64::from(c.2);
        let steps: Vec<f64> = (0..=100).map(|i| gray(scale(f64::from(i) / 100.0))).collect();
        assert!(steps.windows(2).all(|w| w[1] > w[0]));
    }
}
