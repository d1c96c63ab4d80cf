//! The server's own trees, as `nodeToString` writes them: the parts that say which relations and columns a statement needs.
//! It must never leave out an entry that it can't read.

use std::collections::{BTreeMap, BTreeSet};

use provost_engine::catalog::Catalog;

/// `pg_class` and everything else that the server itself brings has an oid below this.
pub(crate) const FIRST_USER_OID: u32 = 16_384;

/// How bits of column sets are numbered: `FirstLowInvalidHeapAttributeNumber`.
const COLUMN_OFFSET: i16 = -7;

/// Rights that a range-table entry needs: `AclMode`.
pub(crate) const INSERT: u32 = 1;
pub(crate) const SELECT: u32 = 2;
pub(crate) const UPDATE: u32 = 4;
pub(crate) const DELETE: u32 = 8;

/// What the server needs of one relation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) rights: u32,
    /// Attribute numbers; 0 for whole rows.
    pub(crate) selected: BTreeSet<i16>,
    pub(crate) inserted: BTreeSet<i16>,
    pub(crate) updated: BTreeSet<i16>,
}

/// By relation oid.
pub(crate) type Claims = BTreeMap<u32, Claim>;

#[derive(Debug)]
enum Item {
    Node(Node),
    List(Vec<Item>),
    Word(String),
}

#[derive(Debug)]
struct Node {
    name: String,
    fields: Vec<(String, Vec<Item>)>,
}

impl Node {
    fn field(&self, name: &str) -> &[Item] {
        let field = self.fields.iter().find(|(field, _)| field == name);
        field.map_or(&[], |(_, items)| items.as_slice())
    }

    fn number(&self, name: &str) -> Option<u32> {
        match self.field(name) {
            [Item::Word(word)] => word.parse().ok(),
            _ => None,
        }
    }

