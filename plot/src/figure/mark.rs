//! Marks: what is drawn in a panel.
use super::{color::Color, numbers::Numbers};
use crate::{pixels::Pixels, text::Anchor};
use serde::Serialize;

/// A line, area, cloud of points or another shape drawn in a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    /// Name in the legend and in the tooltip.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Whether the legend has an entry for it.
    pub legend: bool,
    /// Color.
    pub color: Color,
    /// Opacity, from 0 (invisible) to 1 (opaque).
    pub opacity: f64,
    /// Width of lines or diameter of points, in pixels.
    pub width: f64,
    /// Whether lines are dashed.
    pub dashed: bool,
    /// Whether it has no tooltip.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// Frame of the slider in which it is visible; `None` for all frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<usize>,
    /// Shape and data.
    #[serde(flatten)]
    pub shape: Shape,
}

/// The shapes of marks and their data.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "shape", rename_all = "lowercase")]
#[expect(missing_docs, reason = "the variants describe their fields")]
pub enum Shape {
    /// Straight segments through the points; a point that is not finite breaks the line.
    Line { x: Numbers, y: Numbers },
    /// The area between two curves.
    Area { x: Numbers, low: Numbers, high: Numbers },
    /// Dots; `value`, if not empty, colors them by the color scale of the panel.
    Points { x: Numbers, y: Numbers, value: Numbers },
    /// Bars over the intervals between `edges`, of which there is one more than `heights`.
    Bars { edges: Numbers, heights: Numbers },
    /// Arrows from (x, y) to (x + u, y + v).
    Arrows { x: Numbers, y: Numbers, u: Numbers, v: Numbers },
    /// A vertical line through the whole panel.
    Vertical { at: f64 },
    /// A horizontal line through the whole panel.
    Horizontal { at: f64 },
    /// Text at a point.
    Text { x: f64, y: f64, text: String, anchor: Anchor },
    /// Heat map of `values[y, x]` over the grid of x and y.
    Heat { x: Numbers, y: Numbers, values: Numbers },
    /// Contour lines of `values[y, x]` over the grid of x and y, from [`Mark::contours`].
    Contours { x: Numbers, y: Numbers, values: Numbers, levels: Vec<Level> },
    /// An image over the rectangle of these corners, its first row at the top.
    Image { x: [f64; 2], y: [f64; 2], pixels: Pixels },
    /// Surface of heights `z[y, x]` over the grid of x and y.
    Surface { x: Numbers, y: Numbers, z: Numbers },
    /// Curve in three dimensions; `floor`, if given, is the z down to which the area below it is filled.
    Curve { x: Numbers, y: Numbers, z: Numbers, floor: Option<f64> },
    /// Dots in three dimensions.
    Cloud { x: Numbers, y: Numbers, z: Numbers },
}

/// The contour lines of one value; coordinates that are not finite separate them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Level {
    /// Value of the contour.
    pub value: f64,
    /// First coordinates.
    pub x: Numbers,
    /// Second coordinates.
    pub y: Numbers,
}

impl Mark {
    /// A mark of any shape: in the first color of series, opaque, without a name.
    pub fn new(shape: Shape) -> Self {
        let (name, color) = (String::new(), Color::Series(0));
        Self { name, legend: true, color, opacity: 1.0, width: 2.0, dashed: false, silent: false, frame: None, shape }
    }

    /// A line through the points.
    ///
    /// # Panics
    /// If x and y differ in length.
    pub fn line(x: impl Into<Numbers>, y: impl Into<Numbers>) -> Self {
        let (x, y) = (x.into(), y.into());
        assert_eq!(x.len(), y.len(), "x and y of a line differ in length");
        Self::new(Shape::Line { x, y })
    }

    /// The area between `low` and `high`.
    ///
    /// # Panics
    /// If x, `low` and `high` differ in length.
    pub fn area(x: impl Into<Numbers>, low: impl Into<Numbers>, high: impl Into<Numbers>) -> Self {
        let (x, low, high) = (x.into(), low.into(), high.into());
        assert!(x.len() == low.len() && x.len() == high.len(), "x, low and high of an area differ in length");
        Self::new(Shape::Area { x, low, high }).opacity(0.25)
    }

