//! The safety net: every struct of a parse tree that carries meaning must have been visited by the resolver.
//! A total, generic walk (serde over the protobuf structs) that knows nothing of SQL, so it has no holes of its own.

use std::{
    convert::Infallible,
    hash::{Hash, Hasher},
};

use rustc_hash::FxHashSet;
use serde::ser::{self, Serialize};

/// Structs that carry nothing beyond their fields, which the walk enters anyway.
const INERT: &[&str] = &[
    "String",
    "Integer",
    "Float",
    "Boolean",
    "BitString",
    "List",
    "AConst",
    "AStar",
    "Alias",
    "RawStmt",
    "ParseResult",
    "RoleSpec",
    "JsonFormat",
    "JsonReturning",
    "JsonOutput",
    "JsonTablePathSpec",
];

/// Structs that read or run something wherever they stand.
const GUARDED: &[&str] = &[
    "RangeVar",
    "FuncCall",
    "SubLink",
    "SelectStmt",
    "InsertStmt",
    "UpdateStmt",
    "DeleteStmt",
    "MergeStmt",
];

/// The nodes that a resolver has seen: struct name and address of the first field.
#[derive(Debug, Default)]
pub(super) struct Seen(FxHashSet<Place>);

/// A struct of a tree. Two structs may start at one address, one the other's first field: their names differ.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    name: &'static str,
    address: usize,
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address.hash(state);
    }
}

impl Seen {
    /// With room for the nodes of a text that is this long: about one in eight bytes, as a short text has.
    pub(super) fn with_room(text_bytes: usize) -> Self {
        let mut places = FxHashSet::default();
        places.reserve(text_bytes / 8);
        Self(places)
    }

    /// Marks a node as understood.
    pub(super) fn mark(&mut self, node: &impl Visit) {
        self.0.insert(Place {
            name: node.name(),
            address: node.first_field(),
        });
    }

    /// Marks every struct of `tree`: for subtrees whose meaning is bounded by their statement as a whole.
    pub(super) fn mark_all(&mut self, tree: &impl Serialize) {
        let mut walk = Walk {
            seen: self,
            purpose: Purpose::Mark,
            missing: None,
            found: false,
        };
        match tree.serialize(&mut walk) {
            Ok(()) | Err(Unreachable(_)) => {}
        }
    }

    /// Marks `tree` as [`Seen::mark_all`] does, but for the nodes that read or run something: those must be visited.
    pub(super) fn mark_bounded(&mut self, tree: &impl Serialize) {
        let mut walk = Walk {
            seen: self,
            purpose: Purpose::MarkBounded,
            missing: None,
            found: false,
        };
        match tree.serialize(&mut walk) {
            Ok(()) | Err(Unreachable(_)) => {}
        }
    }

    /// The name of a struct in `tree` that was not marked, if there is one.
    pub(super) fn missing(&mut self, tree: &impl Serialize) -> Option<&'static str> {
        let mut walk = Walk {
            seen: self,
            purpose: Purpose::Check,
            missing: None,
            found: false,
        };
        match tree.serialize(&mut walk) {
            Ok(()) | Err(Unreachable(_)) => walk.missing,
        }
    }
}

/// Whether a name or a constant in `tree`, as the server reads it, is one of which this holds.
pub(super) fn says(tree: &impl Serialize, is_sought: fn(&str) -> bool) -> bool {
    let mut walk = Walk {
        seen: &mut Seen::default(),
        purpose: Purpose::Find(is_sought),
        missing: None,
        found: false,
    };
    match tree.serialize(&mut walk) {
        Ok(()) | Err(Unreachable(_)) => walk.found,
    }
}

/// A node that can be marked: its name as serde has it and the address of its first declared field.
pub(super) trait Visit {
    fn name(&self) -> &'static str;
    fn first_field(&self) -> usize;
}