    /// A set of columns: `(b 8 9)`.
    fn columns(&self, name: &str) -> BTreeSet<i16> {
        match self.field(name) {
            [Item::List(items)] => {
                let numbers = items.iter().filter_map(|item| match item {
                    Item::Word(word) => word.parse::<i16>().ok(),
                    Item::Node(_) | Item::List(_) => None,
                });
                numbers.map(|bit| bit + COLUMN_OFFSET).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// The view that this entry stands for: its oid, and its own entry where the view's text has it.
    fn view(&self) -> Option<(u32, Option<&Item>)> {
        // It is called RTE up to PostgreSQL 14.
        if !matches!(&*self.name, "RANGETBLENTRY" | "RTE") || self.number("rtekind") != Some(1) {
            return None;
        }
        // From PostgreSQL 16 on, the entry keeps the view's oid; before, the view's text has it in its first entry, `old`.
        if let Some(oid) = self.number("relid").filter(|oid| *oid != 0) {
            return Some((oid, None));
        }
        let [Item::Node(query)] = self.field("subquery") else {
            return None;
        };
        let [Item::List(entries)] = query.field("rtable") else {
            return None;
        };
        let first = entries.first()?;
        let Item::Node(node) = first else {
            return None;
        };
        let [Item::Node(alias)] = node.field("alias") else {
            return None;
        };
        let is_old = matches!(alias.field("aliasname"), [Item::Word(name)] if name == "old");
        let oid = node.number("relid").filter(|oid| is_old && *oid != 0)?;
        Some((oid, Some(first)))
    }
}

/// What a statement needs.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(crate) claims: Claims,
    /// Inside of views that have columns which nobody asked for: what only those are made of may be left out.
    pub(crate) inside: Claims,
    /// Relations whose whole rows are used otherwise than to pick a field: `t::text`, not `(t).name`.
    pub(crate) whole_rows: BTreeSet<u32>,
}

impl Needs {
    /// Adds what a tree needs.
    ///
    /// # Panics
    /// When the text is no tree.
    pub(crate) fn read(&mut self, text: &str, catalog: &Catalog) {
        let mut reader = Reader { rest: text };
        while let Some(item) = reader.item() {
            find_whole_rows(&item, &mut Vec::new(), &mut self.whole_rows);
            self.collect(&item, catalog, false);
        }
        assert!(
            reader.rest.trim().is_empty(),
            "not all of the tree was read: {:.200}",
            reader.rest
        );
    }

    fn collect(&mut self, item: &Item, catalog: &Catalog, inside: bool) {
        let node = match item {
            Item::Word(_) => return,
            Item::List(items) => {
                items
                    .iter()
                    .for_each(|item| self.collect(item, catalog, inside));
                return;
            }
            Item::Node(node) => node,
        };
        if let (Some(oid), Some(rights)) = (node.number("relid"), node.number("requiredPerms"))
            && oid != 0
            && rights != 0
            && !is_excluded(node)
        {
            let claims = if inside {
                &mut self.inside
            } else {
                &mut self.claims
            };
            let claim = claims.entry(oid).or_default();
            claim.rights |= rights;
            claim.selected.extend(node.columns("selectedCols"));
            claim.inserted.extend(node.columns("insertedCols"));
            claim.updated.extend(node.columns("updatedCols"));
        }
        let mut inside = inside;
        if let Some((oid, own)) = node.view() {
            own.into_iter()
                .for_each(|own| self.collect(own, catalog, inside));
            // The server's own views are taken as relations, not looked into.
            if oid < FIRST_USER_OID {
                return;
            }
            inside |= own.is_none_or(|own| !self.asks_for_all(own, oid, catalog));
        }
        let excluded = excluded_rights(node);
        for (field, items) in &node.fields {
            let items = items.iter().flat_map(|item| match item {
                Item::List(items) => items.as_slice(),
                one => std::slice::from_ref(one),
            });
            for (index, item) in items.enumerate() {
                // Since PostgreSQL 16 rights stand apart from the entries, which count them from 1.
                if field != "rteperminfos" || !excluded.contains(&(index as i64 + 1)) {
                    self.collect(item, catalog, inside);
                }
            }
        }
    }

    /// Whether a view's own entry asks for every column that it has.
    fn asks_for_all(&self, own: &Item, oid: u32, catalog: &Catalog) -> bool {
        let (Item::Node(own), Some(view)) = (own, catalog.relation(oid)) else {
            return false;
        };
        let selected = own.columns("selectedCols");
        self.whole_rows.contains(&oid)
            || view
                .attributes
                .iter()
                .all(|attribute| selected.contains(&attribute.number))
    }
}

/// Finds the relations of whole rows that are used as such. `queries` are those around, the nearest last.
fn find_whole_rows<'a>(item: &'a Item, queries: &mut Vec<&'a Node>, found: &mut BTreeSet<u32>) {
    let node = match item {
        Item::Word(_) => return,
        Item::List(items) => {
            items
                .iter()
                .for_each(|item| find_whole_rows(item, queries, found));
            return;
        }
        Item::Node(node) => node,
    };
    if is_whole_row(node) {
        let levels = node.number("varlevelsup").unwrap_or(0) as usize;
        let query = queries
            .len()
            .checked_sub(levels + 1)
            .and_then(|place| queries.get(place));
        let entries = match query.map(|query| query.field("rtable")) {
            Some([Item::List(entries)]) => entries.as_slice(),
            _ => &[],
        };
        let place = node.number("varno").unwrap_or(0) as usize;
        mark(entries, place, found);
    }
    let is_query = node.name == "QUERY";
    if is_query {
        queries.push(node);
    }
    // A field of a whole row is that field.
    let is_field = |item: &Item| {
        node.name == "FIELDSELECT" && matches!(item, Item::Node(arg) if is_whole_row(arg))
    };
    for (_, items) in &node.fields {
        items
            .iter()
            .filter(|item| !is_field(item))
            .for_each(|item| find_whole_rows(item, queries, found));
    }
    if is_query {
        queries.pop();
    }
}

/// Marks the relation at a place of a range table, or of a join those that are joined.
fn mark(entries: &[Item], place: usize, found: &mut BTreeSet<u32>) {
    let Some(Item::Node(entry)) = place.checked_sub(1).and_then(|place| entries.get(place)) else {
        return;
    };
    if entry.number("rtekind") == Some(2) {
        let mut joined = BTreeSet::new();
        entry
            .field("joinaliasvars")
            .iter()
            .for_each(|item| places(item, &mut joined));
        // What is joined stands before the join.
        joined
            .into_iter()
            .filter(|joined| *joined < place)
            .for_each(|joined| mark(entries, joined, found));
        return;
    }
    found.extend(
        entry
            .view()
            .map(|(oid, _)| oid)
            .or_else(|| entry.number("relid")),
    );
}

/// The places that variables refer to.
fn places(item: &Item, found: &mut BTreeSet<usize>) {
    match item {
        Item::Word(_) => {}
        Item::List(items) => items.iter().for_each(|item| places(item, found)),
        Item::Node(node) => {
            if node.name == "VAR" {
                found.extend(node.number("varno").map(|place| place as usize));
            }
            node.fields
                .iter()
                .flat_map(|(_, items)| items)
                .for_each(|item| places(item, found));
        }
    }
}

/// Whether an entry stands for `excluded` of ON CONFLICT: the values given, not the table's. The server asks for the right to
/// read the table all the same.
fn is_excluded(node: &Node) -> bool {
    matches!(node.field("relkind"), [Item::Word(kind)] if kind == "c")
}

/// The numbers of the rights that such entries of a query have.
fn excluded_rights(query: &Node) -> Vec<i64> {
    let mut found = Vec::new();
    for item in query.field("rtable") {
        let Item::List(entries) = item else { continue };
        for entry in entries {
            if let Item::Node(entry) = entry
                && is_excluded(entry)
            {
                found.extend(entry.number("perminfoindex").map(i64::from));
            }
        }
    }
    found
}

fn is_whole_row(node: &Node) -> bool {
    node.name == "VAR" && matches!(node.field("varattno"), [Item::Word(number)] if number == "0")
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// The next token: a bracket of its own, or letters up to a blank or bracket. A backslash escapes.
    fn token(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\t']);
        let mut letters = self.rest.char_indices();
        let mut end = match letters.next()? {
            (_, '(' | ')' | '{' | '}') => 1,
            // A String node: quoted, blanks are escaped all the same.
            (_, '\\') => 1 + letters.next().map_or(0, |(_, letter)| letter.len_utf8()),
            (_, letter) => letter.len_utf8(),
        };
        if !self.rest.starts_with(['(', ')', '{', '}']) {
            while let Some((start, letter)) = letters.next() {
                if matches!(letter, '(' | ')' | '{' | '}' | ' ' | '\n' | '\t') {
                    break;
                }
                end = start + letter.len_utf8();
                if letter == '\\'
                    && let Some((start, letter)) = letters.next()
                {
                    end = start + letter.len_utf8();
                }
            }
        }
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(token)
    }

    fn peek(&mut self) -> Option<&'a str> {
        let before = self.rest;
        let token = self.token();
        self.rest = before;
        token
    }