    /// Dots.
    ///
    /// # Panics
    /// If x and y differ in length.
    pub fn points(x: impl Into<Numbers>, y: impl Into<Numbers>) -> Self {
        let (x, y) = (x.into(), y.into());
        assert_eq!(x.len(), y.len(), "x and y of points differ in length");
        Self::new(Shape::Points { x, y, value: Numbers::default() }).width(4.0).opacity(0.6)
    }

    /// Dots colored by a value.
    ///
    /// # Panics
    /// If x, y and `value` differ in length.
    pub fn colored(x: impl Into<Numbers>, y: impl Into<Numbers>, value: impl Into<Numbers>) -> Self {
        let (x, y, value) = (x.into(), y.into(), value.into());
        assert!(x.len() == y.len() && x.len() == value.len(), "x, y and values of points differ in length");
        Self::new(Shape::Points { x, y, value }).width(4.0).opacity(0.8)
    }

    /// The bars of a histogram.
    ///
    /// # Panics
    /// If there is not one more edge than heights.
    pub fn bars(edges: impl Into<Numbers>, heights: impl Into<Numbers>) -> Self {
        let (edges, heights) = (edges.into(), heights.into());
        assert_eq!(edges.len(), heights.len() + 1, "bars need one more edge than heights");
        Self::new(Shape::Bars { edges, heights }).opacity(0.55)
    }

    /// Arrows from (x, y) to (x + u, y + v).
    ///
    /// # Panics
    /// If x, y, u and v differ in length.
    pub fn arrows(x: impl Into<Numbers>, y: impl Into<Numbers>, u: impl Into<Numbers>, v: impl Into<Numbers>) -> Self {
        let (x, y, u, v) = (x.into(), y.into(), u.into(), v.into());
        assert!([y.len(), u.len(), v.len()] == [x.len(); 3], "x, y, u and v of arrows differ in length");
        Self::new(Shape::Arrows { x, y, u, v }).width(1.2).color(Color::Muted)
    }

    /// A dashed vertical line at x = `at`.
    pub fn vertical(at: f64) -> Self {
        Self::new(Shape::Vertical { at }).width(1.5).dashed()
    }

    /// A dashed horizontal line at y = `at`.
    pub fn horizontal(at: f64) -> Self {
        Self::new(Shape::Horizontal { at }).width(1.5).dashed()
    }

    /// Text at a point.
    pub fn text(x: f64, y: f64, text: impl Into<String>, anchor: Anchor) -> Self {
        Self::new(Shape::Text { x, y, text: text.into(), anchor }).color(Color::Ink)
    }

    /// A heat map of `values[y, x]` over the grid of x and y.
    ///
    /// # Panics
    /// If there is not one value per grid point.
    pub fn heat(x: impl Into<Numbers>, y: impl Into<Numbers>, values: impl Into<Numbers>) -> Self {
        let (x, y, values) = (x.into(), y.into(), values.into());
        assert_eq!(x.len() * y.len(), values.len(), "a heat map needs one value per grid point");
        Self::new(Shape::Heat { x, y, values })
    }

    /// Contour lines of `values[y, x]` at `count` evenly spaced levels between the minimum and the maximum.
    ///
    /// # Panics
    /// If there is not one value per grid point.
    pub fn contours(x: impl Into<Numbers>, y: impl Into<Numbers>, values: impl Into<Numbers>, count: usize) -> Self {
        let (x, y, values) = (x.into(), y.into(), values.into());
        assert_eq!(x.len() * y.len(), values.len(), "contours need one value per grid point");
        let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
        let level = |i: usize| {
            let value = low + (high - low) * (i as f64 + 0.5) / count as f64;
            let (lx, ly) = crate::contour::lines(&x, &y, &values, value);
            Level { value, x: lx.into(), y: ly.into() }
        };
        let levels = (0..count).map(level).collect();
        Self::new(Shape::Contours { x, y, values, levels }).width(1.6)
    }

    /// An image, one pixel per unit.
    pub fn image(pixels: Pixels) -> Self {
        Self::new(Shape::Image { x: [0.0, pixels.width as f64], y: [0.0, pixels.height as f64], pixels })
    }

