//! Scenes as images.
use crate::pixels::Pixels;
use crate::scene::{Draw, Scene};
use crate::text::{self, Anchor, Pen};
use crate::theme::Rgba;
use tiny_skia::{
    FillRule, FilterQuality, LineCap, LineJoin, Mask, Paint, Path, PathBuilder, Pixmap, PixmapPaint, Rect, StrokeDash,
    Transform,
};

/// The scene as an image of `density` pixels per pixel of the scene.
pub fn pixels(scene: &Scene, density: f64) -> Pixels {
    let pixmap = paint(scene, density);
    let bytes: Vec<u8> = pixmap.pixels().iter().flat_map(|p| [p.red(), p.green(), p.blue()]).collect();
    Pixels::rgb(pixmap.width() as usize, pixmap.height() as usize, bytes)
}

fn color(c: Rgba) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(c.0, c.1, c.2, (c.3 * 255.0).round().clamp(0.0, 255.0) as u8);
    paint
}

fn paint(scene: &Scene, density: f64) -> Pixmap {
    let (width, height) = ((scene.width * density).ceil() as u32, (scene.height * density).ceil() as u32);
    let mut pixmap = Pixmap::new(width.max(1), height.max(1)).expect("the size of a figure fits into memory");
    let Rgba(r, g, b, _) = scene.paper;
    pixmap.fill(tiny_skia::Color::from_rgba8(r, g, b, 255));
    let scaled = Transform::from_scale(density as f32, density as f32);
    let mut masks: Vec<([f64; 4], Mask)> = Vec::new();
    for item in &scene.items {
        if let Some(over) = item.clip
            && !masks.iter().any(|m| m.0 == over)
        {
            masks.push((over, mask(over, width, height, scaled)));
        }
        let mask = item.clip.and_then(|over| masks.iter().find(|m| m.0 == over)).map(|m| &m.1);
        match &item.draw {
            Draw::Path { pieces, closed, fill, stroke } => {
                let Some(path) = path(pieces, *closed) else { continue };
                if let Some(fill) = fill {
                    pixmap.fill_path(&path, &color(*fill), FillRule::Winding, scaled, mask);
                }
                if let Some(stroke) = stroke {
                    let dash = if stroke.dashed { StrokeDash::new(vec![6.0, 4.0], 0.0) } else { None };
                    let cap = if stroke.dashed { LineCap::Butt } else { LineCap::Round };
                    let line = tiny_skia::Stroke {
                        width: stroke.width as f32,
                        line_cap: cap,
                        line_join: LineJoin::Round,
                        dash,
                        ..Default::default()
                    };
                    pixmap.stroke_path(&path, &color(stroke.color), &line, scaled, mask);
                }
            }
            Draw::Dot { at: [x, y], radius, fill } => {
                if let Some(path) = PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32) {
                    pixmap.fill_path(&path, &color(*fill), FillRule::Winding, scaled, mask);
                }
            }
            Draw::Text { at: [x, y], text, size, bold, anchor, color: ink, up } => {
                let wide = text::width(text, *size, *bold);
                let back = match anchor {
                    Anchor::Start => 0.0,
                    Anchor::Middle => wide / 2.0,
                    Anchor::End => wide,
                };
                let mut letters = Letters(PathBuilder::new());
                text::outline(text, *size, *bold, &mut letters);
                let Some(path) = letters.0.finish() else { continue };
                let mut place = scaled.pre_translate(*x as f32, *y as f32);
                if *up {
                    place = place.pre_rotate(-90.0);
                }
                place = place.pre_translate(-back as f32, 0.0);
                pixmap.fill_path(&path, &color(*ink), FillRule::Winding, place, mask);
            }
            Draw::Image { over: [x, y, w, h], pixels, smooth } => {
                let Some(mut image) = Pixmap::new(pixels.width as u32, pixels.height as u32) else { continue };
                for (to, from) in image.data_mut().chunks_exact_mut(4).zip(pixels.rgb.chunks_exact(3)) {
                    to[..3].copy_from_slice(from);
                    to[3] = 255;
                }
                let quality = if *smooth { FilterQuality::Bilinear } else { FilterQuality::Nearest };
                let (sx, sy) = (w / pixels.width as f64, h / pixels.height as f64);
                let place = scaled.pre_translate(*x as f32, *y as f32).pre_scale(sx as f32, sy as f32);
                let paint = PixmapPaint { quality, ..PixmapPaint::default() };
                pixmap.draw_pixmap(0, 0, image.as_ref(), &paint, place, mask);
            }
        }
    }
    pixmap
}

fn mask([x, y, w, h]: [f64; 4], width: u32, height: u32, scaled: Transform) -> Mask {
    let mut mask = Mask::new(width, height).expect("its size is that of the picture");
    // One pixel more on every side, so that lines along the border keep their width.
    if let Some(rect) = Rect::from_xywh(x as f32 - 1.0, y as f32 - 1.0, w as f32 + 2.0, h as f32 + 2.0) {
        mask.fill_path(&PathBuilder::from_rect(rect), FillRule::Winding, false, scaled);
    }
    mask
}

fn path(pieces: &[Vec<[f64; 2]>], closed: bool) -> Option<Path> {
    let mut out = PathBuilder::new();
    for piece in pieces {
        for (i, &[x, y]) in piece.iter().enumerate() {
            // Points far outside are invisible; clamped, they stay within the range of single precision.
            let (x, y) = (x.clamp(-1e5, 1e5) as f32, y.clamp(-1e5, 1e5) as f32);
            if i == 0 { out.move_to(x, y) } else { out.line_to(x, y) }
        }
        if closed {
            out.close();
        }
    }
    out.finish()
}

struct Letters(PathBuilder);

impl Pen for Letters {
    fn start(&mut self, x: f64, y: f64) {
        self.0.move_to(x as f32, y as f32);
    }
    fn line(&mut self, x: f64, y: f64) {
        self.0.line_to(x as f32, y as f32);
    }
    fn quad(&mut self, cx: f64, cy: f64, x: f64, y: f64) {
        self.0.quad_to(cx as f32, cy as f32, x as f32, y as f32);
    }
    fn close(&mut self) {
        self.0.close();
    }
}
