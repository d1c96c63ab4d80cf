//! A drawing as SVG that stands alone: one stylesheet, light and dark, no script. `layout-rs` places the boxes.

use std::fmt::Write as _;

use super::Picture;
use layout::{
    core::{
        base::Orientation,
        color::Color,
        format::{ClipHandle, RenderBackend},
        geometry::Point,
        style::StyleAttr,
    },
    std_shapes::shapes::{Arrow, Element, ShapeKind},
    topo::layout::VisualGraph,
};

/// The most boxes that are laid out: placing takes time by their square, and nobody reads more.
pub const BOXES_MAX: usize = 300;
/// Around everything, in pixels.
const MARGIN: f64 = 24.0;
/// The size of letters, in pixels.
const FONT: usize = 14;
const STYLE: &str = "\
svg{background:#fff;color:#1d2433;font:14px system-ui,sans-serif}\
text{fill:currentColor}\
rect{fill:#fff;stroke:#5b6577;stroke-width:1.5}\
.rules rect{fill:#eaf1fd;stroke:#3465b5}\
.nothing rect{fill:#f4f5f7;stroke-dasharray:5 4}\
.beside rect{fill:#fdf4e3;stroke:#a8762a}\
path{fill:none;stroke:#5b6577;stroke-width:1.5}\
.head{fill:#5b6577;stroke:none}\
.on{font-size:12px;paint-order:stroke;stroke:#fff;stroke-width:5px}\
@media (prefers-color-scheme:dark){\
svg{background:#14181f;color:#e6e9ef}\
rect{fill:#1d232d;stroke:#8a94a6}\
.rules rect{fill:#1a2a44;stroke:#6f9ae6}\
.nothing rect{fill:#181c23}\
.beside rect{fill:#33281a;stroke:#c99a55}\
path{stroke:#8a94a6}.head{fill:#8a94a6}.on{stroke:#14181f}}";

/// Why nothing is drawn.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{boxes} boxes are too many to read: draw at most {BOXES_MAX}, say by naming a group or a relation; DOT has no limit"
)]
pub struct TooLarge {
    /// How many there are.
    pub boxes: usize,
}

pub(super) fn svg(picture: &Picture) -> Result<String, TooLarge> {
    if picture.boxes.len() > BOXES_MAX {
        return Err(TooLarge {
            boxes: picture.boxes.len(),
        });
    }
    let mut graph = VisualGraph::new(Orientation::LeftToRight);
    let look = StyleAttr::new(Color::new(0), 1, None, 6, FONT);
    let mut handles = Vec::with_capacity(picture.boxes.len());
    for node in &picture.boxes {
        handles.push(graph.add_node(Element::create_with_properties(
            ShapeKind::Box(node.lines.join("\n")),
            look.clone(),
            Orientation::LeftToRight,
            size(&node.lines),
            node.look.name(),
        )));
    }
    for edge in &picture.arrows {
        if let (Some(from), Some(to)) = (handles.get(edge.from), handles.get(edge.to)) {
            let arrow = Arrow {
                text: edge.label.clone(),
                look: look.clone(),
                ..Arrow::default()
            };
            graph.add_edge(arrow, *from, *to);
        }
    }
    let mut canvas = Canvas::default();
    if !handles.is_empty() {
        graph.do_it(false, false, false, &mut canvas);
    }
    Ok(canvas.finish())
}

/// The room that `lines` need, in pixels.
fn size(lines: &[String]) -> Point {
    let longest = lines
        .iter()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(1);
    let letter = FONT as f64 * 0.62;
    Point::new(
        longest as f64 * letter + 24.0,
        lines.len() as f64 * FONT as f64 * 1.3 + 16.0,
    )
}

/// Collects what the layout draws.
#[derive(Default)]
struct Canvas {
    content: String,
    least: Option<Point>,
    most: Option<Point>,
    /// The next text is a box's, not an arrow's.
    boxed: bool,
}

impl Canvas {
    fn see(&mut self, point: Point) {
        let least = self.least.unwrap_or(point);
        self.least = Some(Point::new(least.x.min(point.x), least.y.min(point.y)));
        let most = self.most.unwrap_or(point);
        self.most = Some(Point::new(most.x.max(point.x), most.y.max(point.y)));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // INVARIANT: writing to a String can't fail.
        _ = self.content.write_fmt(text);
    }