macro_rules! visits {
    ($($node:ident $field:ident),* $(,)?) => { $(impl Visit for pg_query::protobuf::$node {
        fn name(&self) -> &'static str {
            stringify!($node)
        }
        fn first_field(&self) -> usize {
            std::ptr::from_ref(&self.$field).addr()
        }
    })* };
}

visits! {
    SelectStmt distinct_clause, InsertStmt relation, UpdateStmt relation, DeleteStmt relation, MergeStmt relation,
    RangeVar catalogname, RangeSubselect lateral, RangeFunction lateral, RangeTableSample relation, RangeTableFunc lateral,
    RangeTableFuncCol colname, JoinExpr jointype, WithClause ctes, CommonTableExpr ctename, ResTarget name, ColumnRef fields,
    ParamRef number, AExpr kind, TypeCast arg, TypeName names, CollateClause arg, FuncCall funcname, AIndices is_slice,
    AIndirection arg, AArrayExpr elements, SubLink xpr, BoolExpr xpr, NullTest xpr, BooleanTest xpr, CaseExpr xpr, CaseWhen xpr,
    CoalesceExpr xpr, MinMaxExpr xpr, RowExpr xpr, SqlValueFunction xpr, GroupingFunc xpr, GroupingSet kind, SortBy node, WindowDef name,
    LockingClause locked_rels, NamedArgExpr xpr, SetToDefault xpr, MultiAssignRef source, OnConflictClause action,
    InferClause index_elems, IndexElem name, ReturningClause options, MergeWhenClause match_kind, CteSearchClause search_col_list,
    CteCycleClause cycle_col_list, ColumnDef colname, XmlExpr xpr, XmlSerialize xmloption, MergeSupportFunc xpr, JsonIsPredicate expr,
    JsonValueExpr raw_expr, JsonObjectConstructor exprs, JsonArrayConstructor exprs, JsonKeyValue key, ExplainStmt query, DefElem defnamespace,
    CopyStmt relation, IntoClause rel, CreateTableAsStmt query, ViewStmt view, TruncateStmt relations, LockStmt relations,
    PrepareStmt name, ExecuteStmt name, DeclareCursorStmt portalname, FetchStmt direction, ClosePortalStmt portalname,
    DeallocateStmt name, JsonFuncExpr op, JsonArgument val, JsonBehavior btype, JsonTable context_item, JsonTableColumn coltype,
    JsonParseExpr expr, JsonScalarExpr expr, JsonSerializeExpr expr, JsonArrayQueryConstructor query, JsonAggConstructor output,
    JsonObjectAgg constructor, JsonArrayAgg constructor, CurrentOfExpr xpr, ReturningOption option, CallStmt funccall, DoStmt args, ReturnStmt returnval,
}

#[derive(Clone, Copy)]
enum Purpose {
    Check,
    Mark,
    MarkBounded,
    /// A text of which this holds.
    Find(fn(&str) -> bool),
}

struct Walk<'a> {
    seen: &'a mut Seen,
    purpose: Purpose,
    missing: Option<&'static str>,
    found: bool,
}

impl Walk<'_> {
    fn structure(&mut self, name: &'static str, address: usize) {
        let place = Place { name, address };
        match self.purpose {
            Purpose::MarkBounded if GUARDED.contains(&name) => {}
            Purpose::Mark | Purpose::MarkBounded => {
                self.seen.0.insert(place);
            }
            Purpose::Find(_) => {}
            // A node is the box around a struct.
            Purpose::Check if name == "Node" => {}
            Purpose::Check => {
                // Most are marked: that is asked first.
                if !self.seen.0.contains(&place) && !INERT.contains(&name) {
                    self.missing.get_or_insert(name);
                }
            }
        }
    }
}

/// serde wants an error type; nothing here makes one.
#[derive(Debug, thiserror::Error)]
#[error("the walk can't fail")]
struct Unreachable(#[source] Infallible);

impl ser::Error for Unreachable {
    #[expect(
        clippy::unreachable,
        reason = "derived serialisers of plain data never call this"
    )]
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        unreachable!("{message}")
    }
}

