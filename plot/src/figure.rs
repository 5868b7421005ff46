//! A figure as data: what is drawn, not how.
use serde::{Serialize, Serializer};

/// Panels side by side, and perhaps a slider over frames.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    /// Above the panels.
    pub title: String,
    /// Panels in a row.
    pub columns: usize,
    /// In reading order.
    pub panels: Vec<Panel>,
    /// Chooses the frame of all panels.
    pub slider: Option<Slider>,
    /// As wide as the page, where there is one column.
    pub wide: bool,
}

/// One frame is seen at a time; marks that belong to none are always seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slider {
    /// What the slider changes.
    pub label: String,
    /// Its value at every frame.
    pub values: Vec<String>,
    /// The frame of a still picture, and the first that the browser shows.
    pub start: usize,
}

/// Two axes, or three, and what is drawn between them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    /// Above the panel.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Upward; in space, into the page.
    pub y: Axis,
    /// Upward in space; none in the plane.
    pub z: Option<Axis>,
    /// Height over width.
    pub aspect: f64,
    /// One unit of x is as long as one of y.
    pub equal: bool,
    /// Without axes, ticks and grid: for images.
    pub bare: bool,
    /// A bar that tells what the colours of a surface, heat map or contours mean.
    pub scale: Option<Scale>,
    /// In the order drawn.
    pub marks: Vec<Mark>,
}

/// The label and range of a direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Axis {
    /// What is measured, and its unit.
    pub label: String,
    /// From low to high; where none is given, what the marks need.
    pub range: Option<[f64; 2]>,
    /// By powers of ten.
    pub log: bool,
    /// Where it is marked; round numbers where none is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ticks: Vec<f64>,
}

/// What the colours from dark to bright stand for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scale {
    /// What is measured.
    pub label: String,
    /// The values at the dark and the bright end.
    pub range: [f64; 2],
}

/// Something drawn in a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    /// Its name in the legend and when pointed at.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Whether the legend shows it.
    pub legend: bool,
    /// Its colour.
    pub colour: Colour,
    /// 0 is unseen, 1 hides what is behind.
    pub opacity: f64,
    /// Width of lines, diameter of points, in pixels.
    pub width: f64,
    /// Lines in dashes.
    pub dashed: bool,
    /// Nothing is said of it when it is pointed at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// The frame in which it is seen; none: in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<usize>,
    /// Its form.
    #[serde(flatten)]
    pub shape: Shape,
}

/// A colour of the theme.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// One of the colours told apart by the colour-blind.
    Series(usize),
    /// The colour of text.
    Ink,
    /// Between ink and paper.
    Muted,
    /// From dark, 0, to bright, 1.
    Scale(f64),
}

/// The forms that marks take. Where lengths must be equal they are named alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "shape", rename_all = "lowercase")]
#[expect(missing_docs, reason = "the fields are what the variant says")]
pub enum Shape {
    /// Straight pieces through the points; a point that is not finite breaks the line.
    Line { x: Numbers, y: Numbers },
    /// What lies between two curves.
    Area { x: Numbers, low: Numbers, high: Numbers },
    /// A dot at every point; `value`, if not empty, colours them by the panel's scale.
    Points { x: Numbers, y: Numbers, value: Numbers },
    /// A bar over every interval of `edges`, one more than `heights`.
    Bars { edges: Numbers, heights: Numbers },
    /// An arrow from every (x, y), (u, v) long.
    Arrows { x: Numbers, y: Numbers, u: Numbers, v: Numbers },
    /// A line through the whole panel at this x.
    Vertical { at: f64 },
    /// A line through the whole panel at this y.
    Horizontal { at: f64 },
    /// Words at a point.
    Text { x: f64, y: f64, text: String, anchor: Anchor },
    /// `values` at the crossings of x and y, `[y, x]` in rows, as coloured cells.
    Heat { x: Numbers, y: Numbers, values: Numbers },
    /// Lines of equal value of a grid, `[y, x]` in rows; made by [`Mark::contours`].
    Contours { x: Numbers, y: Numbers, values: Numbers, levels: Vec<Level> },
    /// Pixels over the rectangle of these corners; the first row on top.
    Image { x: [f64; 2], y: [f64; 2], pixels: Pixels },
    /// Heights over the crossings of x and y, `[y, x]` in rows.
    Surface { x: Numbers, y: Numbers, z: Numbers },
    /// A curve in space; `floor` fills the curtain below it down to this z.
    Curve { x: Numbers, y: Numbers, z: Numbers, floor: Option<f64> },
    /// Dots in space.
    Cloud { x: Numbers, y: Numbers, z: Numbers },
}

