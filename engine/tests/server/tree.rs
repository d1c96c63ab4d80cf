//! The server's own trees, as `nodeToString` writes them: the parts that say which relations and columns a statement needs.
//! It must never leave out an entry that it can't read.

use std::collections::{BTreeMap, BTreeSet};

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

    /// Whether this is the text of a view that is the server's own: it is taken as a relation, not looked into.
    fn is_system_view(&self) -> bool {
        if self.name != "RTE" || self.number("rtekind") != Some(1) {
            return false;
        }
        // From PostgreSQL 16 on, the entry keeps the view's oid; before, the view's text has it in its first entry, `old`.
        let own = self.number("relid").filter(|oid| *oid != 0);
        let oid = own.or_else(|| {
            let [Item::Node(query)] = self.field("subquery") else {
                return None;
            };
            let [Item::List(entries)] = query.field("rtable") else {
                return None;
            };
            let Some(Item::Node(first)) = entries.first() else {
                return None;
            };
            let [Item::Node(alias)] = first.field("alias") else {
                return None;
            };
            let is_old = matches!(alias.field("aliasname"), [Item::Word(name)] if name == "old");
            first.number("relid").filter(|_| is_old)
        });
        oid.is_some_and(|oid| oid < FIRST_USER_OID)
    }
}

/// Adds what a tree needs to `claims`.
///
/// # Panics
/// When the text is no tree.
pub(crate) fn read(text: &str, claims: &mut Claims) {
    let mut reader = Reader { rest: text };
    while let Some(item) = reader.item() {
        collect(&item, claims);
    }
    assert!(reader.rest.trim().is_empty(), "not all of the tree was read: {:.200}", reader.rest);
}

fn collect(item: &Item, claims: &mut Claims) {
    match item {
        Item::Word(_) => {}
        Item::List(items) => items.iter().for_each(|item| collect(item, claims)),
        Item::Node(node) => {
            if let (Some(oid), Some(rights)) = (node.number("relid"), node.number("requiredPerms"))
                && oid != 0
                && rights != 0
            {
                let claim = claims.entry(oid).or_default();
                claim.rights |= rights;
                claim.selected.extend(node.columns("selectedCols"));
                claim.inserted.extend(node.columns("insertedCols"));
                claim.updated.extend(node.columns("updatedCols"));
            }
            if node.is_system_view() {
                // Before 16 its own entry is the first of its text.
                system_view(node, claims);
                return;
            }
            for (_, items) in &node.fields {
                items.iter().for_each(|item| collect(item, claims));
            }
        }
    }
}

/// What is needed of a view of the server's own: of itself only.
fn system_view(node: &Node, claims: &mut Claims) {
    if let [Item::Node(query)] = node.field("subquery")
        && let [Item::List(entries)] = query.field("rtable")
        && let Some(first @ Item::Node(entry)) = entries.first()
        && entry.number("rtekind") == Some(0)
    {
        collect(first, claims);
    }
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
    let text = r#"({QUERY :commandType 1 :utilityStmt <> :rtable ({RTE :alias {ALIAS :aliasname a\ b :colnames <>} :rtekind 0
        :relid 16400 :requiredPerms 2 :selectedCols (b 7 8 10) :insertedCols (b) :updatedCols (b)} {RTE :rtekind 1 :relid 0 :subquery
        {QUERY :rtable ({RTE :alias {ALIAS :aliasname old :colnames <>} :rtekind 0 :relid 12000 :requiredPerms 2 :selectedCols (b 9)}
        {RTE :rtekind 0 :relid 1259 :requiredPerms 2 :selectedCols (b 9)})} :requiredPerms 0}) :jointree {CONST :constvalue 4 [ 1 0 ]}})"#;
    let mut claims = Claims::new();
    read(text, &mut claims);
    let found: Vec<(u32, u32, Vec<i16>)> = claims
        .iter()
        .map(|(oid, claim)| (*oid, claim.rights, claim.selected.iter().copied().collect()))
        .collect();
    assert_eq!(found, [(12_000, SELECT, vec![2]), (16_400, SELECT, vec![0, 1, 3])]);
}