struct Fields<'w, 'a> {
    walk: &'w mut Walk<'a>,
    name: Option<&'static str>,
}

macro_rules! ignored {
    ($($method:ident: $type:ty),*) => { $(fn $method(self, _: $type) -> Result<(), Unreachable> { Ok(()) })* };
}

impl<'w, 'a> ser::Serializer for &'w mut Walk<'a> {
    type Ok = ();
    type Error = Unreachable;
    type SerializeSeq = Fields<'w, 'a>;
    type SerializeTuple = Fields<'w, 'a>;
    type SerializeTupleStruct = Fields<'w, 'a>;
    type SerializeTupleVariant = Fields<'w, 'a>;
    type SerializeMap = Fields<'w, 'a>;
    type SerializeStruct = Fields<'w, 'a>;
    type SerializeStructVariant = Fields<'w, 'a>;

    ignored! { serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_u8: u8, serialize_u16: u16,
    serialize_u32: u32, serialize_u64: u64, serialize_f32: f32, serialize_f64: f64, serialize_char: char, serialize_bytes: &[u8],
    serialize_unit_struct: &'static str }

    fn serialize_str(self, text: &str) -> Result<(), Unreachable> {
        if let Purpose::Find(is_sought) = self.purpose {
            self.found |= is_sought(text);
        }
        Ok(())
    }
    fn serialize_none(self) -> Result<(), Unreachable> {
        Ok(())
    }
    fn serialize_unit(self) -> Result<(), Unreachable> {
        Ok(())
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Unreachable> {
        value.serialize(self)
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<(), Unreachable> {
        Ok(())
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unreachable> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unreachable> {
        value.serialize(self)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Fields<'w, 'a>, Unreachable> {
        Ok(Fields {
            walk: self,
            name: None,
        })
    }
    fn serialize_tuple(self, _: usize) -> Result<Fields<'w, 'a>, Unreachable> {
        Ok(Fields {
            walk: self,
            name: None,
        })
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Fields<'w, 'a>, Unreachable> {
        Ok(Fields {
            walk: self,
            name: None,
        })
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Fields<'w, 'a>, Unreachable> {
        Ok(Fields {
            walk: self,
            name: None,
        })
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'w, 'a>, Unreachable> {
        Ok(Fields {
            walk: self,
            name: None,
        })
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'w, 'a>, Unreachable> {
        Ok(Fields {
            walk: self,
            name: Some(name),
        })
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Fields<'w, 'a>, Unreachable> {
        Ok(Fields {
            walk: self,
            name: Some(name),
        })
    }
}

impl Fields<'_, '_> {
    fn value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unreachable> {
        if let Some(name) = self.name.take() {
            self.walk
                .structure(name, std::ptr::from_ref(value).cast::<()>().addr());
        }
        value.serialize(&mut *self.walk)
    }
}

macro_rules! sequence {
    ($($trait:ident $method:ident),*) => { $(impl ser::$trait for Fields<'_, '_> {
        type Ok = ();
        type Error = Unreachable;
        fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unreachable> {
            self.value(value)
        }
        fn end(self) -> Result<(), Unreachable> {
            Ok(())
        }
    })* };
}
sequence! { SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field }

macro_rules! structure {
    ($($trait:ident),*) => { $(impl ser::$trait for Fields<'_, '_> {
        type Ok = ();
        type Error = Unreachable;
        fn serialize_field<T: ?Sized + Serialize>(&mut self, _: &'static str, value: &T) -> Result<(), Unreachable> {
            self.value(value)
        }
        fn end(self) -> Result<(), Unreachable> {
            Ok(())
        }
    })* };
}
structure! { SerializeStruct, SerializeStructVariant }

impl ser::SerializeMap for Fields<'_, '_> {
    type Ok = ();
    type Error = Unreachable;
    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Unreachable> {
        self.value(key)
    }
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unreachable> {
        self.value(value)
    }
    fn end(self) -> Result<(), Unreachable> {
        Ok(())
    }
}