    /// A surface of heights `z[y, x]` over the grid of x and y.
    ///
    /// # Panics
    /// If there is not one height per grid point.
    pub fn surface(x: impl Into<Numbers>, y: impl Into<Numbers>, z: impl Into<Numbers>) -> Self {
        let (x, y, z) = (x.into(), y.into(), z.into());
        assert_eq!(x.len() * y.len(), z.len(), "a surface needs one height per grid point");
        Self::new(Shape::Surface { x, y, z })
    }

    /// A curve in three dimensions.
    ///
    /// # Panics
    /// If x, y and z differ in length.
    pub fn curve(x: impl Into<Numbers>, y: impl Into<Numbers>, z: impl Into<Numbers>) -> Self {
        let (x, y, z) = (x.into(), y.into(), z.into());
        assert!(x.len() == y.len() && x.len() == z.len(), "x, y and z of a curve differ in length");
        Self::new(Shape::Curve { x, y, z, floor: None })
    }

    /// Dots in three dimensions.
    ///
    /// # Panics
    /// If x, y and z differ in length.
    pub fn cloud(x: impl Into<Numbers>, y: impl Into<Numbers>, z: impl Into<Numbers>) -> Self {
        let (x, y, z) = (x.into(), y.into(), z.into());
        assert!(x.len() == y.len() && x.len() == z.len(), "x, y and z of a cloud differ in length");
        Self::new(Shape::Cloud { x, y, z }).width(4.0).opacity(0.7)
    }

    /// Sets the name in the legend and in the tooltip.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Leaves it out of the legend.
    pub fn unlisted(mut self) -> Self {
        self.legend = false;
        self
    }

    /// Leaves out its tooltip.
    pub fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// Sets the color.
    pub fn color(mut self, color: Color) -> Self {
        self.color = color;
        self
    }

    /// Sets the color to one of the series.
    pub fn series(self, index: usize) -> Self {
        self.color(Color::Series(index))
    }

    /// Sets the opacity, from 0 (invisible) to 1 (opaque).
    pub fn opacity(mut self, opacity: f64) -> Self {
        self.opacity = opacity;
        self
    }

    /// Sets the width of lines or the diameter of points, in pixels.
    pub fn width(mut self, width: f64) -> Self {
        self.width = width;
        self
    }

    /// Makes lines dashed.
    pub fn dashed(mut self) -> Self {
        self.dashed = true;
        self
    }

    /// Makes lines solid.
    pub fn solid(mut self) -> Self {
        self.dashed = false;
        self
    }

    /// Makes it visible in this frame of the slider only.
    pub fn frame(mut self, frame: usize) -> Self {
        self.frame = Some(frame);
        self
    }

    /// Fills the area below a curve in three dimensions down to this z.
    pub fn floor(mut self, z: f64) -> Self {
        if let Shape::Curve { floor, .. } = &mut self.shape {
            *floor = Some(z);
        }
        self
    }

    /// Whether it is visible in this frame.
    pub fn seen(&self, frame: usize) -> bool {
        self.frame.is_none_or(|own| own == frame)
    }
}

/// The index of an axis and the numbers along it.
type Extent<'a> = (usize, &'a [f64]);

impl Shape {
    /// The numbers that the ranges of the axes must include.
    pub(super) fn extent(&self) -> Vec<Extent<'_>> {
        match self {
            Self::Line { x, y } | Self::Points { x, y, .. } | Self::Arrows { x, y, .. } => vec![(0, x), (1, y)],
            Self::Area { x, low, high } => vec![(0, x), (1, low), (1, high)],
            Self::Bars { edges, heights } => vec![(0, edges), (1, heights), (1, &[0.0])],
            Self::Vertical { at } => vec![(0, std::slice::from_ref(at))],
            Self::Horizontal { at } => vec![(1, std::slice::from_ref(at))],
            Self::Text { .. } => Vec::new(),
            Self::Heat { x, y, .. } | Self::Contours { x, y, .. } => vec![(0, x), (1, y)],
            Self::Image { x, y, .. } => vec![(0, x), (1, y)],
            Self::Surface { x, y, z } | Self::Curve { x, y, z, .. } | Self::Cloud { x, y, z } => {
                vec![(0, x), (1, y), (2, z)]
            }
        }
    }
}
