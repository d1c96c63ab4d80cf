//! Boxes over typed dimensions, and which of them a point is in: the decision graph proper. Knows nothing of rules.
//!
//! A *node* asks for the point's class in one dimension and leads on. Where few boxes are left, or where splitting would
//! pass the budget, a *cell* ends the walk: the boxes as bit words, and for each dimension that still tells some of them
//! apart a row of words for each class (Lakshman and Stiliadis, "High-speed policy-based packet forwarding", 1998). One
//! AND for each word of each dimension leaves the boxes that the point is in; the caller's own words (the boxes that are
//! live for a session) are ANDed in first, so that dead ones cost nothing.
//!
//! Never leaves a box out that the point is in, and never gives one that it is not in.

mod build;
mod outline;

use std::{ops::ControlFlow, sync::Arc};

use smallvec::SmallVec;

pub(super) use self::{
    build::{build, build_open},
    outline::Part,
};

/// How many dimensions there are.
pub(super) const DIMENSIONS: usize = 9;

/// What a box is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Dimension {
    /// The operation.
    Operation,
    /// Whether the object has a schema, a name only, or neither.
    Sort,
    /// The object's schema.
    Schema,
    /// The object's name.
    Name,
    /// The statement's kind.
    Kind,
    /// The statement's literal LIMIT.
    Limit,
    /// How many parameters it has.
    Parameters,
    /// The column's name.
    Column,
    /// How the column is used.
    Use,
}

impl Dimension {
    pub(super) const ALL: [Self; DIMENSIONS] = [
        Self::Operation,
        Self::Sort,
        Self::Schema,
        Self::Name,
        Self::Kind,
        Self::Limit,
        Self::Parameters,
        Self::Column,
        Self::Use,
    ];
}

/// A box: the classes that it reaches in each dimension, ascending; `None` is all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach([Option<Arc<[u32]>>; DIMENSIONS]);

impl Reach {
    /// The classes it reaches, unless all.
    pub(super) fn classes(&self, dimension: Dimension) -> Option<&Arc<[u32]>> {
        self.0.get(dimension as usize)?.as_ref()
    }

    /// Limits it to `classes`, which are ascending.
    pub(super) fn limit(&mut self, dimension: Dimension, classes: Arc<[u32]>) {
        if let Some(slot) = self.0.get_mut(dimension as usize) {
            *slot = Some(classes);
        }
    }

    /// Whether it reaches all these classes.
    pub(super) fn holds(&self, classes: &[(Dimension, u32)]) -> bool {
        classes.iter().all(|(dimension, class)| {
            self.classes(*dimension)
                .is_none_or(|reached| reached.contains(class))
        })
    }

    /// Lifts the limit.
    pub(super) fn lift(&mut self, dimension: Dimension) {
        if let Some(slot) = self.0.get_mut(dimension as usize) {
            *slot = None;
        }
    }
}

/// A point: its class in each dimension, found when it is first asked for.
pub(super) struct Point<F> {
    known: [u32; DIMENSIONS],
    find: F,
}

impl<F: Fn(Dimension) -> u32> Point<F> {
    /// No class is found yet.
    pub(super) fn new(find: F) -> Self {
        Self {
            known: [u32::MAX; DIMENSIONS],
            find,
        }
    }

    fn class(&mut self, dimension: Dimension) -> u32 {
        match self.known.get_mut(dimension as usize) {
            Some(known) => {
                if *known == u32::MAX {
                    *known = (self.find)(dimension);
                }
                *known
            }
            None => u32::MAX,
        }
    }
}

/// Boxes, ready to be asked.
#[derive(Debug)]
pub(super) struct Space {
    root: Place,
    nodes: Vec<Node>,
    /// Of each node its classes that lead elsewhere than the others, ascending.
    branches: Vec<(u32, Place)>,
    cells: Vec<Cell>,
    /// Of each cell: which word, and which bits of it are boxes of the cell.
    words: Vec<(u32, u64)>,
    tests: Vec<CellTest>,
    /// Of each test, word for word of its cell: the boxes that reach every class.
    anywhere: Vec<u64>,
    rows: Vec<Row>,
    /// Of each row: which word of its cell, and which further boxes reach the class.
    reaching: Vec<(u32, u64)>,
    /// How many states splitting took, and how many it might have taken.
    states: (u64, u64),
}