/// Where a text stands to its point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// Lines of one value, as x and y with breaks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Level {
    /// The value.
    pub value: f64,
    /// Along the lines; not finite at breaks.
    pub x: Numbers,
    /// Along the lines; not finite at breaks.
    pub y: Numbers,
}

/// An image, rows of red, green and blue.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width, 3]`.
    pub rgb: Vec<u8>,
}

impl Pixels {
    /// Colour pixels, `[height, width, 3]`.
    ///
    /// # Panics
    /// When there are more or fewer bytes than that.
    pub fn rgb(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        assert_eq!(rgb.len(), width * height * 3, "{width} × {height} pixels of three bytes");
        Self { width, height, rgb }
    }

    /// Numbers as greys or colours, `low` as black and `high` as white; what lies outside is cut.
    ///
    /// # Shapes
    /// `values: [height, width, channels]` with one or three channels.
    ///
    /// # Panics
    /// When there are more or fewer values than that.
    pub fn from_values(width: usize, height: usize, values: &[f64], [low, high]: [f64; 2]) -> Self {
        let channels = values.len() / (width * height).max(1);
        assert!(matches!(channels, 1 | 3) && values.len() == width * height * channels, "one or three channels");
        let byte = |v: f64| ((v - low) / (high - low) * 255.0).round().clamp(0.0, 255.0) as u8;
        let rgb = match channels {
            1 => values.iter().flat_map(|&v| [byte(v); 3]).collect(),
            _ => values.iter().map(|&v| byte(v)).collect(),
        };
        Self { width, height, rgb }
    }

    /// The picture with sides of at most `side` pixels, each the mean of those it covers.
    pub fn shrunk(&self, side: usize) -> Self {
        let by = (self.width.max(self.height) as f64 / side as f64).max(1.0);
        let size = |v: usize| ((v as f64 / by).round() as usize).max(1);
        let (width, height) = (size(self.width), size(self.height));
        // The part of each old pixel, by index and weight, that a new one covers.
        let cover = |new: usize, old: usize, i: usize| -> Vec<(usize, f64)> {
            let (from, to) = (i as f64 * old as f64 / new as f64, (i + 1) as f64 * old as f64 / new as f64);
            let part = |k: usize| (to.min(k as f64 + 1.0) - from.max(k as f64)).max(0.0) / (to - from);
            (from as usize..old.min(to.ceil() as usize)).map(|k| (k, part(k))).collect()
        };
        let mut rgb = Vec::with_capacity(width * height * 3);
        for j in 0..height {
            let rows = cover(height, self.height, j);
            for i in 0..width {
                let columns = cover(width, self.width, i);
                for channel in 0..3 {
                    let sum: f64 = rows
                        .iter()
                        .flat_map(|(y, a)| columns.iter().map(move |(x, b)| (y * self.width + x, a * b)))
                        .map(|(at, weight)| weight * f64::from(self.rgb[3 * at + channel]))
                        .sum();
                    rgb.push(sum.round() as u8);
                }
            }
        }
        Self { width, height, rgb }
    }

    /// The pixels as numbers, −1 for black and 1 for white, `[height, width, 3]`.
    pub fn values(&self) -> Vec<f64> {
        self.rgb.iter().map(|&v| f64::from(v) / 127.5 - 1.0).collect()
    }

    /// The pixels as a PNG file.
    pub fn png(&self) -> Vec<u8> {
        crate::raster::encode(self.width as u32, self.height as u32, &self.rgb, png::ColorType::Rgb)
    }
}

impl Serialize for Pixels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("data:image/png;base64,{}", base64(&self.png())))
    }
}

/// Numbers, written with six digits: more cannot be seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers(pub Vec<f64>);

impl std::ops::Deref for Numbers {
    type Target = [f64];
    fn deref(&self) -> &[f64] {
        &self.0
    }
}

impl<T: Into<Vec<f64>>> From<T> for Numbers {
    fn from(numbers: T) -> Self {
        Self(numbers.into())
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|&v| six_digits(v)))
    }
}

/// The number with six significant digits; none where it is not finite.
fn six_digits(v: f64) -> Option<f64> {
    if v == 0.0 || !v.is_finite() {
        return v.is_finite().then_some(v);
    }
    format!("{v:.5e}").parse().ok()
}

/// Bytes as text (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, &b| word << 8 | u32::from(b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() { digit as char } else { '=' });
        }
    }
    out
}

impl Figure {
    /// A figure of one row or more of panels.
    pub fn new(title: impl Into<String>, columns: usize) -> Self {
        Self { title: title.into(), columns: columns.max(1), ..Self::default() }
    }