    fn finish(self) -> String {
        let least = self.least.unwrap_or(Point::zero());
        let most = self.most.unwrap_or(Point::zero());
        let (left, top) = (least.x - MARGIN, least.y - MARGIN);
        let (width, height) = (
            most.x - least.x + 2.0 * MARGIN,
            most.y - least.y + 2.0 * MARGIN,
        );
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{left:.0} {top:.0} {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"Decision graph\">\n<style>{STYLE}</style>\n{}</svg>\n",
            self.content
        )
    }
}

impl RenderBackend for Canvas {
    fn draw_rect(
        &mut self,
        xy: Point,
        size: Point,
        look: &StyleAttr,
        properties: Option<String>,
        _clip: Option<ClipHandle>,
    ) {
        self.see(xy);
        self.see(xy.add(size));
        self.boxed = true;
        let class = properties.unwrap_or_default();
        let (x, y, width, height, rounded) = (xy.x, xy.y, size.x, size.y, look.rounded);
        self.write(format_args!(
            "<g class=\"{class}\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{rounded}\"/></g>\n"
        ));
    }

    fn draw_line(&mut self, start: Point, stop: Point, _: &StyleAttr, _: Option<String>) {
        self.see(start);
        self.see(stop);
        self.write(format_args!(
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>\n",
            start.x, start.y, stop.x, stop.y
        ));
    }

    fn draw_circle(&mut self, xy: Point, size: Point, _: &StyleAttr, _: Option<String>) {
        self.see(xy);
        self.write(format_args!(
            "<ellipse cx=\"{:.1}\" cy=\"{:.1}\" rx=\"{:.1}\" ry=\"{:.1}\"/>\n",
            xy.x,
            xy.y,
            size.x / 2.0,
            size.y / 2.0
        ));
    }

    fn draw_text(&mut self, xy: Point, text: &str, look: &StyleAttr) {
        let step = look.font_size as f64 * 1.3;
        let class = if std::mem::take(&mut self.boxed) {
            "in"
        } else {
            "on"
        };
        let first = xy.y - step * (text.lines().count().saturating_sub(1)) as f64 / 2.0;
        for (index, line) in text.lines().enumerate() {
            let y = first + step * index as f64;
            self.write(format_args!(
                "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" dy=\".35em\" class=\"{class}\">{}</text>\n",
                xy.x,
                escaped(line)
            ));
        }
    }

    fn draw_arrow(
        &mut self,
        path: &[(Point, Point)],
        _dashed: bool,
        head: (bool, bool),
        _look: &StyleAttr,
        _properties: Option<String>,
        _text: &str,
    ) {
        let [first, second, rest @ ..] = path else {
            return;
        };
        self.write(format_args!(
            "<path d=\"M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
            first.0.x,
            first.0.y,
            first.1.x,
            first.1.y,
            second.0.x,
            second.0.y,
            second.1.x,
            second.1.y
        ));
        for (control, end) in rest {
            self.write(format_args!(
                "S{:.1} {:.1} {:.1} {:.1}",
                control.x, control.y, end.x, end.y
            ));
        }
        self.write(format_args!("\"/>\n"));
        let (control, end) = rest.last().unwrap_or(second);
        if head.1 {
            self.head(*control, *end);
        }
        if head.0 {
            self.head(first.1, first.0);
        }
        for (one, other) in path {
            self.see(*one);
            self.see(*other);
        }
    }

    fn create_clip(&mut self, _: Point, _: Point, _: usize) -> ClipHandle {
        0
    }
}

impl Canvas {
    /// The head of an arrow that ends at `end`, coming from `control`.
    fn head(&mut self, control: Point, end: Point) {
        let along = end.sub(control);
        let length = along.length();
        if length <= 0.0 {
            return;
        }
        let along = along.scale(1.0 / length);
        let across = Point::new(-along.y, along.x);
        let base = end.sub(along.scale(9.0));
        let (left, right) = (base.add(across.scale(4.0)), base.sub(across.scale(4.0)));
        self.write(format_args!(
            "<path class=\"head\" d=\"M{:.1} {:.1}L{:.1} {:.1}L{:.1} {:.1}Z\"/>\n",
            end.x, end.y, left.x, left.y, right.x, right.y
        ));
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}
