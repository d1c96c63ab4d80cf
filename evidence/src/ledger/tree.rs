//! The Merkle tree, kept as its right edge: appends leaves, gives the root and the tiles. Sealing and verification
//! run this same code, one over what it writes, the other over what it reads; tests compare it with `tlog_tiles`.

use tlog_tiles::tlog::{EMPTY_HASH, HASH_SIZE, Hash, node_hash};

/// Hashes in a full tile.
///
/// # Source
/// C2SP tlog-tiles, "Merkle Tree".
const TILE_WIDTH: usize = 256;

/// A tile: its path below the ledger's folder, and its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

/// A tree of `size` leaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    size: u64,
    // INVARIANT: edges[level] holds the hashes of that level's rightmost tile, fewer than TILE_WIDTH: a full tile is
    // replaced by its own root, one level up.
    edges: Vec<Vec<Hash>>,
}

impl Tree {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; full tiles that it completes are added to `tiles`.
    pub(crate) fn push(&mut self, leaf: Hash, tiles: &mut Vec<Tile>) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0.. {
            if self.edges.len() == level {
                self.edges.push(Vec::with_capacity(TILE_WIDTH));
            }
            let Some(edge) = self.edges.get_mut(level) else {
                return;
            };
            edge.push(hash);
            if edge.len() < TILE_WIDTH {
                return;
            }
            let number = (self.size >> (8 * (level + 1))) - 1;
            tiles.push(Tile {
                path: tile_path(level, number, None),
                bytes: concatenate(edge),
            });
            hash = perfect_root(edge);
            edge.clear();
        }
    }

    /// The partial tiles of the tree as it is.
    pub(crate) fn partial_tiles(&self) -> Vec<Tile> {
        let partial = |(level, edge): (usize, &Vec<Hash>)| {
            let number = self.size.checked_shr(8 * (level as u32 + 1)).unwrap_or(0);
            Tile {
                path: tile_path(level, number, Some(edge.len())),
                bytes: concatenate(edge),
            }
        };
        self.edges
            .iter()
            .enumerate()
            .filter(|(_, edge)| !edge.is_empty())
            .map(partial)
            .collect()
    }

    /// The root.
    ///
    /// # Source
    /// RFC 6962, section 2.1: the left subtree is the largest power of two that is smaller than the whole.
    pub(crate) fn root(&self) -> Hash {
        let mut subtrees = Vec::new();
        for edge in self.edges.iter().rev() {
            let mut rest = edge.as_slice();
            while !rest.is_empty() {
                let (perfect, behind) = rest.split_at(1 << rest.len().ilog2());
                subtrees.push(perfect_root(perfect));
                rest = behind;
            }
        }
        subtrees
            .into_iter()
            .rev()
            .reduce(|right, left| node_hash(left, right))
            .unwrap_or(EMPTY_HASH)
    }

    /// The paths of the partial tiles that a tree of `size` leaves has, lowest level first.
    pub(crate) fn partial_paths(size: u64) -> Vec<Option<String>> {
        let levels = (0..8_u32).take_while(|level| size.checked_shr(8 * level).unwrap_or(0) > 0);
        levels
            .map(|level| {
                let width = (size >> (8 * level)) as usize % TILE_WIDTH;
                let number = size.checked_shr(8 * (level + 1)).unwrap_or(0);
                (width > 0).then(|| tile_path(level as usize, number, Some(width)))
            })
            .collect()
    }

    /// Rebuilds a tree from its partial tiles, one per level, empty where the level has none. The caller must compare
    /// the root with a signed one. `None` when the widths don't fit the size.
    pub(crate) fn from_tiles(size: u64, tiles: &[Vec<u8>]) -> Option<Tree> {
        let mut edges = Vec::new();
        for (level, bytes) in tiles.iter().enumerate() {
            let width = (size >> (8 * level)) as usize % TILE_WIDTH;
            let (hashes, rest) = bytes.as_chunks::<HASH_SIZE>();
            if hashes.len() != width || !rest.is_empty() {
                return None;
            }
            edges.push(hashes.iter().map(|hash| Hash(*hash)).collect());
        }
        Some(Tree { size, edges })
    }
}

/// The root of a perfect subtree: `hashes.len()` is a power of two.
fn perfect_root(hashes: &[Hash]) -> Hash {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[left, right]| node_hash(*left, *right))
            .collect();
    }
    level.first().copied().unwrap_or(EMPTY_HASH)
}

fn concatenate(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// `tile/<level>/<number>[.p/<width>]`, the number in groups of three digits.
///
/// # Source
/// C2SP tlog-tiles, "Merkle Tree".
pub(crate) fn tile_path(level: usize, number: u64, width: Option<usize>) -> String {
    let mut groups = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        groups = format!("x{:03}/{groups}", rest % 1000);
        rest /= 1000;
    }
    match width {
        None => format!("tile/{level}/{groups}"),
        Some(width) => format!("tile/{level}/{groups}.p/{width}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tlog_tiles::tlog::{Error, HashReader, record_hash, stored_hashes, tree_hash};

    struct Stored(Vec<Hash>);

    impl HashReader for Stored {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
            Ok(indexes
                .iter()
                .map(|index| self.0[*index as usize])
                .collect())
        }
    }

    #[test]
    fn roots_agree_with_tlog_tiles_and_tiles_rebuild_the_tree() {
        let mut stored = Stored(Vec::new());
        let mut tree = Tree::default();
        let mut tiles = Vec::new();
        assert_eq!(tree.root(), EMPTY_HASH);
        for number in 0..66_000_u64 {
            let data = number.to_le_bytes();
            let hashes = stored_hashes(number, &data, &stored).unwrap();
            stored.0.extend(hashes);
            tree.push(record_hash(&data), &mut tiles);
            let size = number + 1;
            if size < 600 || size % 997 == 0 || size.is_power_of_two() || size == 65_537 {
                assert_eq!(
                    tree.root(),
                    tree_hash(size, &stored).unwrap(),
                    "size {size}"
                );
                let partial: BTreeMap<_, _> = tree
                    .partial_tiles()
                    .into_iter()
                    .map(|t| (t.path, t.bytes))
                    .collect();
                let paths = Tree::partial_paths(size);
                assert_eq!(paths.iter().flatten().count(), partial.len(), "size {size}");
                let bytes: Vec<_> = paths
                    .iter()
                    .map(|path| path.as_ref().map_or(Vec::new(), |p| partial[p].clone()))
                    .collect();
                let rebuilt = Tree::from_tiles(size, &bytes).unwrap();
                assert_eq!(rebuilt.root(), tree.root(), "size {size}");
            }
        }
        assert_eq!(tiles.len(), 66_000 / 256 + 1);
        assert_eq!(tiles[0].path, "tile/0/000");
        assert_eq!(
            tiles[256].path, "tile/1/000",
            "256 tiles of level 0 complete the first of level 1"
        );
    }

    #[test]
    fn tile_paths_are_the_specification_s() {
        assert_eq!(tile_path(0, 1_234_067, None), "tile/0/x001/x234/067");
        assert_eq!(tile_path(1, 0, Some(2)), "tile/1/000.p/2");
        assert_eq!(tile_path(0, 1000, Some(255)), "tile/0/x001/000.p/255");
    }
}