/// How large a policy's graph is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Nodes, each asking for one dimension.
    pub nodes: usize,
    /// Cells, at which walks end.
    pub cells: usize,
    /// States that splitting took. A state is one place of one box in one node's children.
    pub states: usize,
    /// States that it might have taken.
    pub states_max: usize,
    /// Bytes of the graph's tables. The rules themselves, and the tables of names, are not counted.
    pub bytes: usize,
}

impl Extent {
    /// Both together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            nodes: self.nodes + other.nodes,
            cells: self.cells + other.cells,
            states: self.states + other.states,
            states_max: self.states_max + other.states_max,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// Where a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Node(u32),
    Cell(u32),
}

/// A stretch of one of the lists.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    first: u32,
    count: u32,
}

impl Stretch {
    fn of<T>(self, list: &[T]) -> Option<&[T]> {
        let first = self.first as usize;
        list.get(first..first + self.count as usize)
    }
}

#[derive(Debug)]
struct Node {
    dimension: Dimension,
    branches: Stretch,
    otherwise: Place,
}

#[derive(Debug)]
struct Cell {
    words: Stretch,
    tests: Stretch,
}

#[derive(Debug)]
struct CellTest {
    dimension: Dimension,
    anywhere: Stretch,
    rows: Stretch,
}

#[derive(Debug)]
struct Row {
    class: u32,
    reaching: Stretch,
}

/// One dimension of a cell while its words are walked.
struct Cursor<'a> {
    anywhere: &'a [u64],
    reaching: &'a [(u32, u64)],
}

impl Cursor<'_> {
    /// The boxes of the cell's word that reach the point's class. Positions are asked in ascending order.
    fn mask(&mut self, position: usize) -> Option<u64> {
        let mut mask = *self.anywhere.get(position)?;
        while let Some((&(at, boxes), rest)) = self.reaching.split_first() {
            if at as usize > position {
                break;
            }
            if at as usize == position {
                mask |= boxes;
            }
            self.reaching = rest;
        }
        Some(mask)
    }
}

impl Space {
    /// How large it is.
    pub(super) fn extent(&self) -> Extent {
        let narrow = |states: u64| usize::try_from(states).unwrap_or(usize::MAX);
        Extent {
            nodes: self.nodes.len(),
            cells: self.cells.len(),
            states: narrow(self.states.0),
            states_max: narrow(self.states.1),
            bytes: size_of_val(&*self.nodes)
                + size_of_val(&*self.branches)
                + size_of_val(&*self.cells)
                + size_of_val(&*self.words)
                + size_of_val(&*self.tests)
                + size_of_val(&*self.anywhere)
                + size_of_val(&*self.rows)
                + size_of_val(&*self.reaching),
        }
    }

    /// Calls `each` with every box that the point is in, of those whose bit in `live` is set, ascending, until it breaks.
    ///
    /// Breaks by itself where the graph is broken, which is a bug: whoever asks must refuse then, and not go on with what
    /// it was given so far.
    #[inline]
    pub(super) fn visit<F: Fn(Dimension) -> u32>(
        &self,
        point: &mut Point<F>,
        live: &[u64],
        mut each: impl FnMut(usize) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self.walk(point, live, &mut each) {
            Some(flow) => flow,
            None => ControlFlow::Break(()),
        }
    }