    fn item(&mut self) -> Option<Item> {
        match self.token()? {
            "(" => {
                let mut items = Vec::new();
                while self.peek()? != ")" {
                    items.push(self.item()?);
                }
                self.token();
                Some(Item::List(items))
            }
            "{" => self.node().map(Item::Node),
            word => Some(Item::Word(word.to_owned())),
        }
    }

    fn node(&mut self) -> Option<Node> {
        let name = self.token()?.to_owned();
        let mut fields: Vec<(String, Vec<Item>)> = Vec::new();
        loop {
            let token = self.peek()?;
            if token == "}" {
                self.token();
                return Some(Node { name, fields });
            }
            if let Some(field) = token.strip_prefix(':') {
                self.token();
                fields.push((field.to_owned(), Vec::new()));
                continue;
            }
            let item = self.item()?;
            match fields.last_mut() {
                Some((_, items)) => items.push(item),
                None => fields.push((String::new(), vec![item])),
            }
        }
    }
}

#[test]
fn entries_are_found_wherever_they_are() {
    let text = r#"({QUERY :commandType 1 :utilityStmt <> :rtable ({RANGETBLENTRY :alias {ALIAS :aliasname a\ b :colnames <>} :rtekind 0
        :relid 16400 :requiredPerms 2 :selectedCols (b 7 8 10) :insertedCols (b) :updatedCols (b)} {RANGETBLENTRY :rtekind 1 :relid 0 :subquery
        {QUERY :rtable ({RANGETBLENTRY :alias {ALIAS :aliasname old :colnames <>} :rtekind 0 :relid 12000 :requiredPerms 2 :selectedCols (b 9)}
        {RANGETBLENTRY :rtekind 0 :relid 1259 :requiredPerms 2 :selectedCols (b 9)})} :requiredPerms 0}) :jointree {CONST :constvalue 4 [ 1 0 ]}
        :targetList ({FIELDSELECT :arg {VAR :varno 1 :varattno 0} :fieldnum 1})})"#;
    let catalog = provost_engine::schema::read("", "empty").unwrap();
    let mut needs = Needs::default();
    needs.read(text, &catalog);
    let found: Vec<(u32, u32, Vec<i16>)> = needs
        .claims
        .iter()
        .map(|(oid, claim)| (*oid, claim.rights, claim.selected.iter().copied().collect()))
        .collect();
    assert_eq!(
        found,
        [(12_000, SELECT, vec![2]), (16_400, SELECT, vec![0, 1, 3])]
    );
    assert!(needs.whole_rows.is_empty());
}
