//! Colours: light and dark, and told apart by the colour-blind.
use crate::Colour;
use serde::Serialize;

/// Dark on light, or light on dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Dark ink on white paper.
    #[default]
    Light,
    /// Light ink on dark paper.
    Dark,
}

/// Red, green, blue, each 0 to 255, and opacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rgba(pub u8, pub u8, pub u8, pub f64);

impl Rgba {
    /// The same colour at a part of its opacity.
    pub fn fade(self, opacity: f64) -> Self {
        Self(self.0, self.1, self.2, self.3 * opacity)
    }

    /// The colour multiplied: darker below 1.
    pub fn shade(self, by: f64) -> Self {
        let times = |c: u8| (f64::from(c) * by).round().clamp(0.0, 255.0) as u8;
        Self(times(self.0), times(self.1), times(self.2), self.3)
    }

    /// As CSS writes it, without opacity.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    const fn of(hex: u32) -> Self {
        Self((hex >> 16) as u8, (hex >> 8) as u8, hex as u8, 1.0)
    }
}

/// What a theme is made of.
#[derive(Clone, Debug, Serialize)]
pub struct Palette {
    /// Behind everything.
    pub paper: String,
    /// Behind the panels.
    pub ground: String,
    /// Text and axes.
    pub ink: String,
    /// Ticks, and what should not draw the eye.
    pub muted: String,
    /// Grid lines.
    pub grid: String,
    /// Series in order.
    pub series: Vec<String>,
    /// From dark to bright.
    pub scale: Vec<String>,
}

/// Okabe and Ito's colours, reordered, and darkened or lightened where they are too near the paper.
const LIGHT: [u32; 7] = [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xC78500, 0x56B4E9, 0x6B4C9A];
const DARK: [u32; 7] = [0x5BB8F0, 0xFF8A4C, 0x2CC295, 0xE79AC6, 0xF2C14E, 0x9AD5F7, 0xB79CE8];

/// Sixteen steps of viridis, by van der Walt and Smith (CC0): brightness rises evenly, in grey print too.
const VIRIDIS: [u32; 16] = [
    0x440154, 0x481A6C, 0x472F7D, 0x414487, 0x39568C, 0x31688E, 0x2A788E, 0x23888E, 0x1F988B, 0x22A884, 0x35B779,
    0x54C568, 0x7AD151, 0xA5DB36, 0xD2E21B, 0xFDE725,
];

impl Theme {
    /// Paper, ground, ink, muted and grid.
    fn basics(self) -> [Rgba; 5] {
        match self {
            Self::Light => [0xFFFFFF, 0xFAFAF8, 0x1F2328, 0x6A737D, 0xE4E4E0].map(Rgba::of),
            Self::Dark => [0x14171C, 0x1A1E24, 0xE6E8EB, 0x949CA6, 0x2D333B].map(Rgba::of),
        }
    }

    /// Behind everything.
    pub fn paper(self) -> Rgba {
        self.basics()[0]
    }

    /// Behind the panels.
    pub fn ground(self) -> Rgba {
        self.basics()[1]
    }

    /// Text and axes.
    pub fn ink(self) -> Rgba {
        self.basics()[2]
    }

    /// Ticks.
    pub fn muted(self) -> Rgba {
        self.basics()[3]
    }

    /// Grid lines.
    pub fn grid(self) -> Rgba {
        self.basics()[4]
    }

    /// The colour in this theme.
    pub fn colour(self, colour: Colour) -> Rgba {
        match colour {
            Colour::Ink => self.ink(),
            Colour::Muted => self.muted(),
            Colour::Scale(at) => scale(at),
            Colour::Series(i) => Rgba::of(if self == Self::Light { LIGHT } else { DARK }[i % 7]),
        }
    }

    /// The same, for the page.
    pub fn palette(self) -> Palette {
        let [paper, ground, ink, muted, grid] = self.basics().map(Rgba::hex);
        let series = (0..7).map(|i| self.colour(Colour::Series(i)).hex()).collect();
        Palette { paper, ground, ink, muted, grid, series, scale: VIRIDIS.map(|c| Rgba::of(c).hex()).to_vec() }
    }
}

/// The colour at this part of the way from dark, 0, to bright, 1.
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
    fn text_can_be_read_and_lines_be_seen() {
        for theme in [Theme::Light, Theme::Dark] {
            assert!(contrast(theme.ink(), theme.paper()) > 7.0 && contrast(theme.muted(), theme.paper()) > 4.5);
            for i in 0..7 {
                let seen = contrast(theme.colour(Colour::Series(i)), theme.ground());
                assert!(seen > 2.2, "{theme:?} {i}: {seen}");
            }
        }
    }

    #[test]
    fn brightness_rises_along_the_scale() {
        let grey = |c: Rgba| 0.2126 * f64::from(c.0) + 0.7152 * f64::from(c.1) + 0.0722 * f64::from(c.2);
        let steps: Vec<f64> = (0..=100).map(|i| grey(scale(f64::from(i) / 100.0))).collect();
        assert!(steps.windows(2).all(|w| w[1] > w[0]));
    }
}
