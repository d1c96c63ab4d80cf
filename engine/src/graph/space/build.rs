//! Boxes to a space: top-down, memoised on the boxes that are left and the dimensions already asked, the next dimension
//! being the one whose children carry the fewest boxes. Bounded: a split that would pass the budget becomes a cell.

use std::collections::HashMap;

use super::{Cell, CellTest, DIMENSIONS, Dimension, Node, Place, Reach, Row, Space, Stretch};

/// How many times the states of its boxes a graph may have. A state is one place of one box in one node's children (more
/// for a box that lists many classes); what would need more stays a cell, which grows with its boxes only.
const STATES_FACTOR: u64 = 24;

/// How many states a graph may have at all.
const STATES_MAX: u64 = 1 << 21;

/// How many classes that a box lists count as one more state.
const CLASSES_PER_STATE: usize = 4;

/// A cell with so few boxes is not split further: ANDing its words is as fast as one more step.
const CELL_BOXES: usize = 48;

/// How many states a graph may have that is only looked at.
const OPEN_STATES_MAX: u64 = 1 << 16;

/// Builds a space of the boxes numbered `numbers`, ascending.
pub(in crate::graph) fn build(boxes: &[Reach], numbers: &[u32]) -> Space {
    let weights = numbers
        .iter()
        .filter_map(|&number| boxes.get(number as usize));
    let states: u64 = weights.map(weight).sum();
    let budget = states.saturating_mul(STATES_FACTOR).min(STATES_MAX);
    build_within(boxes, numbers, budget)
}

/// Builds a space within a budget of states.
pub(super) fn build_within(boxes: &[Reach], numbers: &[u32], budget: u64) -> Space {
    let splitting = Splitting {
        cell_boxes: CELL_BOXES,
        tenths_max: 9,
    };
    build_by(splitting, boxes, numbers, budget)
}

/// Builds a space that parts whatever can be parted, for looking at it.
pub(in crate::graph) fn build_open(boxes: &[Reach], numbers: &[u32]) -> Space {
    let splitting = Splitting {
        cell_boxes: 0,
        tenths_max: u64::MAX,
    };
    build_by(splitting, boxes, numbers, OPEN_STATES_MAX)
}

/// When boxes are parted.
#[derive(Debug, Clone, Copy)]
struct Splitting {
    /// A cell with so few boxes is not split.
    cell_boxes: usize,
    /// How many tenths of the boxes the average child may have.
    tenths_max: u64,
}

fn build_by(splitting: Splitting, boxes: &[Reach], numbers: &[u32], budget: u64) -> Space {
    let mut builder = Builder {
        splitting,
        boxes,
        weights: boxes.iter().map(weight).collect(),
        memo: HashMap::new(),
        space: Space {
            root: Place::Cell(0),
            nodes: Vec::new(),
            branches: Vec::new(),
            cells: Vec::new(),
            words: Vec::new(),
            tests: Vec::new(),
            anywhere: Vec::new(),
            rows: Vec::new(),
            reaching: Vec::new(),
            states: (0, budget),
        },
    };
    let root = builder.place(numbers.to_vec(), Asked(0), budget);
    let mut space = builder.space;
    space.root = root;
    space.nodes.shrink_to_fit();
    space.branches.shrink_to_fit();
    space.cells.shrink_to_fit();
    space.words.shrink_to_fit();
    space.tests.shrink_to_fit();
    space.anywhere.shrink_to_fit();
    space.rows.shrink_to_fit();
    space.reaching.shrink_to_fit();
    space
}

/// How many states a box counts for wherever it is placed.
fn weight(reach: &Reach) -> u64 {
    let listed: usize = Dimension::ALL
        .into_iter()
        .filter_map(|dimension| reach.classes(dimension))
        .map(|classes| classes.len())
        .sum();
    1 + (listed / CLASSES_PER_STATE) as u64
}

/// The dimensions already asked on the way here, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Asked(u16);

impl Asked {
    fn has(self, dimension: Dimension) -> bool {
        self.0 & (1 << dimension as u8) != 0
    }

    fn with(self, dimension: Dimension) -> Self {
        Self(self.0 | (1 << dimension as u8))
    }
}

struct Builder<'a> {
    splitting: Splitting,
    boxes: &'a [Reach],
    weights: Vec<u64>,
    memo: HashMap<(Asked, Box<[u32]>), Place>,
    space: Space,
}