    #[inline]
    fn walk<F: Fn(Dimension) -> u32>(
        &self,
        point: &mut Point<F>,
        live: &[u64],
        each: &mut impl FnMut(usize) -> ControlFlow<()>,
    ) -> Option<ControlFlow<()>> {
        let cell = self.cell(point)?;
        let words = cell.words.of(&self.words)?;
        let mut cursors: SmallVec<[Cursor<'_>; DIMENSIONS]> = SmallVec::new();
        for test in cell.tests.of(&self.tests)? {
            let class = point.class(test.dimension);
            let rows = test.rows.of(&self.rows)?;
            let reaching = match rows.binary_search_by_key(&class, |row| row.class) {
                Ok(found) => rows.get(found)?.reaching.of(&self.reaching)?,
                Err(_) => &[],
            };
            cursors.push(Cursor {
                anywhere: test.anywhere.of(&self.anywhere)?,
                reaching,
            });
        }
        for (position, &(word, boxes)) in words.iter().enumerate() {
            let mut left = boxes & live.get(word as usize)?;
            if left == 0 {
                continue;
            }
            for cursor in &mut cursors {
                left &= cursor.mask(position)?;
            }
            while left != 0 {
                let lowest = left.trailing_zeros() as usize;
                left &= left - 1;
                if each(word as usize * 64 + lowest).is_break() {
                    return Some(ControlFlow::Break(()));
                }
            }
        }
        Some(ControlFlow::Continue(()))
    }

    #[inline]
    fn cell<F: Fn(Dimension) -> u32>(&self, point: &mut Point<F>) -> Option<&Cell> {
        let mut place = self.root;
        loop {
            match place {
                Place::Cell(cell) => return self.cells.get(cell as usize),
                Place::Node(node) => {
                    let node = self.nodes.get(node as usize)?;
                    let class = point.class(node.dimension);
                    let branches = node.branches.of(&self.branches)?;
                    place = match branches.binary_search_by_key(&class, |branch| branch.0) {
                        Ok(found) => branches.get(found)?.1,
                        Err(_) => node.otherwise,
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every box against the point, one dimension after the other.
    fn plainly(boxes: &[Reach], classes: [u32; DIMENSIONS], live: &[u64]) -> Vec<usize> {
        (0..boxes.len())
            .filter(|&number| live[number / 64] & (1 << (number % 64)) != 0)
            .filter(|&number| {
                Dimension::ALL.iter().all(|&dimension| {
                    boxes[number]
                        .classes(dimension)
                        .is_none_or(|reached| reached.contains(&classes[dimension as usize]))
                })
            })
            .collect()
    }

    #[track_caller]
    fn check(space: &Space, boxes: &[Reach], classes: [u32; DIMENSIONS], live: &[u64]) {
        let mut found = Vec::new();
        let mut point = Point::new(|dimension: Dimension| classes[dimension as usize]);
        let flow = space.visit(&mut point, live, |number| {
            found.push(number);
            ControlFlow::Continue(())
        });
        assert!(flow.is_continue());
        assert_eq!(found, plainly(boxes, classes, live), "at {classes:?}");
    }

    fn built(boxes: &[Reach], budget: u64) -> Space {
        let numbers: Vec<u32> = (0..u32::try_from(boxes.len()).expect("few")).collect();
        build::build_within(boxes, &numbers, budget)
    }

    /// One set of boxes is left after asking for one dimension here and for another one there: what was not asked on the
    /// way is still to be asked.
    #[test]
    fn boxes_reached_by_two_ways_are_asked_what_each_way_left_open() {
        use Dimension::{Operation, Schema, Sort};
        let boxes: Vec<Reach> = (0..180)
            .map(|number| {
                let limits: [(Dimension, &[u32]); 3] = match number / 60 {
                    0 => [(Operation, &[1, 2]), (Sort, &[1]), (Schema, &[1])],
                    1 => [(Operation, &[1]), (Sort, &[2]), (Operation, &[1])],
                    _ => [(Operation, &[2]), (Schema, &[2]), (Operation, &[2])],
                };
                let mut reach = Reach::default();
                for (dimension, classes) in limits {
                    reach.limit(dimension, Arc::from(classes));
                }
                reach
            })
            .collect();
        let space = built(&boxes, 1 << 20);
        for operation in 0..3 {
            for sort in 0..3 {
                for schema in 0..3 {
                    let mut classes = [0; DIMENSIONS];
                    classes[Operation as usize] = operation;
                    classes[Sort as usize] = sort;
                    classes[Schema as usize] = schema;
                    check(&space, &boxes, classes, &[u64::MAX; 3]);
                }
            }
        }
    }

    fn reach() -> impl Strategy<Value = Reach> {
        let list = prop::option::weighted(0.4, prop::collection::btree_set(0_u32..12, 0..4));
        prop::collection::vec(list, DIMENSIONS).prop_map(|lists| {
            let mut reach = Reach::default();
            for (&dimension, list) in Dimension::ALL.iter().zip(lists) {
                if let Some(list) = list {
                    reach.limit(dimension, list.into_iter().collect());
                }
            }
            reach
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_space_knows_its_boxes(
            boxes in prop::collection::vec(reach(), 0..200),
            points in prop::collection::vec(prop::array::uniform9(0_u32..13), 1..20),
            budget in prop_oneof![Just(0_u64), Just(500), Just(1 << 20)],
            live in prop::array::uniform4(any::<u64>()),
        ) {
            let space = built(&boxes, budget);
            for classes in points {
                check(&space, &boxes, classes, &live);
            }
        }
    }
}