    /// With one more panel.
    pub fn panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    /// With a slider over these values, at first on `start`.
    ///
    /// # Panics
    /// When there is no value, or fewer than `start`.
    pub fn slider(mut self, label: impl Into<String>, values: Vec<String>, start: usize) -> Self {
        assert!(start < values.len(), "a slider starts on one of its {} values, not {start}", values.len());
        self.slider = Some(Slider { label: label.into(), values, start });
        self
    }

    /// As wide as the page.
    pub fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// The figure with the range of every axis decided: what both renderers draw.
    pub fn resolved(&self) -> Self {
        let mut figure = self.clone();
        figure.panels.iter_mut().for_each(Panel::resolve);
        figure
    }

    /// The frame that a still picture shows.
    pub fn start(&self) -> usize {
        self.slider.as_ref().map_or(0, |slider| slider.start)
    }
}

impl Axis {
    /// An axis as long as the marks need.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// From low to high.
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some([low, high]);
        self
    }

    /// By powers of ten.
    pub fn log(mut self) -> Self {
        self.log = true;
        self
    }

    /// Marked at these values: those that were measured, say.
    pub fn ticks(mut self, at: impl Into<Vec<f64>>) -> Self {
        self.ticks = at.into();
        self
    }
}

impl From<&str> for Axis {
    fn from(label: &str) -> Self {
        Self::new(label)
    }
}

impl Panel {
    /// A panel in the plane.
    pub fn plane(title: impl Into<String>, x: impl Into<Axis>, y: impl Into<Axis>) -> Self {
        let (title, x, y) = (title.into(), x.into(), y.into());
        Self { title, x, y, z: None, aspect: 0.75, equal: false, bare: false, scale: None, marks: Vec::new() }
    }

    /// A panel in space, that can be turned.
    pub fn space(title: impl Into<String>, x: impl Into<Axis>, y: impl Into<Axis>, z: impl Into<Axis>) -> Self {
        Self { z: Some(z.into()), aspect: 0.85, ..Self::plane(title, x, y) }
    }

    /// An image and nothing around it.
    pub fn image(title: impl Into<String>, pixels: Pixels) -> Self {
        let (width, height) = (pixels.width as f64, pixels.height as f64);
        let mut panel = Self::plane(title, Axis::default().range(0.0, width), Axis::default().range(0.0, height));
        (panel.aspect, panel.equal, panel.bare) = (height / width, true, true);
        panel.mark(Mark::image(pixels))
    }

    /// With one more mark.
    pub fn mark(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }

    /// With more marks.
    pub fn marks(mut self, marks: impl IntoIterator<Item = Mark>) -> Self {
        self.marks.extend(marks);
        self
    }

    /// Height over width.
    pub fn aspect(mut self, aspect: f64) -> Self {
        self.aspect = aspect;
        self
    }

    /// One unit of x as long as one of y.
    pub fn equal(mut self) -> Self {
        self.equal = true;
        self.aspect = 1.0;
        self
    }

    /// With a bar that tells what the colours mean.
    pub fn scale(mut self, label: impl Into<String>, range: [f64; 2]) -> Self {
        self.scale = Some(Scale { label: label.into(), range });
        self
    }

    /// Decides the ranges that were left open.
    fn resolve(&mut self) {
        let mut bounds = [[f64::INFINITY, f64::NEG_INFINITY]; 3];
        let logs = [self.x.log, self.y.log, false];
        for mark in &self.marks {
            for (axis, numbers) in mark.shape.extent() {
                let seen = |v: &&f64| v.is_finite() && (!logs[axis] || **v > 0.0);
                for &v in numbers.iter().filter(seen) {
                    bounds[axis] = [bounds[axis][0].min(v), bounds[axis][1].max(v)];
                }
            }
        }
        // Bars and areas stand on a floor of zero and need no air below it.
        let floor = self.marks.iter().any(|m| matches!(m.shape, Shape::Bars { .. } | Shape::Area { .. }));
        for (i, axis) in [Some(&mut self.x), Some(&mut self.y), self.z.as_mut()].into_iter().flatten().enumerate() {
            let [low, high] = bounds[i];
            let air = |low: f64, high: f64| if i == 0 { 0.0 } else { 0.06 * (high - low) };
            let open = if low > high {
                [0.0, 1.0]
            } else if axis.log && high < 1.001 * low {
                [0.1 * low, 10.0 * high]
            } else if !axis.log && high - low <= 1e-9 * high.abs().max(low.abs()) {
                [low - 0.5, high + 0.5]
            } else if axis.log {
                let (a, b) = (low.log10(), high.log10());
                [10f64.powf(a - air(a, b)), 10f64.powf(b + air(a, b))]
            } else {
                let air = air(low, high);
                let rests = i == 2 || (floor && i == 1);
                [if rests && low == 0.0 { 0.0 } else { low - air }, high + air]
            };
            axis.range.get_or_insert(open);
        }
    }
}