/// How one dimension would part the boxes.
struct Split {
    dimension: Dimension,
    /// Boxes that reach every class.
    anywhere: Vec<u32>,
    /// Classes that further boxes reach, each with its group.
    classes: Vec<(u32, usize)>,
    /// The further boxes; classes with the same ones share a group.
    groups: Vec<Vec<u32>>,
    /// How many places the children would have together.
    states: u64,
}

impl Builder<'_> {
    fn place(&mut self, boxes: Vec<u32>, asked: Asked, budget: u64) -> Place {
        let key = (asked, boxes.into_boxed_slice());
        if let Some(&place) = self.memo.get(&key) {
            return place;
        }
        let boxes = &key.1;
        let split = (boxes.len() > self.splitting.cell_boxes)
            .then(|| self.choose(boxes, asked, budget))
            .flatten();
        let place = match split {
            Some(split) => {
                self.space.states.0 += split.states;
                self.node(&split, asked, budget - split.states)
            }
            None => self.cell(boxes, asked),
        };
        self.memo.insert(key, place);
        place
    }

    /// The dimension whose children carry the fewest boxes; `None` where every split is useless or past the budget.
    fn choose(&self, boxes: &[u32], asked: Asked, budget: u64) -> Option<Split> {
        Dimension::ALL
            .into_iter()
            .filter(|&dimension| !asked.has(dimension))
            .filter_map(|dimension| self.split(boxes, dimension, budget))
            .min_by_key(|split| split.states)
    }

    /// `None` if the dimension parts too little, or would pass the budget.
    fn split(&self, boxes: &[u32], dimension: Dimension, budget: u64) -> Option<Split> {
        let mut anywhere = Vec::new();
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for &number in boxes {
            match self.reached(number, dimension) {
                None => anywhere.push(number),
                Some(classes) => pairs.extend(classes.iter().map(|&class| (class, number))),
            }
            // Each pair is a state at least, unless classes share their boxes, which a group of eight must do.
            if pairs.len() as u64 > budget.saturating_mul(8) {
                return None;
            }
        }
        if anywhere.len() == boxes.len() {
            return None;
        }
        pairs.sort_unstable();
        let mut numbers: HashMap<Vec<u32>, usize> = HashMap::new();
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut classes = Vec::new();
        let everywhere = self.weight(&anywhere);
        let mut states = everywhere;
        for pair in pairs.chunk_by(|left, right| left.0 == right.0) {
            let Some(&(class, _)) = pair.first() else {
                continue;
            };
            let reaching: Vec<u32> = pair.iter().map(|&(_, number)| number).collect();
            let group = match numbers.get(&reaching) {
                Some(&group) => group,
                None => {
                    states += everywhere + self.weight(&reaching);
                    if states > budget {
                        return None;
                    }
                    let group = groups.len();
                    groups.push(reaching.clone());
                    numbers.insert(reaching, group);
                    group
                }
            };
            // A branch costs too.
            states += 1;
            classes.push((class, group));
        }
        let children = groups.len() as u64 + 1;
        // A split that leaves nine tenths of the boxes in the average child is not worth its states.
        let most = (children * self.weight(boxes)).saturating_mul(self.splitting.tenths_max);
        let parts = states * 10 < most || groups.is_empty();
        (parts && states <= budget).then_some(Split {
            dimension,
            anywhere,
            classes,
            groups,
            states,
        })
    }

    fn weight(&self, boxes: &[u32]) -> u64 {
        boxes
            .iter()
            .filter_map(|&number| self.weights.get(number as usize))
            .sum()
    }

    fn reached(&self, number: u32, dimension: Dimension) -> Option<&[u32]> {
        self.boxes
            .get(number as usize)?
            .classes(dimension)
            .map(|classes| &**classes)
    }

    /// A node with its children; `budget` is what is left for them, shared by size.
    fn node(&mut self, split: &Split, asked: Asked, budget: u64) -> Place {
        let asked = asked.with(split.dimension);
        let share = |states: u64| {
            let part = u128::from(budget) * u128::from(states) / u128::from(split.states.max(1));
            u64::try_from(part).unwrap_or(budget)
        };
        let everywhere = self.weight(&split.anywhere);
        let otherwise = self.place(split.anywhere.clone(), asked, share(everywhere));
        let places: Vec<Place> = split
            .groups
            .iter()
            .map(|group| {
                let boxes = merge(group, &split.anywhere);
                let share = share(self.weight(&boxes));
                self.place(boxes, asked, share)
            })
            .collect();
        let branches: Vec<(u32, Place)> = split
            .classes
            .iter()
            .filter_map(|&(class, group)| Some((class, *places.get(group)?)))
            .filter(|(_, place)| *place != otherwise)
            .collect();
        let node = Node {
            dimension: split.dimension,
            branches: append(&mut self.space.branches, branches),
            otherwise,
        };
        self.space.nodes.push(node);
        Place::Node(last(&self.space.nodes))
    }

    /// The boxes as words, and a test for each dimension that still tells some apart.
    fn cell(&mut self, boxes: &[u32], asked: Asked) -> Place {
        let words: Vec<(u32, u64)> = boxes
            .chunk_by(|left, right| left / 64 == right / 64)
            .filter_map(|chunk| {
                let bits = chunk.iter().fold(0, |bits, number| bits | bit(*number));
                Some((chunk.first()? / 64, bits))
            })
            .collect();
        let mut position_of: HashMap<u32, u32> = HashMap::with_capacity(words.len());
        for (&(word, _), position) in words.iter().zip(0..) {
            position_of.insert(word, position);
        }
        let mut tests = Vec::with_capacity(DIMENSIONS);
        for dimension in Dimension::ALL {
            if !asked.has(dimension) {
                tests.extend(self.test(boxes, dimension, words.len(), &position_of));
            }
        }
        let cell = Cell {
            words: append(&mut self.space.words, words),
            tests: append(&mut self.space.tests, tests),
        };
        self.space.cells.push(cell);
        Place::Cell(last(&self.space.cells))
    }

    fn test(
        &mut self,
        boxes: &[u32],
        dimension: Dimension,
        width: usize,
        position_of: &HashMap<u32, u32>,
    ) -> Option<CellTest> {
        let mut anywhere = vec![0_u64; width];
        let mut reaching: Vec<(u32, u32, u64)> = Vec::new();
        let mut tells_apart = false;
        for &number in boxes {
            let position = position_of.get(&(number / 64)).copied()?;
            match self.reached(number, dimension) {
                None => {
                    if let Some(word) = anywhere.get_mut(position as usize) {
                        *word |= bit(number);
                    }
                }
                Some(classes) => {
                    tells_apart = true;
                    let entries = classes.iter().map(|&class| (class, position, bit(number)));
                    reaching.extend(entries);
                }
            }
        }
        if !tells_apart {
            return None;
        }
        reaching.sort_unstable();
        let mut rows = Vec::new();
        for row in reaching.chunk_by(|left, right| left.0 == right.0) {
            let words = row
                .chunk_by(|left, right| left.1 == right.1)
                .filter_map(|chunk| {
                    let bits = chunk.iter().fold(0, |bits, entry| bits | entry.2);
                    Some((chunk.first()?.1, bits))
                });
            let class = row.first()?.0;
            rows.push(Row {
                class,
                reaching: append(&mut self.space.reaching, words),
            });
        }
        Some(CellTest {
            dimension,
            anywhere: append(&mut self.space.anywhere, anywhere),
            rows: append(&mut self.space.rows, rows),
        })
    }
}

fn bit(number: u32) -> u64 {
    1 << (number % 64)
}

/// Appends to a list, and says where.
fn append<T>(list: &mut Vec<T>, more: impl IntoIterator<Item = T>) -> Stretch {
    let first = list.len();
    list.extend(more);
    Stretch {
        first: narrow(first),
        count: narrow(list.len() - first),
    }
}

fn last<T>(list: &[T]) -> u32 {
    narrow(list.len().saturating_sub(1))
}

/// The budgets keep every list far below 2³²; a longer one would make the graph broken, which refuses.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Two ascending lists without common members as one.
fn merge(left: &[u32], right: &[u32]) -> Vec<u32> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left, right);
    loop {
        match (left.split_first(), right.split_first()) {
            (Some((&one, rest)), Some((&other, _))) if one < other => {
                merged.push(one);
                left = rest;
            }
            (_, Some((&other, rest))) => {
                merged.push(other);
                right = rest;
            }
            (_, None) => {
                merged.extend_from_slice(left);
                return merged;
            }
        }
    }
}
