// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boxes, arrows and a legend as an SVG file that any browser shows, in light and dark
//! surroundings.

use super::layout::{self, HEADING, LINE, MARGIN, Place, WIDTH};
use super::model::{Edge, EdgeKind, Node, NodeKind};

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1d2733}\
.name{font-weight:600;font-size:15px}.small{fill:#4a5868;font-size:12px}\
.box{stroke:#44546a;stroke-width:1.2}.root{fill:#fff3d6}.service{fill:#e6f0fb}.vm{fill:#e4f5e8}\
.calls{stroke:#6b7a8c;stroke-width:1.3}.controls{stroke:#c0392b;stroke-width:1.8}\
.checkpoints{stroke:#1f7a4d;stroke-width:1.8;stroke-dasharray:6 4}\
path{fill:none}marker path{stroke:none}";

/// Room between lanes of arrows.
const LANE: f64 = 14.0;
/// Room in which an arrow turns into a lane.
const TURN: f64 = 70.0;
/// Room for the legend below the boxes.
const LEGEND: f64 = 60.0;

/// The picture.
pub fn draw(nodes: &[Node], edges: &[Edge]) -> String {
    let places = layout::place(nodes, edges);
    let width = places.iter().map(|place| place.x + WIDTH).fold(520.0, f64::max) + MARGIN;
    let bottom = places.iter().map(|place| place.y + place.height).fold(0.0, f64::max) + MARGIN;
    let lanes = bottom;
    let long = edges.iter().filter(|edge| is_long(edge, &places)).count();
    let bottom = bottom + LANE * long as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{:.0}\" viewBox=\"0 0 {width:.0} {:.0}\">\n",
        bottom + LEGEND,
        bottom + LEGEND
    );
    svg.push_str(&format!(
        "<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<defs>\n"
    ));
    for (class, colour) in [("calls", "#6b7a8c"), ("controls", "#c0392b"), ("checkpoints", "#1f7a4d")] {
        svg.push_str(&format!(
            "<marker id=\"{class}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
             markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" style=\"fill:{colour}\"/></marker>\n"
        ));
    }
    svg.push_str("</defs>\n");
    for (index, edge) in edges.iter().enumerate() {
        svg.push_str(&arrow(index, edge, edges, &places, lanes));
    }
    for (node, place) in nodes.iter().zip(&places) {
        svg.push_str(&rectangle(node, place));
    }
    svg.push_str(&legend(bottom));
    svg.push_str("</svg>\n");
    svg
}

fn rectangle(node: &Node, place: &Place) -> String {
    let class = match node.kind {
        NodeKind::Root => "root",
        NodeKind::Service => "service",
        NodeKind::Vm => "vm",
    };
    let (x, y) = (place.x, place.y);
    let mut text = format!(
        "<rect class=\"box {class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{WIDTH}\" height=\"{:.1}\" rx=\"6\"/>\n",
        place.height
    );
    text.push_str(&label("name", x + 12.0, y + 21.0, &node.name));
    for (index, line) in node.lines.iter().enumerate() {
        text.push_str(&label("small", x + 12.0, y + HEADING + LINE * index as f64 + 9.0, line));
    }
    text
}

/// A curve between the sides of two boxes that face each other; where columns lie between, by a
/// lane below all boxes.
fn arrow(index: usize, edge: &Edge, edges: &[Edge], places: &[Place], bottom: f64) -> String {
    let (from, to) = (places[edge.from], places[edge.to]);
    let start = from.y + share(index, edges, from.height, |other| other.from == edge.from);
    let end = to.y + share(index, edges, to.height, |other| other.to == edge.to);
    let forward = to.x > from.x;
    let (x1, x2) = if forward { (from.x + WIDTH, to.x - 1.0) } else { (from.x, to.x + WIDTH + 1.0) };
    let path = if is_long(edge, places) {
        let before = edges.iter().take(index).filter(|other| is_long(other, places)).count();
        let lane = bottom + LANE * (before as f64 - 0.5);
        let turn = if forward { TURN } else { -TURN };
        let (down, up) = (x1 + turn, x2 - turn);
        format!(
            "M{x1:.1} {start:.1}C{down:.1} {start:.1} {x1:.1} {lane:.1} {down:.1} {lane:.1}H{up:.1}\
             C{x2:.1} {lane:.1} {up:.1} {end:.1} {x2:.1} {end:.1}"
        )
    } else {
        let middle = (x1 + x2) / 2.0;
        format!("M{x1:.1} {start:.1}C{middle:.1} {start:.1} {middle:.1} {end:.1} {x2:.1} {end:.1}")
    };
    let class = class(edge.kind);
    format!("<path class=\"{class}\" marker-end=\"url(#{class})\" d=\"{path}\"/>\n")
}

/// Whether boxes of other columns may lie between the two.
fn is_long(edge: &Edge, places: &[Place]) -> bool {
    (places[edge.from].x - places[edge.to].x).abs() > WIDTH * 2.0
}

/// Where the arrow number `index` meets a side: those that `meets` accepts share its height.
fn share(index: usize, edges: &[Edge], height: f64, meets: impl Fn(&Edge) -> bool) -> f64 {
    let before = edges.iter().take(index).filter(|edge| meets(edge)).count() as f64;
    let all = edges.iter().filter(|edge| meets(edge)).count() as f64;
    height * (before + 1.0) / (all + 1.0)
}

fn class(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Calls => "calls",
        EdgeKind::Controls => "controls",
        EdgeKind::Checkpoints => "checkpoints",
    }
}

fn legend(top: f64) -> String {
    let mut text = String::new();
    let entries = [
        (EdgeKind::Calls, "may use its interface"),
        (EdgeKind::Controls, "may use and command it"),
        (EdgeKind::Checkpoints, "may seal, read and restore its memory"),
    ];
    for (index, (kind, words)) in entries.into_iter().enumerate() {
        let (x, y) = (MARGIN + 220.0 * index as f64, top + 10.0);
        let class = class(kind);
        text.push_str(&format!(
            "<path class=\"{class}\" marker-end=\"url(#{class})\" d=\"M{x:.1} {y:.1}h36\"/>\n"
        ));
        text.push_str(&label("small", x + 44.0, y + 4.0, words));
    }
    let words = "What is not drawn cannot be done. Source: services/system.toml";
    text.push_str(&label("small", MARGIN, top + 34.0, words));
    text
}

fn label(class: &str, x: f64, y: f64, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>\n")
}