/// The axis and the numbers along it.
type Extent<'a> = (usize, &'a [f64]);

impl Shape {
    /// The numbers that the ranges must hold.
    fn extent(&self) -> Vec<Extent<'_>> {
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

impl Mark {
    /// A mark of any shape: the first colour, opaque, without a name.
    pub fn new(shape: Shape) -> Self {
        let (name, colour) = (String::new(), Colour::Series(0));
        Self { name, legend: true, colour, opacity: 1.0, width: 2.0, dashed: false, silent: false, frame: None, shape }
    }

    /// A line through the points.
    pub fn line(x: impl Into<Numbers>, y: impl Into<Numbers>) -> Self {
        let (x, y) = (x.into(), y.into());
        assert_eq!(x.len(), y.len(), "a line has as many x as y");
        Self::new(Shape::Line { x, y })
    }

    /// The area between `low` and `high`.
    pub fn area(x: impl Into<Numbers>, low: impl Into<Numbers>, high: impl Into<Numbers>) -> Self {
        let (x, low, high) = (x.into(), low.into(), high.into());
        assert!(x.len() == low.len() && x.len() == high.len(), "an area has as many x as low and high");
        Self::new(Shape::Area { x, low, high }).opacity(0.25)
    }

    /// Dots.
    pub fn points(x: impl Into<Numbers>, y: impl Into<Numbers>) -> Self {
        let (x, y) = (x.into(), y.into());
        assert_eq!(x.len(), y.len(), "points have as many x as y");
        Self::new(Shape::Points { x, y, value: Numbers::default() }).width(4.0).opacity(0.6)
    }

    /// Dots coloured by a value.
    pub fn coloured(x: impl Into<Numbers>, y: impl Into<Numbers>, value: impl Into<Numbers>) -> Self {
        let (x, y, value) = (x.into(), y.into(), value.into());
        assert!(x.len() == y.len() && x.len() == value.len(), "points have as many x as y as values");
        Self::new(Shape::Points { x, y, value }).width(4.0).opacity(0.8)
    }

    /// A histogram.
    pub fn bars(edges: impl Into<Numbers>, heights: impl Into<Numbers>) -> Self {
        let (edges, heights) = (edges.into(), heights.into());
        assert_eq!(edges.len(), heights.len() + 1, "bars have one edge more than heights");
        Self::new(Shape::Bars { edges, heights }).opacity(0.55)
    }

    /// Arrows.
    pub fn arrows(x: impl Into<Numbers>, y: impl Into<Numbers>, u: impl Into<Numbers>, v: impl Into<Numbers>) -> Self {
        let (x, y, u, v) = (x.into(), y.into(), u.into(), v.into());
        assert!([y.len(), u.len(), v.len()] == [x.len(); 3], "arrows have as many x, y, u and v");
        Self::new(Shape::Arrows { x, y, u, v }).width(1.2).colour(Colour::Muted)
    }

    /// A line at this x, dashed.
    pub fn vertical(at: f64) -> Self {
        Self::new(Shape::Vertical { at }).width(1.5).dashed()
    }

    /// A line at this y, dashed.
    pub fn horizontal(at: f64) -> Self {
        Self::new(Shape::Horizontal { at }).width(1.5).dashed()
    }

    /// Words.
    pub fn text(x: f64, y: f64, text: impl Into<String>, anchor: Anchor) -> Self {
        Self::new(Shape::Text { x, y, text: text.into(), anchor }).colour(Colour::Ink)
    }

    /// A grid of values as coloured cells, `[y, x]` in rows.
    pub fn heat(x: impl Into<Numbers>, y: impl Into<Numbers>, values: impl Into<Numbers>) -> Self {
        let (x, y, values) = (x.into(), y.into(), values.into());
        assert_eq!(x.len() * y.len(), values.len(), "a heat map has a value for every x and y");
        Self::new(Shape::Heat { x, y, values })
    }

