// SPDX-License-Identifier: MIT OR Apache-2.0
//! Places of the boxes: columns from callers on the left to the called on the right, little
//! crossing within them.

use super::model::{Edge, Node};

/// Width of a box.
pub const WIDTH: f64 = 210.0;
/// Room between columns.
const COLUMN_GAP: f64 = 150.0;
/// Room between boxes of a column.
const ROW_GAP: f64 = 34.0;
/// Room around everything.
pub const MARGIN: f64 = 30.0;
/// Height of a heading and of a line.
pub const HEADING: f64 = 30.0;
/// Height of one line.
pub const LINE: f64 = 17.0;

/// A placed box.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Height.
    pub height: f64,
}

impl Place {
    /// Middle of its height.
    pub fn middle(&self) -> f64 {
        self.y + self.height / 2.0
    }
}

/// Places all boxes.
pub fn place(nodes: &[Node], edges: &[Edge]) -> Vec<Place> {
    let columns = columns(nodes.len(), edges);
    let heights: Vec<f64> = nodes.iter().map(|node| HEADING + LINE * node.lines.len() as f64 + 8.0).collect();
    let last = columns.iter().copied().max().unwrap_or(0);
    let total = |column: usize| {
        let inside = columns.iter().zip(&heights).filter(|(of, _)| **of == column);
        inside.map(|(_, height)| height + ROW_GAP).sum::<f64>()
    };
    let tallest = (0..=last).map(total).fold(0.0, f64::max);
    let mut places = vec![Place::default(); nodes.len()];
    for column in 0..=last {
        let mut inside: Vec<usize> = (0..nodes.len()).filter(|&node| columns[node] == column).collect();
        inside.sort_by(|&a, &b| {
            pull(a, edges, &places, column, &columns).total_cmp(&pull(b, edges, &places, column, &columns))
        });
        let mut y = MARGIN + (tallest - total(column)) / 2.0;
        for node in inside {
            let x = MARGIN + column as f64 * (WIDTH + COLUMN_GAP);
            places[node] = Place { x, y, height: heights[node] };
            y += heights[node] + ROW_GAP;
        }
    }
    places
}

/// Mean height of the callers that are placed already: a box goes near them.
fn pull(node: usize, edges: &[Edge], places: &[Place], column: usize, columns: &[usize]) -> f64 {
    let callers = edges.iter().filter(|edge| edge.to == node && columns[edge.from] < column);
    let heights: Vec<f64> = callers.map(|edge| places[edge.from].middle()).collect();
    if heights.is_empty() { 0.0 } else { heights.iter().sum::<f64>() / heights.len() as f64 }
}

/// The column of each node: one to the right of all who reach it. A cycle ends at the number of
/// nodes.
fn columns(count: usize, edges: &[Edge]) -> Vec<usize> {
    let mut columns = vec![0; count];
    for _ in 0..count {
        for edge in edges {
            let wanted = (columns[edge.from] + 1).min(count - 1);
            if edge.from != edge.to && !returns(edge, edges) && columns[edge.to] < wanted {
                columns[edge.to] = wanted;
            }
        }
    }
    columns
}

/// Whether there is an arrow back as well, listed earlier; then this one moves nothing.
fn returns(edge: &Edge, edges: &[Edge]) -> bool {
    let back = edges.iter().position(|other| other.from == edge.to && other.to == edge.from);
    let own = edges.iter().position(|other| other == edge);
    back.is_some_and(|back| own.is_some_and(|own| back < own))
}

#[cfg(test)]
mod tests {
    use super::super::model::EdgeKind;
    use super::*;

    #[test]
    fn the_called_stand_to_the_right_and_cycles_end() {
        let edge = |from, to| Edge { from, to, kind: EdgeKind::Calls };
        assert_eq!(columns(3, &[edge(2, 1), edge(1, 0)]), [2, 1, 0]);
        assert_eq!(columns(2, &[edge(0, 1), edge(1, 0)]), [0, 1]);
    }
}
