//! A space opened up, to be looked at: its nodes and cells with their boxes' numbers. For drawings; nothing decides by it.

use std::collections::BTreeSet;

use super::{Dimension, Place, Space};

/// A part of a space.
#[derive(Debug)]
pub(in crate::graph) enum Part {
    /// Asks for the class in a dimension.
    Node {
        /// Which one.
        dimension: Dimension,
        /// Where the classes lead: those of one place together, ascending.
        branches: Vec<(Vec<u32>, usize)>,
        /// Where every other class leads.
        otherwise: usize,
    },
    /// The end of a walk.
    Cell {
        /// The boxes that the point may be in, ascending.
        boxes: Vec<u32>,
        /// The dimensions that still tell them apart.
        open: Vec<Dimension>,
    },
}

impl Space {
    /// Its parts; the first is where walks begin. Equal parts are one.
    pub(in crate::graph) fn outline(&self) -> Vec<Part> {
        let mut places = vec![self.root];
        let mut parts = Vec::new();
        while let Some(&place) = places.get(parts.len()) {
            let mut number_of = |place: Place| {
                let known = places.iter().position(|known| *known == place);
                known.unwrap_or_else(|| {
                    places.push(place);
                    places.len() - 1
                })
            };
            parts.push(match place {
                Place::Node(node) => self.node_part(node, &mut number_of),
                Place::Cell(cell) => self.cell_part(cell),
            });
        }
        parts
    }

    fn node_part(&self, node: u32, number_of: &mut impl FnMut(Place) -> usize) -> Part {
        let empty = Part::Cell {
            boxes: Vec::new(),
            open: Vec::new(),
        };
        let Some(node) = self.nodes.get(node as usize) else {
            return empty;
        };
        let otherwise = number_of(node.otherwise);
        let mut branches: Vec<(Vec<u32>, usize)> = Vec::new();
        for &(class, place) in node.branches.of(&self.branches).unwrap_or_default() {
            let to = number_of(place);
            match branches.iter_mut().find(|(_, known)| *known == to) {
                Some((classes, _)) => classes.push(class),
                None => branches.push((vec![class], to)),
            }
        }
        Part::Node {
            dimension: node.dimension,
            branches,
            otherwise,
        }
    }

    fn cell_part(&self, cell: u32) -> Part {
        let cell = self.cells.get(cell as usize);
        let words = cell.and_then(|cell| cell.words.of(&self.words));
        let tests = cell.and_then(|cell| cell.tests.of(&self.tests));
        let mut boxes = BTreeSet::new();
        for &(word, bits) in words.unwrap_or_default() {
            let set = (0..64).filter(|bit| bits & (1_u64 << bit) != 0);
            boxes.extend(set.map(|bit| word * 64 + bit));
        }
        Part::Cell {
            boxes: boxes.into_iter().collect(),
            open: tests
                .unwrap_or_default()
                .iter()
                .map(|test| test.dimension)
                .collect(),
        }
    }
}