    /// `count` lines of equal value, evenly between the least and the greatest, `[y, x]` in rows.
    pub fn contours(x: impl Into<Numbers>, y: impl Into<Numbers>, values: impl Into<Numbers>, count: usize) -> Self {
        let (x, y, values) = (x.into(), y.into(), values.into());
        assert_eq!(x.len() * y.len(), values.len(), "contours have a value for every x and y");
        let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
        let level = |i: usize| {
            let value = low + (high - low) * (i as f64 + 0.5) / count as f64;
            let (lx, ly) = crate::contour::lines(&x, &y, &values, value);
            Level { value, x: lx.into(), y: ly.into() }
        };
        let levels = (0..count).map(level).collect();
        Self::new(Shape::Contours { x, y, values, levels }).width(1.6)
    }

    /// An image, a pixel to a unit.
    pub fn image(pixels: Pixels) -> Self {
        Self::new(Shape::Image { x: [0.0, pixels.width as f64], y: [0.0, pixels.height as f64], pixels })
    }

    /// Heights over a grid, `[y, x]` in rows.
    pub fn surface(x: impl Into<Numbers>, y: impl Into<Numbers>, z: impl Into<Numbers>) -> Self {
        let (x, y, z) = (x.into(), y.into(), z.into());
        assert_eq!(x.len() * y.len(), z.len(), "a surface has a height for every x and y");
        Self::new(Shape::Surface { x, y, z })
    }

    /// A curve in space.
    pub fn curve(x: impl Into<Numbers>, y: impl Into<Numbers>, z: impl Into<Numbers>) -> Self {
        let (x, y, z) = (x.into(), y.into(), z.into());
        assert!(x.len() == y.len() && x.len() == z.len(), "a curve has as many x as y as z");
        Self::new(Shape::Curve { x, y, z, floor: None })
    }

    /// Dots in space.
    pub fn cloud(x: impl Into<Numbers>, y: impl Into<Numbers>, z: impl Into<Numbers>) -> Self {
        let (x, y, z) = (x.into(), y.into(), z.into());
        assert!(x.len() == y.len() && x.len() == z.len(), "a cloud has as many x as y as z");
        Self::new(Shape::Cloud { x, y, z }).width(4.0).opacity(0.7)
    }

    /// Named, in the legend and when pointed at.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Named, but not in the legend.
    pub fn unlisted(mut self) -> Self {
        self.legend = false;
        self
    }

    /// Not measured: nothing is said of it when it is pointed at.
    pub fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// In this colour.
    pub fn colour(mut self, colour: Colour) -> Self {
        self.colour = colour;
        self
    }

    /// In one of the colours that the colour-blind tell apart.
    pub fn series(self, index: usize) -> Self {
        self.colour(Colour::Series(index))
    }

    /// From 0, unseen, to 1.
    pub fn opacity(mut self, opacity: f64) -> Self {
        self.opacity = opacity;
        self
    }

    /// Width of lines, diameter of points, in pixels.
    pub fn width(mut self, width: f64) -> Self {
        self.width = width;
        self
    }

    /// In dashes.
    pub fn dashed(mut self) -> Self {
        self.dashed = true;
        self
    }

    /// In one piece.
    pub fn solid(mut self) -> Self {
        self.dashed = false;
        self
    }

    /// Seen in this frame of the slider only.
    pub fn frame(mut self, frame: usize) -> Self {
        self.frame = Some(frame);
        self
    }

    /// With a curtain down to this z, under a curve.
    pub fn floor(mut self, z: f64) -> Self {
        if let Shape::Curve { floor, .. } = &mut self.shape {
            *floor = Some(z);
        }
        self
    }

    /// Whether it is seen in this frame.
    pub fn seen(&self, frame: usize) -> bool {
        self.frame.is_none_or(|own| own == frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_gives_the_vectors_of_its_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn numbers_are_written_with_six_digits() {
        let numbers = Numbers(vec![0.0, 1.0 / 3.0, -12345678.9, 1e-30, f64::NAN]);
        assert_eq!(serde_json::to_string(&numbers).unwrap(), "[0.0,0.333333,-12345700.0,1e-30,null]");
    }

    #[test]
    fn ranges_hold_every_frame() {
        let panel = Panel::plane("", "x", "y")
            .mark(Mark::line([0.0, 1.0], [0.0, 1.0]).frame(0))
            .mark(Mark::line([0.0, 4.0], [f64::NAN, 9.0]).frame(1));
        let figure = Figure::new("", 1).panel(panel).resolved();
        let (x, y) = (figure.panels[0].x.range.unwrap(), figure.panels[0].y.range.unwrap());
        assert_eq!(x, [0.0, 4.0]);
        assert!(y[0] < 0.0 && y[1] > 9.0 && y[1] < 10.0);
    }
}
